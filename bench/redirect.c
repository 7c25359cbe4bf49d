/* The smallest program for a director's place: it sends every IP packet to one host.
 *
 * It has no rules, tables or counters, so its rate is the upper bound for a director in BPF.
 *
 * Macros: INTERFACE, where packets leave; TO and FROM, their MAC addresses, as initialisers. For VS-NAT
 * also AT, the offset of an address in the frame, and NEW, its new value. For VS-TUN also OUTER_FROM and
 * OUTER_TO, the outer addresses. IP addresses are in network byte order.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include <stdbool.h>
#include <stddef.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define ABOVE (ETH_HLEN + sizeof(struct iphdr))

#if defined(NEW)
static __always_inline bool rewrite(struct __sk_buff *skb)
{
	__u32 check, before, after = NEW;
	__u8 protocol;

	bpf_skb_load_bytes(skb, AT, &before, sizeof(before));
	bpf_skb_load_bytes(skb, ETH_HLEN + offsetof(struct iphdr, protocol), &protocol, sizeof(protocol));
	check = ABOVE + (protocol == IPPROTO_TCP ? offsetof(struct tcphdr, check) : offsetof(struct udphdr, check));
	return !bpf_l4_csum_replace(skb, check, before, after, BPF_F_PSEUDO_HDR | sizeof(after)) &&
		   !bpf_l3_csum_replace(skb, ETH_HLEN + offsetof(struct iphdr, check), before, after, sizeof(after)) &&
		   !bpf_skb_store_bytes(skb, AT, &after, sizeof(after), 0);
}
#elif defined(OUTER_TO)
static __always_inline bool rewrite(struct __sk_buff *skb)
{
	struct iphdr outer = {.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_IPIP, .saddr = OUTER_FROM, .daddr = OUTER_TO};
	__u64 flags = BPF_F_ADJ_ROOM_ENCAP_L3_IPV4;
	__u16 length;
	__s64 sum;

	if (skb->gso_size == 0)
		flags |= BPF_F_ADJ_ROOM_FIXED_GSO;
	bpf_skb_load_bytes(skb, ETH_HLEN + offsetof(struct iphdr, tot_len), &length, sizeof(length));
	outer.tot_len = bpf_htons(bpf_ntohs(length) + sizeof(outer));
	sum = bpf_csum_diff(NULL, 0, (__be32 *)&outer, sizeof(outer), 0);
	sum = (sum & 0xffff) + (sum >> 16);
	outer.check = ~((sum & 0xffff) + (sum >> 16));
	return !bpf_skb_adjust_room(skb, sizeof(outer), BPF_ADJ_ROOM_MAC, flags) &&
		   !bpf_skb_store_bytes(skb, ETH_HLEN, &outer, sizeof(outer), 0);
}
#else
static __always_inline bool rewrite(struct __sk_buff *skb)
{
	return true;
}
#endif

SEC("tc")
int redirect(struct __sk_buff *skb)
{
	struct ethhdr frame = {.h_dest = {TO}, .h_source = {FROM}};

	if (skb->protocol != bpf_htons(ETH_P_IP))
		return TC_ACT_OK;
	if (!rewrite(skb))
		return TC_ACT_SHOT;
	bpf_skb_store_bytes(skb, 0, &frame, 2 * ETH_ALEN, 0);
	return bpf_redirect(INTERFACE, 0);
}

char terms[] SEC("license") = "GPL";
