/* Persistence: a client that has been served goes to the same real server. Twin: core/persistence.py.
 *
 * The core makes templates and flow_key them. The program only goes by one: it tells the core of each
 * connection that it opens so, because a template lives as long as they do.
 */
#pragma once

#include "schedulers.h"

#define NANOSECONDS 1000000000ull

/* The number of the server that the packet's client has, or NOBODY. */
static __always_inline __u32 bound_to(const struct service *service, const struct packet *p)
{
	struct client client = {p->flow_key.source & service->mask, p->flow_key.dest, p->flow_key.dport, p->flow_key.protocol};
	struct template *template = bpf_map_lookup_elem(&templates, &client);
	struct server *server = template ? server_at(template->server) : NULL;

	if (!server || !server->listed || template->expires <= p->now)
		return NOBODY;
	if (!server->weight && settings.flags & EXPIRE_QUIESCENT)
		return NOBODY;
	template->expires = p->now + template->lifetime * NANOSECONDS;
	return template->server;
}
