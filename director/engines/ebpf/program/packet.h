/* Parsing: what a director needs of a received frame. Twin: scapy/datagram.py. */
#pragma once

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include "maps.h"

#define PASS TC_ACT_UNSPEC /* to the next filter, if any, and then to the director's own kernel */
#define L4_OFFSET (ETH_HLEN + sizeof(struct ip_header)) /* of TCP or UDP, without IP options or extension headers */
#define TCP_END (L4_OFFSET + sizeof(struct tcphdr))

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

struct packet {
	struct flow_key key;
	__u32 length;	  /* of the IP packet, in bytes; of all of them if one buffer holds many segments (GSO) */
	__u32 max_length; /* the longest packet that goes on the wire */
	__u32 segments;
	__u8 ttl, tcp_flags;
	bool no_checksum; /* UDP without one (RFC 768) */
	__u64 now;
};

enum kind {
	FORWARDABLE, /* TCP or UDP, whole */
	FRAGMENT,	 /* TCP or UDP, a fragment or with IP options or extension headers */
	ICMP_ERROR,
	OTHER, /* not for the director */
	MALFORMED,
};

static __always_inline void *frame_start(struct __sk_buff *skb)
{
	return (void *)(long)skb->data;
}

/* Whether `length` bytes from the start of the frame can be accessed directly. */
static __always_inline bool has_bytes(struct __sk_buff *skb, void *start, __u32 length)
{
	return start + length <= (void *)(long)skb->data_end;
}

/* ---- what both families need ---- */

static __always_inline __u16 fold_checksum(__u64 sum)
{
	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

enum end { SOURCE, DEST }; /* of a packet, in the order of the headers */

#define ECN_MASK 3
#define ECN_CE 3
#define ECN_ECT_0 2

/* The type of service of a tunnel: the inner one, but without its congestion mark (RFC 3168, 9.1). */
static __always_inline __u8 outer_tos(__u8 inner)
{
	return (inner & ECN_MASK) == ECN_CE ? (inner & ~ECN_MASK) | ECN_ECT_0 : inner;
}

#if FAMILY == 4
#include "ipv4.h"
#else
#include "ipv6.h"
#endif

/* ---- TCP and UDP ---- */

static __always_inline enum kind parse_tcp(struct packet *p, const struct tcphdr *tcp, __u32 gso_size)
{
	__u32 header = tcp->doff * 4;

	if (header < sizeof(*tcp) || sizeof(struct ip_header) + header > p->length)
		return MALFORMED;
	p->key.sport = tcp->source;
	p->key.dport = tcp->dest;
	p->tcp_flags = ((const __u8 *)tcp)[13];
	if (gso_size) {
		p->max_length = sizeof(struct ip_header) + header + gso_size;
		p->length += (p->segments - 1) * (sizeof(struct ip_header) + header);
	}
	return FORWARDABLE;
}

static __always_inline enum kind parse_udp(struct packet *p, const struct udphdr *udp, __u32 gso_size)
{
	__u32 length = bpf_ntohs(udp->len);

	if (length < sizeof(*udp) || (!gso_size && length > p->length - sizeof(struct ip_header)))
		return MALFORMED;
	p->key.sport = udp->source;
	p->key.dport = udp->dest;
	p->tcp_flags = 0;
	p->no_checksum = !udp->check;
	if (gso_size) {
		p->max_length = L4_OFFSET - ETH_HLEN + sizeof(*udp) + gso_size;
		p->length += (p->segments - 1) * (sizeof(struct ip_header) + sizeof(*udp));
	}
	return FORWARDABLE;
}

#define VLAN_ID 0x0fff /* of a tag's bits */

/* Whether the frame belongs to a VLAN, and so to another interface. A tag with the number 0 has only a priority
 * (IEEE 802.1Q): it is removed, as in the kernel. */
static __always_inline bool is_of_vlan(struct __sk_buff *skb)
{
	return skb->vlan_present && (skb->vlan_tci & VLAN_ID || bpf_skb_vlan_pop(skb));
}

static __always_inline enum kind parse(struct __sk_buff *skb, struct packet *p)
{
	__u32 gso_size = skb->gso_size;
	enum kind kind;
	void *data;

	if (skb->protocol != bpf_htons(ETHERTYPE) || skb->pkt_type || is_of_vlan(skb)) /* PACKET_HOST is 0 */
		return OTHER;
	data = frame_start(skb);
	if (!has_bytes(skb, data, TCP_END)) { /* a short frame, or the headers are not linear */
		bpf_skb_pull_data(skb, skb->len < TCP_END ? skb->len : TCP_END);
		data = frame_start(skb);
	}
	if (!has_bytes(skb, data, L4_OFFSET + sizeof(struct udphdr)))
		return MALFORMED;
	kind = parse_ip(skb, data + ETH_HLEN, p);
	if (kind != FORWARDABLE)
		return kind;
	p->max_length = p->length;
	p->segments = gso_size && skb->gso_segs > 1 ? skb->gso_segs : 1;
	if (p->key.protocol == IPPROTO_UDP)
		return parse_udp(p, data + L4_OFFSET, gso_size);
	if (!has_bytes(skb, data, TCP_END))
		return MALFORMED;
	return parse_tcp(p, data + L4_OFFSET, gso_size);
}

/* Removes what follows the IP packet: Ethernet pads short frames. */
static __always_inline bool remove_padding(struct __sk_buff *skb, const struct packet *p)
{
	return skb->len <= ETH_HLEN + p->length || !bpf_skb_change_tail(skb, ETH_HLEN + p->length, 0);
}

/* The state tables look at one flag of a segment: the first of RST, SYN, FIN and ACK that is set. */
static __always_inline enum tcp_event event_of(const struct packet *p)
{
	if (p->key.protocol == IPPROTO_UDP)
		return NO_EVENT;
	if (p->tcp_flags & TCP_RST)
		return RST;
	if (p->tcp_flags & TCP_SYN)
		return SYN;
	if (p->tcp_flags & TCP_FIN)
		return FIN;
	return p->tcp_flags & TCP_ACK ? ACK : NO_FLAG;
}
