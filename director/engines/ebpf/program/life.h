/* The life of a connection: its states follow each other, and each is counted. Twin: core/connections.py. */
#pragma once

#include "packet.h"

static __always_inline struct server *server_at(__u32 number)
{
	return bpf_map_lookup_elem(&servers, &number);
}

static __always_inline bool is_active(__u32 word)
{
	return settings.active >> STATE(word) & 1;
}

static __always_inline void tell(enum happening what, const struct flow_key *flow_key,
								 const struct connection *entry, __u32 before, __u32 after, __u64 now)
{
	struct happened *event;

	if (!(settings.flags & EMIT_EVENTS || before & CORE_OWNED))
		return;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		__sync_fetch_and_add(&totals.lost_events, 1);
		return;
	}
	__builtin_memset(event, 0, sizeof(*event));
	event->what = what;
	event->time = now;
	event->before = before;
	event->after = after;
	event->flow_key = *flow_key;
	event->server = entry->server;
	event->address = entry->address;
	event->port = entry->port;
	event->expires = entry->expires;
	bpf_ringbuf_submit(event, 0);
}

/* Overloaded from the upper threshold on, until below the lower one, or 3/4 of the upper. */
static __always_inline void weigh(struct server *server)
{
	__s64 load = (__s64)server->active + server->inactive + server->core_active + server->core_inactive;

	if (!server->upper && !server->overloaded)
		return;
	if (server->upper && load >= server->upper)
		server->overloaded = 1;
	else if (server->lower)
		server->overloaded = server->overloaded && load >= server->lower;
	else if (4 * load < 3 * (__s64)server->upper || !server->upper)
		server->overloaded = 0;
}

static __always_inline void count(__u32 number, __u32 word, __s32 by)
{
	struct server *server = server_at(number);

	if (!server)
		return;
	if (is_active(word))
		__sync_fetch_and_add(&server->active, by);
	else
		__sync_fetch_and_add(&server->inactive, by);
	weigh(server);
}

static __always_inline void count_moved(__u32 number, __u32 before, __u32 after)
{
	struct server *server = server_at(number);
	__s32 by = is_active(after) - is_active(before);

	if (!server || !by)
		return;
	__sync_fetch_and_add(&server->active, by);
	__sync_fetch_and_add(&server->inactive, -by);
}

/* The flow_key of the entry that a request's packets have in its reply's, and the other way round. */
static __always_inline struct flow_key answering(const struct flow_key *flow_key, const struct connection *entry)
{
	struct flow_key other = {.protocol = flow_key->protocol};

	if (entry->word & REPLY) { /* server > client: the request is client > VIP */
		other.source = flow_key->dest;
		other.sport = flow_key->dport;
		other.dest = entry->address;
		other.dport = entry->port;
	} else {
		other.source = entry->address;
		other.sport = entry->port;
		other.dest = flow_key->source;
		other.dport = flow_key->sport;
	}
	return other;
}

/* The reply's entry of a request's, or NULL. */
static __always_inline struct connection *reply_of(const struct flow_key *flow_key, const struct connection *request)
{
	struct flow_key key;
	struct connection *reply;

	if (METHOD(request->word) != NAT)
		return NULL;
	key = answering(flow_key, request);
	reply = bpf_map_lookup_elem(&connections, &key);
	return reply && reply->word & REPLY && reply->address == flow_key->dest && reply->port == flow_key->dport ? reply
																									  : NULL;
}

/* Whether its time is over. A steady reply's entry keeps the time of both. */
static __always_inline bool is_over(const struct flow_key *flow_key, struct connection *request, __u64 now)
{
	struct connection *reply;

	if (request->expires > now)
		return false;
	reply = reply_of(flow_key, request);
	if (!reply || !(reply->word & FAST_REPLY) || reply->expires <= now)
		return true;
	request->expires = reply->expires;
	return false;
}

static __always_inline enum event event_now(const struct packet *p)
{
	return p->flow_key.protocol == IPPROTO_UDP ? NOTHING : event_of(p->flags);
}

static __always_inline __u32 next_state(__u32 state, enum view view, enum event event)
{
	if (event == NOTHING)
		return state;
	return settings.next[view][event & (EVENTS - 1)][state];
}

/* Moves a connection, by its request's entry, to the state that a packet leads to. */
static __always_inline void follow(const struct flow_key *flow_key, struct connection *request,
								   const struct packet *p, enum view view)
{
	__u32 before = request->word & ~REMOVED, state = next_state(STATE(before), view, event_now(p)), after;
	struct connection *reply;

	state &= STATES - 1; /* the verifier has to see that it is one */
	request->expires = p->now + settings.timeouts[state];
	if (state == STATE(before))
		return;
	after = (before & ~(STATES - 1)) | state;
	if (__sync_val_compare_and_swap(&request->word, before, after) != before)
		return; /* another processor was quicker with another packet, or has taken it out */
	count_moved(request->server, before, after);
	reply = reply_of(flow_key, request);
	if (reply && state == ESTABLISHED)
		__sync_fetch_and_or(&reply->word, FAST_REPLY);
	else if (reply)
		__sync_fetch_and_and(&reply->word, ~FAST_REPLY);
	tell(STATE_CHANGED, flow_key, request, before, after, p->now);
}

/* Takes a connection out of the table, by its request's entry; false if another processor was quicker.
 * `last` is the word that it ended with: nobody changes the state of what is gone. */
static __always_inline bool take_out(const struct flow_key *flow_key, struct connection *request, __u32 *last)
{
	struct flow_key key = answering(flow_key, request), own = *flow_key;
	bool replied = reply_of(flow_key, request) != NULL;

	*last = __sync_fetch_and_or(&request->word, REMOVED);
	if (*last & REMOVED)
		return false;
	bpf_map_delete_elem(&connections, &own);
	if (replied)
		bpf_map_delete_elem(&connections, &key);
	__sync_fetch_and_add(&totals.used, -1);
	return true;
}

static __always_inline void end(const struct flow_key *flow_key, struct connection *request, __u64 now)
{
	struct flow_key own = *flow_key;
	__u32 last;

	if (!take_out(&own, request, &last))
		return;
	tell(EXPIRED, &own, request, last, last, now);
	count(request->server, last, -1);
}
