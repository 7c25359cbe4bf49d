/* A frame that came in, as far as a director has to understand it. Twin: scapy/datagram.py, parse.py. */
#pragma once

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include "tables.h"

#define TO_HOST TC_ACT_UNSPEC /* others' filters come next, if any, and then the director's own kernel */
#define NEXT_HEADER (ETH_HLEN + sizeof(struct iphdr)) /* bytes to TCP or UDP: IP options go to the core */
#define WITH_TCP (NEXT_HEADER + sizeof(struct tcphdr))
#define IP_DF 0x4000
#define IP_OFFSET 0x1fff
#define IP_MF 0x2000

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

struct packet {
	struct flow_key flow_key;
	__u32 length;	/* of the IP packet, in bytes */
	__u32 longest;	/* the longest that goes on the wire: less, where one buffer holds many segments */
	__u32 segments; /* so many */
	__u8 ttl, flags;
	bool unsummed; /* UDP without a checksum (RFC 768) */
	__u64 now;
};

enum kind {
	FORWARDABLE, /* TCP or UDP, whole */
	FRAGMENT,	 /* TCP or UDP, not whole, or with IP options */
	ERROR,		 /* ICMP, about some other packet */
	OTHER,		 /* nothing that a director looks at */
	MALFORMED,
};

static __always_inline void *start_of(struct __sk_buff *skb)
{
	return (void *)(long)skb->data;
}

/* Whether `length` bytes from the start of the frame can be read and written at once. */
static __always_inline bool reaches(struct __sk_buff *skb, void *start, __u32 length)
{
	return start + length <= (void *)(long)skb->data_end;
}

static __always_inline bool checksum_is_right(const struct iphdr *ip)
{
	const __u32 *words = (const void *)ip;
	__u64 sum = (__u64)words[0] + words[1] + words[2] + words[3] + words[4];

	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16) == 0xffff;
}

static __always_inline enum kind kind_of_icmp(struct __sk_buff *skb, __u8 words)
{
	__u8 type;

	if (words != 5) /* with IP options: the core sees what it is */
		return ERROR;
	if (bpf_skb_load_bytes(skb, NEXT_HEADER, &type, sizeof(type)))
		return OTHER;
	return type == 3 || type == 4 || type == 11 ? ERROR : OTHER;
}

static __always_inline enum kind parse_tcp(struct packet *p, const struct tcphdr *tcp, __u32 gso_size)
{
	__u32 header = tcp->doff * 4;

	if (header < sizeof(*tcp) || sizeof(struct iphdr) + header > p->length)
		return MALFORMED;
	p->flow_key.sport = tcp->source;
	p->flow_key.dport = tcp->dest;
	p->flags = ((const __u8 *)tcp)[13];
	if (gso_size) {
		p->longest = sizeof(struct iphdr) + header + gso_size;
		p->length += (p->segments - 1) * (sizeof(struct iphdr) + header);
	}
	return FORWARDABLE;
}

static __always_inline enum kind parse_udp(struct packet *p, const struct udphdr *udp, __u32 gso_size)
{
	__u32 length = bpf_ntohs(udp->len);

	if (length < sizeof(*udp) || (!gso_size && length > p->length - sizeof(struct iphdr)))
		return MALFORMED;
	p->flow_key.sport = udp->source;
	p->flow_key.dport = udp->dest;
	p->flags = 0;
	p->unsummed = !udp->check;
	if (gso_size) {
		p->longest = NEXT_HEADER - ETH_HLEN + sizeof(*udp) + gso_size;
		p->length += (p->segments - 1) * (sizeof(struct iphdr) + sizeof(*udp));
	}
	return FORWARDABLE;
}

static __always_inline enum kind parse(struct __sk_buff *skb, struct packet *p)
{
	__u32 gso_size = skb->gso_size;
	struct iphdr *ip;
	void *data;

	if (skb->protocol != bpf_htons(ETH_P_IP) || skb->pkt_type) /* 0: to this machine */
		return OTHER;
	data = start_of(skb);
	if (!reaches(skb, data, WITH_TCP)) { /* short, or not in one piece */
		bpf_skb_pull_data(skb, skb->len < WITH_TCP ? skb->len : WITH_TCP);
		data = start_of(skb);
	}
	if (!reaches(skb, data, NEXT_HEADER + sizeof(struct udphdr)))
		return MALFORMED;
	ip = data + ETH_HLEN;
	p->length = bpf_ntohs(ip->tot_len);
	if (ip->version != 4 || ip->ihl < 5 || p->length < sizeof(*ip) || p->length + ETH_HLEN > skb->len)
		return MALFORMED;
	p->flow_key.source = ip->saddr;
	p->flow_key.dest = ip->daddr;
	p->flow_key.protocol = ip->protocol;
	p->ttl = ip->ttl;
	if (ip->protocol == IPPROTO_ICMP)
		return kind_of_icmp(skb, ip->ihl);
	if (ip->protocol != IPPROTO_TCP && ip->protocol != IPPROTO_UDP)
		return OTHER;
	if (ip->ihl != 5 || ip->frag_off & bpf_htons(IP_MF | IP_OFFSET))
		return FRAGMENT;
	if (!checksum_is_right(ip))
		return MALFORMED;
	p->longest = p->length;
	p->segments = gso_size && skb->gso_segs > 1 ? skb->gso_segs : 1;
	if (ip->protocol == IPPROTO_UDP)
		return parse_udp(p, data + NEXT_HEADER, gso_size);
	if (!reaches(skb, data, WITH_TCP))
		return MALFORMED;
	return parse_tcp(p, data + NEXT_HEADER, gso_size);
}

/* The strongest of TCP's four flags decides, as in the state tables. */
static __always_inline enum event event_of(__u8 flags)
{
	if (flags & TCP_RST)
		return RST;
	if (flags & TCP_SYN)
		return SYN;
	if (flags & TCP_FIN)
		return FIN;
	return flags & TCP_ACK ? ACK : NO_FLAG;
}
