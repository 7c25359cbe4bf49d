/* VS-TUN: the packet travels unchanged inside another one (IP in IP, RFC 2003).
 *
 *     client > VIP:80   becomes   director > real server [ client > VIP:80 ]
 *
 * Twin: scapy/tun.py. Where one buffer holds many segments of TCP, the kernel is told that they
 * have become shorter by the outer header, and each will get its own when they are cut.
 */
#pragma once

#include "checksum.h"

#define TUNNEL_HEADER sizeof(struct iphdr)
#define ECN 3	/* congestion experienced: both bits */
#define ECT_0 2 /* able to say so */

static __always_inline bool tunnel(struct __sk_buff *skb, const struct packet *p, __be32 own, __be32 to)
{
	__u64 flags = BPF_F_ADJ_ROOM_ENCAP_L3_IPV4;
	struct iphdr outer = {}, *ip;
	void *data = start_of(skb);

	if (!reaches(skb, data, NEXT_HEADER))
		return false;
	ip = data + ETH_HLEN;
	count_hop(ip);
	outer.version = 4;
	outer.ihl = 5;
	outer.tos = (ip->tos & ECN) == ECN ? (ip->tos & ~ECN) | ECT_0 : ip->tos; /* RFC 3168, 9.1 */
	outer.tot_len = bpf_htons(bpf_ntohs(ip->tot_len) + TUNNEL_HEADER);
	outer.id = ip->id;
	outer.frag_off = settings.flags & CLEAR_DF ? 0 : ip->frag_off & bpf_htons(IP_DF);
	outer.ttl = ip->ttl;
	outer.protocol = IPPROTO_IPIP;
	outer.saddr = own;
	outer.daddr = to;
	const __u32 *words = (const void *)&outer;
	outer.check = ~folded((__u64)words[0] + words[1] + words[2] + words[3] + words[4]);
	if (p->flow_key.protocol == IPPROTO_UDP) /* the length of each datagram is its sender's business */
		flags |= BPF_F_ADJ_ROOM_FIXED_GSO;
	if (bpf_skb_adjust_room(skb, TUNNEL_HEADER, BPF_ADJ_ROOM_MAC, flags))
		return false;
	data = start_of(skb);
	if (!reaches(skb, data, NEXT_HEADER))
		return false;
	__builtin_memcpy(data + ETH_HLEN, &outer, sizeof(outer));
	return true;
}
