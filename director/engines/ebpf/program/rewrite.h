/* What each forwarding method changes in a packet. Twins: scapy/rewrite.py, checksums.py. */
#pragma once

#include "packet.h"

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

static __always_inline bool update_l4_checksum(struct __sk_buff *skb, const struct packet *p, ip_address *from,
											   ip_address *to, __be16 from_port, __be16 to_port)
{
	bool udp = p->key.protocol == IPPROTO_UDP;
	__u32 offset = udp ? UDP_CHECK : TCP_CHECK;
	__u64 flags = udp ? BPF_F_MARK_MANGLED_0 : 0;

	if (replace_in_checksum(skb, offset, from, to, flags))
		return false;
	return from_port == to_port || !bpf_l4_csum_replace(skb, offset, from_port, to_port, flags | sizeof(to_port));
}

/* Gives one end of the packet another address and port. */
static __always_inline bool rewrite_nat(struct __sk_buff *skb, struct packet *p, enum end end, ip_address *to,
										__be16 port)
{
	ip_address *from = end == DEST ? &p->key.daddr : &p->key.saddr;
	__be16 from_port = end == DEST ? p->key.dport : p->key.sport;
	void *data;

	if (!update_l4_checksum(skb, p, from, to, from_port, port))
		return false;
	data = frame_start(skb);
	if (!has_bytes(skb, data, L4_OFFSET + 4))
		return false;
	decrease_ttl(skb, data + ETH_HLEN);
	replace_address(data + ETH_HLEN, end, from, to);
	((__be16 *)(data + L4_OFFSET))[end] = port;
	return true;
}

/* ---- VS-TUN: the packet travels unchanged inside another one (IP in IP, RFC 2003 and 2473) ----
 *
 *     client > VIP:80   becomes   director > real server [ client > VIP:80 ]
 *
 * If one buffer holds many TCP segments (GSO), bpf_skb_adjust_room shrinks them by the outer header; each gets
 * its own header when the buffer is segmented.
 */

static __always_inline bool rewrite_tun(struct __sk_buff *skb, const struct packet *p, const ip_address *source,
										const ip_address *server)
{
	__u64 flags = ENCAPSULATION;
	struct ip_header outer = {}, *ip;
	void *data = frame_start(skb);

	if (!has_bytes(skb, data, L4_OFFSET))
		return false;
	ip = data + ETH_HLEN;
	decrease_ttl(skb, ip);
	make_outer(&outer, ip, source, server);
	if (p->key.protocol == IPPROTO_UDP) /* the sender has chosen the length of each datagram */
		flags |= BPF_F_ADJ_ROOM_FIXED_GSO;
	if (bpf_skb_adjust_room(skb, sizeof(outer), BPF_ADJ_ROOM_MAC, flags))
		return false;
	data = frame_start(skb);
	if (!has_bytes(skb, data, L4_OFFSET))
		return false;
	__builtin_memcpy(data + ETH_HLEN, &outer, sizeof(outer));
	note_outer(skb, &outer);
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
	decrease_ttl(skb, data + ETH_HLEN); /* as every router does */
	return true;
}
