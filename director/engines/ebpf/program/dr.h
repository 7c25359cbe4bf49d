/* VS-DR: the packet goes on unchanged, in a frame for the real server's MAC address.
 *
 *     client > VIP:80, to the director's MAC   becomes   client > VIP:80, to the real server's MAC
 *
 * Twin: scapy/dr.py.
 */
#pragma once

#include "checksum.h"

static __always_inline bool direct(struct __sk_buff *skb)
{
	void *data = start_of(skb);

	if (!reaches(skb, data, NEXT_HEADER))
		return false;
	count_hop(data + ETH_HLEN); /* as every router does; the MAC address comes where the frame is made */
	return true;
}
