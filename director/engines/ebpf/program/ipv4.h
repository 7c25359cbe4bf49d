/* What is specific to IPv4 (RFC 791); ipv6.h has the same for IPv6. Twin: scapy/ipv4.py. */
#pragma once

#include <linux/ip.h>

#define ETHERTYPE ETH_P_IP
#define ADDRESS_FAMILY 2 /* AF_INET */
#define ENCAPSULATION BPF_F_ADJ_ROOM_ENCAP_L3_IPV4
#define MIN_TUNNEL_MTU 0
#define IP_DF 0x4000
#define IP_OFFSET 0x1fff
#define IP_MF 0x2000

#define ip_header iphdr

static __always_inline bool ip_checksum_ok(const struct iphdr *ip)
{
	const __u32 *words = (const void *)ip;

	return fold_checksum((__u64)words[0] + words[1] + words[2] + words[3] + words[4]) == 0xffff;
}

/* Whether no packet from the network can have this source. Twin: core/family.py. */
static __always_inline bool is_martian(const ip_address *source)
{
	__u32 address = bpf_ntohl(source->words[0]), first = address >> 24;

	return first == 0 || first == 127 || first >> 4 == 14 || address == 0xffffffff;
}

static __always_inline enum kind parse_icmp(struct __sk_buff *skb, __u8 ihl)
{
	__u8 type;

	if (ihl != 5) /* IP options: leave the type to the core */
		return ICMP_ERROR;
	if (bpf_skb_load_bytes(skb, L4_OFFSET, &type, sizeof(type)))
		return OTHER;
	return type == 3 || type == 4 || type == 11 ? ICMP_ERROR : OTHER;
}

/* FORWARDABLE means: as far as the IP header shows. */
static __always_inline enum kind parse_ip(struct __sk_buff *skb, const struct iphdr *ip, struct packet *p)
{
	p->length = bpf_ntohs(ip->tot_len);
	if (ip->version != 4 || ip->ihl < 5 || p->length < sizeof(*ip) || p->length + ETH_HLEN > skb->len)
		return MALFORMED;
	p->key.saddr.words[0] = ip->saddr;
	p->key.daddr.words[0] = ip->daddr;
	p->key.protocol = ip->protocol;
	p->ttl = ip->ttl;
	if (ip->protocol == IPPROTO_ICMP)
		return parse_icmp(skb, ip->ihl);
	if (ip->protocol != IPPROTO_TCP && ip->protocol != IPPROTO_UDP)
		return OTHER;
	if (ip->ihl != 5 || ip->frag_off & bpf_htons(IP_MF | IP_OFFSET))
		return FRAGMENT;
	return ip_checksum_ok(ip) ? FORWARDABLE : MALFORMED;
}

/* ---- rewriting: the header's checksum follows each change (RFC 1624, equation 3) ---- */

static __always_inline void decrease_ttl(struct __sk_buff *skb, struct iphdr *ip)
{
	__u16 *word = (void *)&ip->ttl, before = *word;

	ip->ttl--;
	ip->check = ~fold_checksum((__u64)(__u16)~ip->check + (__u16)~before + *word);
}

/* In the TCP or UDP checksum at `offset`. */
static __always_inline long replace_in_checksum(struct __sk_buff *skb, __u32 offset, const ip_address *from,
												const ip_address *to, __u64 flags)
{
	return bpf_l4_csum_replace(skb, offset, from->words[0], to->words[0], flags | BPF_F_PSEUDO_HDR | sizeof(*to));
}

static __always_inline void replace_address(struct iphdr *ip, enum end end, const ip_address *from,
											const ip_address *to)
{
	__be32 before = from->words[0], after = to->words[0];

	ip->check = ~fold_checksum((__u64)(__u16)~ip->check + (__u32)~before + after);
	(&ip->saddr)[end] = after;
}

/* The header of a tunnel (RFC 2003) around a packet whose TTL has been decremented. */
static __always_inline void make_outer(struct iphdr *outer, const struct iphdr *ip, const ip_address *source,
									   const ip_address *server)
{
	const __u32 *words = (const void *)outer;

	outer->version = 4;
	outer->ihl = 5;
	outer->tos = outer_tos(ip->tos);
	outer->tot_len = bpf_htons(bpf_ntohs(ip->tot_len) + sizeof(*outer));
	outer->id = ip->id;
	outer->frag_off = settings.flags & CLEAR_DF ? 0 : ip->frag_off & bpf_htons(IP_DF);
	outer->ttl = ip->ttl;
	outer->protocol = IPPROTO_IPIP;
	outer->saddr = source->words[0];
	outer->daddr = server->words[0];
	outer->check = ~fold_checksum((__u64)words[0] + words[1] + words[2] + words[3] + words[4]);
}

static __always_inline void note_outer(struct __sk_buff *skb, struct iphdr *outer)
{
	/* The sum of a header with a checksum is zero. */
}
