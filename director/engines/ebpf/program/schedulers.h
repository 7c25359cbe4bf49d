/* Which real server a new connection gets. Twins: the files of core/schedulers; core/persistence.py.
 *
 * rr and wrr keep their position in one word, which is exchanged as a whole: if two processors choose at the same
 * time, one chooses again.
 */
#pragma once

#include "connection.h"

#define NO_SERVER 0xffffffff
#define ATTEMPTS 8 /* if another processor was faster */
#define MAX_STEPS (1 << 16)
#define NANOSECONDS 1000000000ull

static __always_inline __u32 member(const struct virtual_service *service, __u32 index)
{
	__u32 at = service->first_member + index, *number = bpf_map_lookup_elem(&members, &at);

	return number ? *number : NO_SERVER;
}

static __always_inline bool is_available(const struct real_server *server)
{
	return server->configured && server->weight && !server->overloaded;
}

/* The two counters change independently: a sum may be negative for a moment. */
static __always_inline __u64 sum(__s32 program, __s32 core)
{
	__s64 total = (__s64)program + core;

	return total > 0 ? total : 0;
}

static __always_inline __u64 active_connections(const struct real_server *server)
{
	return sum(server->active, server->core_active);
}

/* An active connection weighs as much as 256 inactive ones, as in ip_vs_lc. */
static __always_inline __u64 overhead(const struct real_server *server)
{
	return 256 * active_connections(server) + sum(server->inactive, server->core_inactive);
}

/* ---- rr, wrr ---- */

struct round {
	const struct virtual_service *service;
	__u32 index, current_weight; /* rr's weight stays 0 */
	__u32 chosen;
};

static long try_next_member(__u32 step, void *context)
{
	struct round *round = context;
	const struct virtual_service *service = round->service;
	struct real_server *server;
	__u32 number;

	if (++round->index >= service->size) {
		round->index = 0;
		round->current_weight = round->current_weight > service->step ? round->current_weight - service->step
																	   : service->max_weight;
	}
	number = member(service, round->index);
	server = find_server(number);
	if (!server || !is_available(server) || server->weight < round->current_weight)
		return 0;
	round->chosen = number;
	return 1;
}

static __always_inline __u32 round_robin(struct virtual_service *service)
{
	__u32 steps = service->scheduler == RR ? service->size : MAX_STEPS;

	for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
		__u64 before = service->position, after;
		struct round round = {service, before, before >> 32, NO_SERVER};

		bpf_loop(steps, try_next_member, &round, 0);
		if (round.chosen == NO_SERVER)
			return NO_SERVER;
		after = (__u64)round.current_weight << 32 | round.index;
		if (__sync_val_compare_and_swap(&service->position, before, after) == before)
			return round.chosen;
	}
	return NO_SERVER;
}

/* ---- lc, wlc, sed, nq: the least load per weight; on a tie, the first ---- */

struct search {
	const struct virtual_service *service;
	__u32 chosen, weight;
	__u64 load;
};

static long compare_load(__u32 index, void *context)
{
	struct search *search = context;
	__u32 scheduler = search->service->scheduler, number = member(search->service, index), weight;
	struct real_server *server = find_server(number);
	__u64 load;

	if (!server || !is_available(server))
		return 0;
	load = scheduler == LC || scheduler == WLC ? overhead(server) : active_connections(server) + 1;
	weight = scheduler == LC ? 1 : server->weight;
	if (search->chosen == NO_SERVER || load * search->weight < search->load * weight) {
		search->chosen = number;
		search->load = load;
		search->weight = weight;
	}
	return 0;
}

static long find_idle(__u32 index, void *context)
{
	struct search *search = context;
	__u32 number = member(search->service, index);
	struct real_server *server = find_server(number);

	if (!server || !is_available(server) || active_connections(server))
		return 0;
	search->chosen = number;
	return 1;
}

static __always_inline __u32 least_loaded(const struct virtual_service *service)
{
	struct search search = {service, NO_SERVER, 0, 0};

	if (service->scheduler == NQ)
		bpf_loop(service->size, find_idle, &search, 0);
	if (search.chosen == NO_SERVER)
		bpf_loop(service->size, compare_load, &search, 0);
	return search.chosen;
}

/* ---- dh, sh, mh: a hash table of servers, filled by the core ---- */

#define HASH_BITS 8
#define MH_BUCKETS 4093
#define MH_KEY 2654435761

/* Multiplicative hashing, for dh and sh. */
static __always_inline __u32 hash_address(__u32 address)
{
	return address * 0x61C88647u >> (32 - HASH_BITS);
}

#define ROTATE_LEFT(word, bits) ((word) << (bits) | (word) >> (64 - (bits)))

