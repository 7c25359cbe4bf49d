/* A connection from its first packet to its end: state, timeout, counters. Twin: core/connections.py. */
#pragma once

#include "packet.h"

static __always_inline struct real_server *find_server(__u32 number)
{
	return bpf_map_lookup_elem(&servers, &number);
}

static __always_inline bool is_active(__u32 flags)
{
	return settings.active_states >> STATE(flags) & 1;
}

static __always_inline void emit_event(enum event_type type, const struct flow_key *key,
									   const struct connection *entry, __u32 before, __u32 after, __u64 now)
{
	struct event *event;

	if (type != SYNC_DUE && !(settings.flags & EMIT_EVENTS || before & CORE_OWNED))
		return;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		__sync_fetch_and_add(&totals.lost_events, 1);
		return;
	}
	__builtin_memset(event, 0, sizeof(*event));
	event->type = type;
	event->time = now;
	event->before = before;
	event->after = after;
	event->key = *key;
	event->server = entry->server;
	event->address = entry->address;
	event->port = entry->port;
	event->packets = entry->packets;
	event->expires = entry->expires;
	bpf_ringbuf_submit(event, 0);
}

/* ---- connections per server ---- */

/* Overloaded from the upper threshold on, until below the lower one, or below 3/4 of the upper one. */
static __always_inline void update_overload(struct real_server *server)
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

static __always_inline void count_connection(__u32 number, __u32 flags, __s32 by)
{
	struct real_server *server = find_server(number);

	if (!server)
		return;
	if (is_active(flags))
		__sync_fetch_and_add(&server->active, by);
	else
		__sync_fetch_and_add(&server->inactive, by);
	update_overload(server);
}

static __always_inline void count_state_change(__u32 number, __u32 before, __u32 after)
{
	struct real_server *server = find_server(number);
	__s32 by = is_active(after) - is_active(before);

	if (!server || !by)
		return;
	__sync_fetch_and_add(&server->active, by);
	__sync_fetch_and_add(&server->inactive, -by);
}

/* ---- the two entries of a VS-NAT connection ---- */

/* The key of the opposite direction: for a request's entry that of the reply, and vice versa. */
static __always_inline struct flow_key opposite_key(const struct flow_key *key, const struct connection *entry)
{
	struct flow_key opposite = {.protocol = key->protocol};

	if (entry->flags & REPLY) { /* server > client: the request is client > VIP */
		opposite.saddr = key->daddr;
		opposite.sport = key->dport;
		opposite.daddr = entry->address;
		opposite.dport = entry->port;
	} else {
		opposite.saddr = entry->address;
		opposite.sport = entry->port;
		opposite.daddr = key->saddr;
		opposite.dport = key->sport;
	}
	return opposite;
}

/* The reply entry that belongs to a request's, or NULL. */
static __always_inline struct connection *find_reply(const struct flow_key *key, const struct connection *request)
{
	struct flow_key reply_key;
	struct connection *reply;

	if (METHOD(request->flags) != NAT)
		return NULL;
	reply_key = opposite_key(key, request);
	reply = bpf_map_lookup_elem(&connections, &reply_key);
	if (!reply || !(reply->flags & REPLY))
		return NULL;
	return is_same(&reply->address, &key->daddr) && reply->port == key->dport ? reply : NULL;
}

/* ---- state and time ---- */

/* A fast reply's entry holds the timeout of both directions. */
static __always_inline bool has_expired(const struct flow_key *key, struct connection *request, __u64 now)
{
	struct connection *reply;

	if (request->expires > now)
		return false;
	reply = find_reply(key, request);
	if (!reply || !(reply->flags & FAST_REPLY) || reply->expires <= now)
		return true;
	request->expires = reply->expires;
	return false;
}

static __always_inline __u32 next_state(__u32 state, enum direction direction, enum tcp_event event)
{
	if (event == NO_EVENT)
		return state;
	return settings.transitions[direction][event & (TCP_EVENTS - 1)][state];
}

#define MAX_ATTEMPTS 4 /* attempts: hardly more packets of one connection are processed at once */

/* Applies a packet to the state of a connection, given its request's entry. */
static __always_inline void update_state(const struct flow_key *key, struct connection *request,
										 const struct packet *p, enum direction direction)
{
	__u32 found = request->flags & ~REMOVED, before = 0, state = 0, after = 0;
	struct connection *reply;
	int attempt;

	for (attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
		before = found;
		state = next_state(STATE(before), direction, event_of(p)) & (STATES - 1); /* for the verifier */
		request->expires = p->now + settings.timeouts[state];
		if (state == STATE(before))
			return;
		after = (before & ~(STATES - 1)) | state;
		found = __sync_val_compare_and_swap(&request->flags, before, after);
		if (found == before)
			break;
		if (found & REMOVED)
			return;
		/* another processor has handled another packet: apply this one after it */
	}
	if (found != before)
		return;
	count_state_change(request->server, before, after);
	reply = find_reply(key, request);
	if (reply && state == ESTABLISHED)
		__sync_fetch_and_or(&reply->flags, FAST_REPLY);
	if (reply && STATE(request->flags) != ESTABLISHED) /* by now, and nobody else would clear it */
		__sync_fetch_and_and(&reply->flags, ~FAST_REPLY);
	emit_event(STATE_CHANGED, key, request, before, after, p->now);
}

