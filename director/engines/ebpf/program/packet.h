/* Parsing: as much of a received frame as a director needs. Twin: scapy/datagram.py. */
#pragma once

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include "maps.h"

#define PASS TC_ACT_UNSPEC /* to the next filter, if any, and then to the director's own kernel */
#define L4_OFFSET (ETH_HLEN + sizeof(struct iphdr)) /* of TCP or UDP: packets with IP options go to the core */
#define TCP_END (L4_OFFSET + sizeof(struct tcphdr))
#define IP_DF 0x4000
#define IP_OFFSET 0x1fff
#define IP_MF 0x2000

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

struct packet {
	struct flow_key key;
	__u32 length;	  /* of the IP packet, in bytes; of all of them where one buffer holds many segments (GSO) */
	__u32 max_length; /* the longest packet that goes on the wire */
	__u32 segments;
	__u8 ttl, tcp_flags;
	bool no_checksum; /* UDP without one (RFC 768) */
	__u64 now;
};

enum kind {
	FORWARDABLE, /* TCP or UDP, whole */
	FRAGMENT,	 /* TCP or UDP, a fragment or with IP options */
	ICMP_ERROR,
	OTHER, /* not the director's business */
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

static __always_inline bool ip_checksum_ok(const struct iphdr *ip)
{
	const __u32 *words = (const void *)ip;
	__u64 sum = (__u64)words[0] + words[1] + words[2] + words[3] + words[4];

	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16) == 0xffff;
}

static __always_inline enum kind parse_icmp(struct __sk_buff *skb, __u8 ihl)
{
	__u8 type;

	if (ihl != 5) /* IP options: the core finds out what it is */
		return ICMP_ERROR;
	if (bpf_skb_load_bytes(skb, L4_OFFSET, &type, sizeof(type)))
		return OTHER;
	return type == 3 || type == 4 || type == 11 ? ICMP_ERROR : OTHER;
}

static __always_inline enum kind parse_tcp(struct packet *p, const struct tcphdr *tcp, __u32 gso_size)
{
	__u32 header = tcp->doff * 4;

	if (header < sizeof(*tcp) || sizeof(struct iphdr) + header > p->length)
		return MALFORMED;
	p->key.sport = tcp->source;
	p->key.dport = tcp->dest;
	p->tcp_flags = ((const __u8 *)tcp)[13];
	if (gso_size) {
		p->max_length = sizeof(struct iphdr) + header + gso_size;
		p->length += (p->segments - 1) * (sizeof(struct iphdr) + header);
	}
	return FORWARDABLE;
}

static __always_inline enum kind parse_udp(struct packet *p, const struct udphdr *udp, __u32 gso_size)
{
	__u32 length = bpf_ntohs(udp->len);

	if (length < sizeof(*udp) || (!gso_size && length > p->length - sizeof(struct iphdr)))
		return MALFORMED;
	p->key.sport = udp->source;
	p->key.dport = udp->dest;
	p->tcp_flags = 0;
	p->no_checksum = !udp->check;
	if (gso_size) {
		p->max_length = L4_OFFSET - ETH_HLEN + sizeof(*udp) + gso_size;
		p->length += (p->segments - 1) * (sizeof(struct iphdr) + sizeof(*udp));
	}
	return FORWARDABLE;
}

static __always_inline enum kind parse(struct __sk_buff *skb, struct packet *p)
{
	__u32 gso_size = skb->gso_size;
	struct iphdr *ip;
	void *data;

	if (skb->protocol != bpf_htons(ETH_P_IP) || skb->pkt_type) /* PACKET_HOST is 0 */
		return OTHER;
	data = frame_start(skb);
	if (!has_bytes(skb, data, TCP_END)) { /* a short frame, or the headers are not linear */
		bpf_skb_pull_data(skb, skb->len < TCP_END ? skb->len : TCP_END);
		data = frame_start(skb);
	}
	if (!has_bytes(skb, data, L4_OFFSET + sizeof(struct udphdr)))
		return MALFORMED;
	ip = data + ETH_HLEN;
	p->length = bpf_ntohs(ip->tot_len);
	if (ip->version != 4 || ip->ihl < 5 || p->length < sizeof(*ip) || p->length + ETH_HLEN > skb->len)
		return MALFORMED;
	p->key.saddr = ip->saddr;
	p->key.daddr = ip->daddr;
	p->key.protocol = ip->protocol;
	p->ttl = ip->ttl;
	if (ip->protocol == IPPROTO_ICMP)
		return parse_icmp(skb, ip->ihl);
	if (ip->protocol != IPPROTO_TCP && ip->protocol != IPPROTO_UDP)
		return OTHER;
	if (ip->ihl != 5 || ip->frag_off & bpf_htons(IP_MF | IP_OFFSET))
		return FRAGMENT;
	if (!ip_checksum_ok(ip))
		return MALFORMED;
	p->max_length = p->length;
	p->segments = gso_size && skb->gso_segs > 1 ? skb->gso_segs : 1;
	if (ip->protocol == IPPROTO_UDP)
		return parse_udp(p, data + L4_OFFSET, gso_size);
	if (!has_bytes(skb, data, TCP_END))
		return MALFORMED;
	return parse_tcp(p, data + L4_OFFSET, gso_size);
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
