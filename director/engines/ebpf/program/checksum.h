/* How a checksum follows a change (RFC 1624, equation 3). Twin: scapy/checksum.py. */
#pragma once

#include "packet.h"

static __always_inline __u16 folded(__u64 sum)
{
	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

/* IP's, when 32 bits of the header become others. */
static __always_inline void follow_word(struct iphdr *ip, __u32 before, __u32 after)
{
	ip->check = ~folded((__u64)(__u16)~ip->check + (__u32)~before + after);
}

static __always_inline void count_hop(struct iphdr *ip)
{
	__u16 *word = (void *)&ip->ttl, before = *word;

	ip->ttl--;
	ip->check = ~folded((__u64)(__u16)~ip->check + (__u16)~before + *word);
}