struct sip {
	__u64 v0, v1, v2, v3;
};

static __always_inline void sip_round(struct sip *s)
{
	s->v0 += s->v1;
	s->v2 += s->v3;
	s->v1 = ROTATE_LEFT(s->v1, 13) ^ s->v0;
	s->v3 = ROTATE_LEFT(s->v3, 16) ^ s->v2;
	s->v0 = ROTATE_LEFT(s->v0, 32) + s->v3;
	s->v2 += s->v1;
	s->v3 = ROTATE_LEFT(s->v3, 21) ^ s->v0;
	s->v1 = ROTATE_LEFT(s->v1, 17) ^ s->v2;
	s->v2 = ROTATE_LEFT(s->v2, 32);
}

/* SipHash-1-3 of 32 bits, with the same key for both halves. */
static __always_inline __u32 siphash(__u64 value, __u64 key)
{
	struct sip s = {0x736F6D6570736575 ^ key, 0x646F72616E646F6D ^ key, 0x6C7967656E657261 ^ key,
					0x7465646279746573 ^ key};
	__u64 word = (__u64)4 << 56 | value;

	s.v3 ^= word;
	sip_round(&s);
	s.v0 ^= word;
	s.v2 ^= 0xff;
	sip_round(&s);
	sip_round(&s);
	sip_round(&s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

struct lookup {
	const struct virtual_service *service;
	__u64 address; /* plus the client's port with SCHED_PORT */
	__u32 first, chosen;
};

static __always_inline bool try_bucket(struct lookup *lookup, __u32 bucket)
{
	__u32 at = lookup->service->first_bucket + bucket, *number = bpf_map_lookup_elem(&members, &at);
	struct real_server *server = number ? find_server(*number) : NULL;

	if (!server || !is_available(server))
		return false;
	lookup->chosen = *number;
	return true;
}

static long try_fallback_bucket(__u32 step, void *context)
{
	struct lookup *lookup = context;

	if (lookup->service->scheduler == SH)
		return try_bucket(lookup, (2 * lookup->first + step) % (1 << HASH_BITS));
	return try_bucket(lookup, siphash(lookup->address + (lookup->first + step) % MH_BUCKETS, MH_KEY) % MH_BUCKETS);
}

/* One word; the four of IPv6 are combined by exclusive or. */
static __always_inline __be32 fold_address(const ip_address *address)
{
	__be32 folded = 0;

	for (int at = 0; at < WORDS; at++)
		folded ^= address->words[at];
	return folded;
}

static __always_inline __u32 hashed(const struct virtual_service *service, const struct flow_key *key)
{
	struct lookup lookup = {service, 0, 0, NO_SERVER};
	__u32 scheduler = service->scheduler;

	lookup.address = bpf_ntohl(fold_address(scheduler == DH ? &key->daddr : &key->saddr));
	if (service->flags & SCHED_PORT)
		lookup.address += bpf_ntohs(key->sport);
	lookup.first = scheduler == MH ? siphash(lookup.address, MH_KEY) % MH_BUCKETS : hash_address(lookup.address);
	if (!service->first_bucket || try_bucket(&lookup, lookup.first) || !(service->flags & SCHED_FALLBACK))
		return lookup.chosen;
	bpf_loop(scheduler == SH ? 1 << HASH_BITS : MH_BUCKETS, try_fallback_bucket, &lookup, 0);
	return lookup.chosen;
}

/* ---- persistence ----
 *
 * The core makes and ends templates. The program follows them, and notifies the core of each
 * connection that it opens by one, because a template lives as long as they do.
 */
static __always_inline __u32 by_template(const struct virtual_service *service, const struct packet *p)
{
	struct template_key key = {.vip = p->key.daddr, .port = p->key.dport, .protocol = p->key.protocol};
	struct template *template;
	struct real_server *server;

	for (int at = 0; at < WORDS; at++)
		key.network.words[at] = p->key.saddr.words[at] & service->netmask.words[at];
	template = bpf_map_lookup_elem(&templates, &key);
	server = template ? find_server(template->server) : NULL;
	if (!server || !server->configured || template->expires <= p->now)
		return NO_SERVER;
	if (!server->weight && settings.flags & EXPIRE_QUIESCENT)
		return NO_SERVER;
	template->expires = p->now + template->lifetime * NANOSECONDS;
	return template->server;
}

/* ---- the index in `servers`, or NO_SERVER: then the core decides ---- */

static __always_inline __u32 choose_server(struct virtual_service *service, const struct packet *p)
{
	if (service->scheduler == BY_TEMPLATE)
		return by_template(service, p);
	if (service->scheduler <= WRR)
		return round_robin(service);
	return service->scheduler <= NQ ? least_loaded(service) : hashed(service, &p->key);
}
