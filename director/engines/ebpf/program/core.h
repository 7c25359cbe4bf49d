/* The way up: packets for the core, which sees them as if it had heard them on the wire itself. */
#pragma once

#include "packet.h"

/* The core decides, and nobody else gets to see the packet. */
static __always_inline int to_core(void)
{
	return bpf_redirect(settings.up, 0);
}

/* Whether an address is that of a service, or one whose packets may carry a mark. */
static __always_inline bool is_vip(__be32 address)
{
	struct prefix key = {.length = 32, .address = address};

	return bpf_map_lookup_elem(&vips, &key) != NULL;
}

/* The core decides about what is for a VIP; of the rest it gets a copy, the kernel the packet. */
static __always_inline int to_core_or_both(struct __sk_buff *skb, __be32 dest)
{
	if (is_vip(dest))
		return to_core();
	bpf_clone_redirect(skb, settings.up, 0);
	return TO_HOST;
}
