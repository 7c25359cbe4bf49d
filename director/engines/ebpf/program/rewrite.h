/* What each forwarding method changes in a packet. Twins: scapy/rewrite.py, ipv4.py. */
#pragma once

#include "packet.h"

/* ---- checksums, updated incrementally (RFC 1624, equation 3) ---- */

static __always_inline __u16 fold_checksum(__u64 sum)
{
	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

/* The IP checksum, after 32 bits of the header have changed. */
static __always_inline void update_ip_checksum(struct iphdr *ip, __u32 before, __u32 after)
{
	ip->check = ~fold_checksum((__u64)(__u16)~ip->check + (__u32)~before + after);
}

static __always_inline void decrease_ttl(struct iphdr *ip)
{
	__u16 *word = (void *)&ip->ttl, before = *word;

	ip->ttl--;
	ip->check = ~fold_checksum((__u64)(__u16)~ip->check + (__u16)~before + *word);
}

/* ---- VS-NAT: requests go to the real server's address and port, replies come from the VIP's ----
 *
 *     client > VIP:80          becomes   client > 172.16.0.3:8000
 *     172.16.0.3:8000 > client becomes   VIP:80 > client
 *
 * The kernel's helper updates the TCP or UDP checksum, because it knows whether the packet has a
 * complete one: on a virtual link, checksum offload may have left it partial.
 */

#define TCP_CHECK (L4_OFFSET + __builtin_offsetof(struct tcphdr, check))
#define UDP_CHECK (L4_OFFSET + __builtin_offsetof(struct udphdr, check))

enum end { SOURCE, DEST }; /* of a packet, in the order of the headers */

static __always_inline bool update_l4_checksum(struct __sk_buff *skb, const struct packet *p, __be32 from,
											   __be32 to, __be16 from_port, __be16 to_port)
{
	bool udp = p->key.protocol == IPPROTO_UDP;
	__u32 offset = udp ? UDP_CHECK : TCP_CHECK;
	__u64 flags = udp ? BPF_F_MARK_MANGLED_0 : 0;

	if (bpf_l4_csum_replace(skb, offset, from, to, flags | BPF_F_PSEUDO_HDR | sizeof(to)))
		return false;
	return from_port == to_port || !bpf_l4_csum_replace(skb, offset, from_port, to_port, flags | sizeof(to_port));
}

/* Gives one end of the packet another address and port. */
static __always_inline bool rewrite_nat(struct __sk_buff *skb, const struct packet *p, enum end end, __be32 to,
										__be16 port)
{
	__be32 from = end == DEST ? p->key.daddr : p->key.saddr;
	__be16 from_port = end == DEST ? p->key.dport : p->key.sport;
	struct iphdr *ip;
	void *data;

	if (!update_l4_checksum(skb, p, from, to, from_port, port))
		return false;
	data = frame_start(skb);
	if (!has_bytes(skb, data, L4_OFFSET + 4))
		return false;
	ip = data + ETH_HLEN;
	decrease_ttl(ip);
	update_ip_checksum(ip, from, to);
	(&ip->saddr)[end] = to;
	((__be16 *)(data + L4_OFFSET))[end] = port;
	return true;
}

/* ---- VS-TUN: the packet travels unchanged inside another one (IP in IP, RFC 2003) ----
 *
 *     client > VIP:80   becomes   director > real server [ client > VIP:80 ]
 *
 * Where one buffer holds many TCP segments (GSO), bpf_skb_adjust_room shrinks them by the outer
 * header; each gets its own when the buffer is segmented.
 */

#define TUNNEL_HEADER sizeof(struct iphdr)
#define ECN_MASK 3
#define ECN_CE 3
#define ECN_ECT_0 2

static __always_inline bool rewrite_tun(struct __sk_buff *skb, const struct packet *p, __be32 source, __be32 server)
{
	__u64 flags = BPF_F_ADJ_ROOM_ENCAP_L3_IPV4;
	struct iphdr outer = {}, *ip;
	void *data = frame_start(skb);

	if (!has_bytes(skb, data, L4_OFFSET))
		return false;
	ip = data + ETH_HLEN;
	decrease_ttl(ip);
	outer.version = 4;
	outer.ihl = 5;
	outer.tos = (ip->tos & ECN_MASK) == ECN_CE ? (ip->tos & ~ECN_MASK) | ECN_ECT_0 : ip->tos; /* RFC 3168, 9.1 */
	outer.tot_len = bpf_htons(bpf_ntohs(ip->tot_len) + TUNNEL_HEADER);
	outer.id = ip->id;
	outer.frag_off = settings.flags & CLEAR_DF ? 0 : ip->frag_off & bpf_htons(IP_DF);
	outer.ttl = ip->ttl;
	outer.protocol = IPPROTO_IPIP;
	outer.saddr = source;
	outer.daddr = server;
	const __u32 *words = (const void *)&outer;
	outer.check = ~fold_checksum((__u64)words[0] + words[1] + words[2] + words[3] + words[4]);
	if (p->key.protocol == IPPROTO_UDP) /* the sender has chosen the length of each datagram */
		flags |= BPF_F_ADJ_ROOM_FIXED_GSO;
	if (bpf_skb_adjust_room(skb, TUNNEL_HEADER, BPF_ADJ_ROOM_MAC, flags))
		return false;
	data = frame_start(skb);
	if (!has_bytes(skb, data, L4_OFFSET))
		return false;
	__builtin_memcpy(data + ETH_HLEN, &outer, sizeof(outer));
	return true;
}

/* ---- VS-DR: the packet is unchanged; the frame goes to the real server's MAC address (transmit) ----
 *
 *     client > VIP:80, to the director's MAC   becomes   client > VIP:80, to the real server's MAC
 */

static __always_inline bool rewrite_dr(struct __sk_buff *skb)
{
	void *data = frame_start(skb);

	if (!has_bytes(skb, data, L4_OFFSET))
		return false;
	decrease_ttl(data + ETH_HLEN); /* as every router does */
	return true;
}
