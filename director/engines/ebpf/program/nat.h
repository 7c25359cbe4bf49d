/* VS-NAT: a request leaves for the real server's address and port, a reply comes from the VIP's.
 *
 *     client > VIP:80          becomes   client > 172.16.0.3:8000
 *     172.16.0.3:8000 > client becomes   VIP:80 > client
 *
 * Twin: scapy/nat.py. The kernel's helper changes TCP's and UDP's checksum, because it knows
 * whether the packet has one already: on a virtual wire it may be left for later.
 */
#pragma once

#include "checksum.h"

#define TCP_CHECK (NEXT_HEADER + __builtin_offsetof(struct tcphdr, check))
#define UDP_CHECK (NEXT_HEADER + __builtin_offsetof(struct udphdr, check))

static __always_inline bool follow_above(struct __sk_buff *skb, const struct packet *p, __be32 from,
										 __be32 to, __be16 from_port, __be16 to_port)
{
	bool udp = p->flow_key.protocol == IPPROTO_UDP;
	__u32 where = udp ? UDP_CHECK : TCP_CHECK;
	__u64 flags = udp ? BPF_F_MARK_MANGLED_0 : 0;

	if (bpf_l4_csum_replace(skb, where, from, to, flags | BPF_F_PSEUDO_HDR | sizeof(to)))
		return false;
	return from_port == to_port || !bpf_l4_csum_replace(skb, where, from_port, to_port, flags | sizeof(to_port));
}

enum end { SOURCE, DEST }; /* of a packet, in the order of the headers */

/* Gives one end of the packet another address and port. */
static __always_inline bool translate(struct __sk_buff *skb, const struct packet *p, enum end end, __be32 to,
									  __be16 port)
{
	__be32 from = end == DEST ? p->flow_key.dest : p->flow_key.source;
	__be16 from_port = end == DEST ? p->flow_key.dport : p->flow_key.sport;
	struct iphdr *ip;
	void *data;

	if (!follow_above(skb, p, from, to, from_port, port))
		return false;
	data = start_of(skb);
	if (!reaches(skb, data, NEXT_HEADER + 4))
		return false;
	ip = data + ETH_HLEN;
	count_hop(ip);
	follow_word(ip, from, to);
	(&ip->saddr)[end] = to;
	((__be16 *)(data + NEXT_HEADER))[end] = port;
	return true;
}
