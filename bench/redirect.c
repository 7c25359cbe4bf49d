/* The least that a program can do at this place: every IP packet goes to one server, whatever it is.
 *
 * VS-DR without a director: no rules, no table, no counters. How fast this is no program that does
 * more can be. TO and FROM are MAC addresses, as initialisers; INTERFACE is where the packets leave.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

SEC("tc")
int redirect(struct __sk_buff *skb)
{
	static const struct ethhdr frame = {.h_dest = {TO}, .h_source = {FROM}};

	if (skb->protocol != bpf_htons(ETH_P_IP))
		return TC_ACT_OK;
	bpf_skb_store_bytes(skb, 0, &frame, 2 * ETH_ALEN, 0);
	return bpf_redirect(INTERFACE, 0);
}

char terms[] SEC("license") = "GPL";