/* ---- synchronisation with another director; core/sync.py has the rules ---- */

/* Whether a packet has brought the connection to an end. */
static __always_inline bool has_begun_to_end(__u32 before, __u32 after)
{
	return STATE(before) != STATE(after) && STATE(after) != ESTABLISHED &&
		   settings.sync_states >> STATE(after) & 1;
}

/* Counts a packet from the client; whether the connection is now due to be sent. */
static __always_inline bool count_packet(struct connection *request)
{
	__u32 packets = request->packets;

	if (packets < MAX_PACKETS)
		request->packets = ++packets;
	else if (settings.sync_wrap)
		request->packets = packets = packets + 1 - settings.sync_wrap;
	if (!(settings.sync_states >> STATE(request->flags) & 1))
		return false;
	if (settings.sync_period)
		packets %= settings.sync_period;
	return packets == settings.sync_threshold;
}

/* IP_VS_CONN_F_* in a record; sync.py: _flags. */
static __always_inline __u32 record_flags(__u32 flags)
{
	__u32 method = METHOD(flags), found = 0;

	if (method != NAT)
		found = (method == LOCAL ? RECORD_LOCAL : method + 1) | RECORD_NO_OUTPUT;
	if (flags & SYNCED)
		found |= RECORD_SYNC;
	return is_active(flags) ? found : found | RECORD_INACTIVE;
}

/* Sends a connection. Records wait until the core reads them, once a second; every 320 of them wake it. */
static __always_inline void send_sync(const struct flow_key *key, const struct connection *request, __u64 now)
{
	__u32 flags = request->flags, state = STATE(flags);
	struct sync_record *record;

	if (!(settings.flags & SEND_ENCODED) || flags & (CORE_OWNED | MARKED)) {
		emit_event(SYNC_DUE, key, request, flags, flags, now);
		return;
	}
	record = bpf_ringbuf_reserve(&sync_records, sizeof(*record), 0);
	if (!record) {
		__sync_fetch_and_add(&totals.lost_records, 1);
		return;
	}
	record->type = FAMILY == 6;
	record->protocol = key->protocol;
	record->size = bpf_htons(sizeof(*record));
	record->flags = bpf_htonl(record_flags(flags));
	record->state = bpf_htons(state == UDP_STATE ? 0 : state);
	record->cport = key->sport;
	record->vport = key->dport;
	record->dport = request->port;
	record->mark = 0;
	record->timeout = bpf_htonl(settings.timeouts[state] / NANO);
	record->caddr = key->saddr;
	record->vaddr = key->daddr;
	record->daddr = request->address;
	bpf_ringbuf_submit(record, bpf_ringbuf_query(&sync_records, BPF_RB_AVAIL_DATA) % WAKE_AT < SLOT
								   ? BPF_RB_FORCE_WAKEUP
								   : BPF_RB_NO_WAKEUP);
}

/* Removes a connection, given its request's entry; false if another processor has done so. `last` gets its
 * final flags: nothing changes the state of a removed connection. */
static __always_inline bool remove(const struct flow_key *key, struct connection *request, __u32 *last)
{
	struct flow_key reply_key = opposite_key(key, request), own_key = *key;
	bool has_reply = find_reply(key, request) != NULL;

	*last = __sync_fetch_and_or(&request->flags, REMOVED);
	if (*last & REMOVED)
		return false;
	bpf_map_delete_elem(&connections, &own_key);
	if (has_reply)
		bpf_map_delete_elem(&connections, &reply_key);
	__sync_fetch_and_add(&totals.connections, -1);
	return true;
}

/* The same, with an event; its server still counts it. */
static __always_inline bool end(const struct flow_key *key, struct connection *request, __u32 *last, __u64 now)
{
	struct flow_key own_key = *key;

	if (!remove(&own_key, request, last))
		return false;
	emit_event(EXPIRED, &own_key, request, *last, *last, now);
	return true;
}

static __always_inline void expire(const struct flow_key *key, struct connection *request, __u64 now)
{
	__u32 last;

	if (end(key, request, &last, now))
		count_connection(request->server, last, -1);
}
