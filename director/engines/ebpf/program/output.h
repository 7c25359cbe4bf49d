/* Where a packet goes: to the core, or out to its next hop. Twin: scapy/next_hops.py. */
#pragma once

#include "packet.h"

/* ---- to the core, which treats it like a frame from the wire ---- */

/* The core decides; the kernel does not see the packet. */
static __always_inline int upcall(void)
{
	return bpf_redirect(settings.upcall_ifindex, 0);
}

static __always_inline __u32 *find_kind(const ip_address *address)
{
	struct prefix key = {.length = 8 * sizeof(*address), .address = *address};

	return bpf_map_lookup_elem(&vips, &key);
}

/* Whether `address` is a virtual service's, or its packets may get a firewall mark. */
static __always_inline bool is_vip(const ip_address *address)
{
	__u32 *kind = find_kind(address);

	return kind && *kind == VIRTUAL;
}

/* The core gets a copy, the kernel the packet. */
static __always_inline int pass_and_copy(struct __sk_buff *skb)
{
	bpf_clone_redirect(skb, settings.upcall_ifindex, 0);
	return PASS;
}

static __always_inline int upcall_if_vip(struct __sk_buff *skb, const ip_address *daddr)
{
	return is_vip(daddr) ? upcall() : pass_and_copy(skb);
}

/* ---- to the next hop ---- */

/* Looks up the route and the neighbour for `address`, and caches both in the entry. */
static __always_inline bool route_lookup(const ip_address *address, struct connection *entry)
{
	struct prefix key = {.length = 8 * sizeof(*address), .address = *address};
	struct route *route = bpf_map_lookup_elem(&routes, &key);
	const ip_address on_link = {};
	struct neighbour_key neighbour_key;
	struct neighbour *neighbour;
	struct next_hop *hop = &entry->next_hop;

	if (!route || !route->ifindex) /* the core looks it up, too */
		return false;
	hop->ifindex = neighbour_key.ifindex = route->ifindex;
	hop->address = neighbour_key.address = is_same(&route->gateway, &on_link) ? *address : route->gateway;
	neighbour = bpf_map_lookup_elem(&neighbours, &neighbour_key);
	if (neighbour)
		__builtin_memcpy(hop->dest_mac, neighbour->mac, sizeof(hop->dest_mac));
	else
		__builtin_memset(hop->dest_mac, 0, sizeof(hop->dest_mac));
	__builtin_memcpy(hop->source_mac, route->source_mac, sizeof(hop->source_mac));
	entry->mtu = route->mtu;
	hop->generation = settings.generation;
	return true;
}

/* Without a valid MAC address, the kernel's own neighbour table is used, which resolves it. */
static __always_inline int transmit(struct __sk_buff *skb, const struct next_hop *hop, __u64 now)
{
	const __u32 *macs = (const void *)hop->dest_mac;
	struct bpf_redir_neigh neighbour = {};
	__u32 *frame;

	if ((macs[0] || *(const __u16 *)&hop->dest_mac[4]) && now < settings.neighbours_valid_until) {
		frame = frame_start(skb);
		if (!has_bytes(skb, frame, ETH_HLEN))
			return TC_ACT_SHOT;
		frame[0] = macs[0]; /* both addresses, 12 bytes */
		frame[1] = macs[1];
		frame[2] = macs[2];
		if (settings.flags & REDIRECT_PEER)
			return bpf_redirect_peer(hop->ifindex, 0);
		return bpf_redirect(hop->ifindex, 0);
	}
	neighbour.nh_family = ADDRESS_FAMILY;
	__builtin_memcpy(neighbour.ipv6_nh, &hop->address, sizeof(hop->address)); /* or ipv4_nh, in the same place */
	return bpf_redirect_neigh(hop->ifindex, &neighbour, sizeof(neighbour), 0);
}
