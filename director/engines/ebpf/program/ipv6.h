/* What is specific to IPv6 (RFC 8200); ipv4.h has the same for IPv4. Twin: scapy/ipv6.py.
 *
 * The header has no checksum. So if a network card has summed up the whole packet (CHECKSUM_COMPLETE), that sum
 * must follow every change: bpf_csum_update does it, and nothing for all other packets.
 */
#pragma once

#include <linux/ipv6.h>

#define ETHERTYPE ETH_P_IPV6
#define ADDRESS_FAMILY 10 /* AF_INET6 */
#define ENCAPSULATION BPF_F_ADJ_ROOM_ENCAP_L3_IPV6
#define MIN_TUNNEL_MTU (1280 + sizeof(struct ipv6hdr)) /* of a narrower tunnel, the core refuses all packets */

#define ip_header ipv6hdr

/* Whether no packet from the network can have this source: multicast, ::1, or IPv4-mapped. Twin:
 * core/family.py. */
static __always_inline bool is_martian(const ip_address *source)
{
	const __be32 *words = source->words;

	if (words[0] || words[1])
		return bpf_ntohl(words[0]) >> 24 == 0xff;
	return words[2] == bpf_htonl(0xffff) || (!words[2] && words[3] == bpf_htonl(1));
}

/* ---- extension headers: the core acts on them, the program only finds out whether a packet is for it ---- */

#define MAX_EXTENSIONS 8
#define EXTENSION_UNIT 8 /* bytes */
#define FRAGMENT_OF 0xfff9 /* offset and "more" in a fragment header */
#define FIRST_INFORMATIONAL 128 /* ICMPv6 types below it are errors */

struct extension {
	__u8 next, length;
	__be16 offset; /* in a fragment header */
};

static __always_inline bool is_extension(__u32 protocol)
{
	return protocol == IPPROTO_HOPOPTS || protocol == IPPROTO_ROUTING || protocol == IPPROTO_FRAGMENT ||
		   protocol == IPPROTO_AH || protocol == IPPROTO_DSTOPTS;
}

/* Malformed headers count as FRAGMENT: such packets go to the core, too, if they are for a virtual service. */
static __noinline int parse_extensions(struct __sk_buff *skb, __u32 protocol)
{
	struct extension header;
	__u32 at = L4_OFFSET, size;

	for (int walked = 0; walked < MAX_EXTENSIONS && is_extension(protocol); walked++) {
		if (bpf_skb_load_bytes(skb, at, &header, sizeof(header)))
			return FRAGMENT;
		size = (header.length + 1) * EXTENSION_UNIT;
		if (protocol == IPPROTO_FRAGMENT)
			size = EXTENSION_UNIT;
		else if (protocol == IPPROTO_AH)
			size = (header.length + 2) * 4;
		if (protocol == IPPROTO_FRAGMENT && header.offset & bpf_htons(FRAGMENT_OF)) {
			protocol = header.next;
			return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_DSTOPTS ? FRAGMENT
																								   : OTHER;
		}
		protocol = header.next;
		at += size;
	}
	if (protocol == IPPROTO_ICMPV6)
		return ICMP_ERROR; /* the core checks */
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || is_extension(protocol) ? FRAGMENT : OTHER;
}

static __always_inline enum kind parse_icmp(struct __sk_buff *skb)
{
	__u8 type;

	if (bpf_skb_load_bytes(skb, L4_OFFSET, &type, sizeof(type)))
		return OTHER;
	return type < FIRST_INFORMATIONAL ? ICMP_ERROR : OTHER;
}

/* FORWARDABLE means: as far as the IP header shows. */
static __always_inline enum kind parse_ip(struct __sk_buff *skb, const struct ipv6hdr *ip, struct packet *p)
{
	p->length = sizeof(*ip) + bpf_ntohs(ip->payload_len);
	if (ip->version != 6 || p->length + ETH_HLEN > skb->len)
		return MALFORMED;
	__builtin_memcpy(&p->key.saddr, &ip->saddr, sizeof(ip->saddr));
	__builtin_memcpy(&p->key.daddr, &ip->daddr, sizeof(ip->daddr));
	p->key.protocol = ip->nexthdr;
	p->ttl = ip->hop_limit;
	if (ip->nexthdr == IPPROTO_TCP || ip->nexthdr == IPPROTO_UDP)
		return FORWARDABLE;
	return ip->nexthdr == IPPROTO_ICMPV6 ? parse_icmp(skb) : parse_extensions(skb, ip->nexthdr);
}

/* ---- rewriting ---- */

static __always_inline void decrease_ttl(struct __sk_buff *skb, struct ipv6hdr *ip)
{
	__u16 *word = (void *)&ip->nexthdr, before = *word;

	ip->hop_limit--;
	bpf_csum_update(skb, (__u32)(__u16)~before + *word);
}

/* In the TCP or UDP checksum at `offset`. */
static __always_inline long replace_in_checksum(struct __sk_buff *skb, __u32 offset, ip_address *from,
												ip_address *to, __u64 flags)
{
	__s64 difference = bpf_csum_diff(from->words, sizeof(*from), to->words, sizeof(*to), 0);

	if (bpf_l4_csum_replace(skb, offset, 0, difference, flags | BPF_F_PSEUDO_HDR))
		return -1;
	bpf_csum_update(skb, difference); /* the helper assumes a checksum in the IP header */
	return 0;
}

static __always_inline void replace_address(struct ipv6hdr *ip, enum end end, const ip_address *from,
											const ip_address *to)
{
	__builtin_memcpy(&(&ip->saddr)[end], to, sizeof(*to));
}

/* The header of a tunnel (RFC 2473) around a packet whose hop limit has been decremented. */
static __always_inline void make_outer(struct ipv6hdr *outer, const struct ipv6hdr *ip, const ip_address *source,
									   const ip_address *server)
{
	__u8 class = outer_tos(ip->priority << 4 | ip->flow_lbl[0] >> 4);

	outer->version = 6;
	outer->priority = class >> 4;
	outer->flow_lbl[0] = class << 4; /* the flow label is 0 */
	outer->payload_len = bpf_htons(bpf_ntohs(ip->payload_len) + sizeof(*ip));
	outer->nexthdr = IPPROTO_IPV6;
	outer->hop_limit = ip->hop_limit;
	__builtin_memcpy(&outer->saddr, source, sizeof(*source));
	__builtin_memcpy(&outer->daddr, server, sizeof(*server));
}

static __always_inline void note_outer(struct __sk_buff *skb, struct ipv6hdr *outer)
{
	bpf_csum_update(skb, bpf_csum_diff(NULL, 0, (void *)outer, sizeof(*outer), 0));
}
