/* The way out: routes and neighbours, as the kernel has them. Twin: scapy/routes.py, neighbours.py. */
#pragma once

#include "packet.h"

#define AF_INET 2

static __always_inline bool find_way(__be32 address, struct connection *entry)
{
	struct prefix key = {.length = 32, .address = address};
	struct route *route = bpf_map_lookup_elem(&routes, &key);
	struct neighbour_key there;
	struct neighbour *neighbour;
	struct way *way = &entry->way;

	if (!route)
		return false;
	way->interface = there.interface = route->interface;
	way->next_hop = there.address = route->gateway ? route->gateway : address;
	neighbour = bpf_map_lookup_elem(&neighbours, &there);
	if (neighbour)
		__builtin_memcpy(way->to, neighbour->mac, sizeof(way->to));
	else
		__builtin_memset(way->to, 0, sizeof(way->to));
	__builtin_memcpy(way->from, route->from, sizeof(way->from));
	entry->mtu = route->mtu;
	way->version = settings.version;
	return true;
}

/* In a frame for the next hop. While nobody vouches for its MAC address, the kernel asks for it. */
static __always_inline int leave(struct __sk_buff *skb, const struct way *way, __u64 now)
{
	const __u32 *macs = (const void *)way->to;
	struct bpf_redir_neigh hop = {};
	__u32 *frame;

	if ((macs[0] || *(const __u16 *)&way->to[4]) && now < settings.fresh_until) {
		frame = start_of(skb);
		if (!reaches(skb, frame, ETH_HLEN))
			return TC_ACT_SHOT;
		frame[0] = macs[0];
		frame[1] = macs[1];
		frame[2] = macs[2];
		if (settings.flags & REDIRECT_PEER)
			return bpf_redirect_peer(way->interface, 0);
		return bpf_redirect(way->interface, 0);
	}
	hop.nh_family = AF_INET;
	hop.ipv4_nh = way->next_hop;
	return bpf_redirect_neigh(way->interface, &hop, sizeof(hop), 0);
}
