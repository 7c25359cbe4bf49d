/* Which real server a new connection gets. Twins: core/schedulers, one file each.
 *
 * What rr and wrr remember is one number, exchanged as a whole: of two processors that choose at
 * the same time, one chooses again.
 */
#pragma once

#include "life.h"

#define NOBODY 0xffffffff
#define ATTEMPTS 8 /* when another processor has chosen meanwhile */
#define MOST_STEPS (1 << 16)
#define MH_PLACES 4093
#define HASH_BITS 8

static __always_inline __u32 member(const struct service *service, __u32 place)
{
	__u32 at = service->first + place, *number = bpf_map_lookup_elem(&members, &at);

	return number ? *number : NOBODY;
}

static __always_inline bool is_available(const struct server *server)
{
	return server->listed && server->weight && !server->overloaded;
}

/* Each side counts for itself, one number after the other: a sum that is read meanwhile may be below 0. */
static __always_inline __u64 together(__s32 program, __s32 core)
{
	__s64 sum = (__s64)program + core;

	return sum > 0 ? sum : 0;
}

static __always_inline __u64 active_at(const struct server *server)
{
	return together(server->active, server->core_active);
}

static __always_inline __u64 overhead(const struct server *server)
{
	return 256 * active_at(server) + together(server->inactive, server->core_inactive);
}

/* ---- rr, wrr ---- */

struct turn {
	const struct service *service;
	__u32 place, bar; /* where the search has come to; rr's bar stays 0 */
	__u32 chosen;
};

static long take_turn(__u32 step, void *context)
{
	struct turn *turn = context;
	const struct service *service = turn->service;
	struct server *server;
	__u32 number;

	if (++turn->place >= service->size) {
		turn->place = 0;
		turn->bar = turn->bar > service->step ? turn->bar - service->step : service->top;
	}
	number = member(service, turn->place);
	server = server_at(number);
	if (!server || !is_available(server) || server->weight < turn->bar)
		return 0;
	turn->chosen = number;
	return 1;
}

static __always_inline __u32 in_turn(struct service *service)
{
	__u32 steps = service->scheduler == RR ? service->size : MOST_STEPS;

	for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
		__u64 before = service->turn;
		struct turn turn = {service, before, before >> 32, NOBODY};

		bpf_loop(steps, take_turn, &turn, 0);
		if (turn.chosen == NOBODY)
			return NOBODY;
		if (__sync_val_compare_and_swap(&service->turn, before, (__u64)turn.bar << 32 | turn.place) == before)
			return turn.chosen;
	}
	return NOBODY;
}

/* ---- lc, wlc, sed, nq: the least load per weight, the first of equals ---- */

struct search {
	const struct service *service;
	__u32 chosen, weight;
	__u64 load;
};

static long weigh_up(__u32 place, void *context)
{
	struct search *search = context;
	__u32 kind = search->service->scheduler, number = member(search->service, place), weight;
	struct server *server = server_at(number);
	__u64 load;

	if (!server || !is_available(server))
		return 0;
	load = kind == LC || kind == WLC ? overhead(server) : active_at(server) + 1;
	weight = kind == LC ? 1 : server->weight;
	if (search->chosen == NOBODY || load * search->weight < search->load * weight) {
		search->chosen = number;
		search->load = load;
		search->weight = weight;
	}
	return 0;
}

static long find_idle(__u32 place, void *context)
{
	struct search *search = context;
	__u32 number = member(search->service, place);
	struct server *server = server_at(number);

	if (!server || !is_available(server) || active_at(server))
		return 0;
	search->chosen = number;
	return 1;
}

static __always_inline __u32 least_loaded(const struct service *service)
{
	struct search search = {service, NOBODY, 0, 0};

	if (service->scheduler == NQ)
		bpf_loop(service->size, find_idle, &search, 0);
	if (search.chosen == NOBODY)
		bpf_loop(service->size, weigh_up, &search, 0);
	return search.chosen;
}

/* ---- dh, sh, mh: a table of places, filled by the core ---- */

static __always_inline __u32 fold(__u32 number)
{
	return number * 0x61C88647u >> (32 - HASH_BITS);
}

#define TURNED(word, bits) ((word) << (bits) | (word) >> (64 - (bits)))

struct sip {
	__u64 v0, v1, v2, v3;
};

static __always_inline void sip_round(struct sip *s)
{
	s->v0 += s->v1;
	s->v2 += s->v3;
	s->v1 = TURNED(s->v1, 13) ^ s->v0;
	s->v3 = TURNED(s->v3, 16) ^ s->v2;
	s->v0 = TURNED(s->v0, 32) + s->v3;
	s->v2 += s->v1;
	s->v3 = TURNED(s->v3, 21) ^ s->v0;
	s->v1 = TURNED(s->v1, 17) ^ s->v2;
	s->v2 = TURNED(s->v2, 32);
}

/* SipHash-1-3 of a number of 32 bits, with one key for both halves. */
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

struct places {
	const struct service *service;
	__u64 known_by;
	__u32 first, chosen;
};

static __always_inline bool try_place(struct places *places, __u32 place)
{
	__u32 at = places->service->places + place, *number = bpf_map_lookup_elem(&members, &at);
	struct server *server = number ? server_at(*number) : NULL;

	if (!server || !is_available(server))
		return false;
	places->chosen = *number;
	return true;
}

#define MH_LOOKUP 2654435761

static long fall_back(__u32 step, void *context)
{
	struct places *places = context;

	if (places->service->scheduler == SH)
		return try_place(places, (2 * places->first + step) % (1 << HASH_BITS));
	return try_place(places, siphash(places->known_by + (places->first + step) % MH_PLACES, MH_LOOKUP) % MH_PLACES);
}

static __always_inline __u32 hashed(const struct service *service, const struct flow_key *flow_key)
{
	struct places places = {service, 0, 0, NOBODY};
	__u32 kind = service->scheduler;

	places.known_by = bpf_ntohl(kind == DH ? flow_key->dest : flow_key->source);
	if (service->flags & PORT)
		places.known_by += bpf_ntohs(flow_key->sport);
	places.first = kind == MH ? siphash(places.known_by, MH_LOOKUP) % MH_PLACES : fold(places.known_by);
	if (!service->places || try_place(&places, places.first) || !(service->flags & FALLBACK))
		return places.chosen;
	bpf_loop(kind == SH ? 1 << HASH_BITS : MH_PLACES, fall_back, &places, 0);
	return places.chosen;
}

/* The number of a server, or NOBODY. */
static __always_inline __u32 pick(struct service *service, const struct flow_key *flow_key)
{
	if (service->scheduler <= WRR)
		return in_turn(service);
	return service->scheduler <= NQ ? least_loaded(service) : hashed(service, flow_key);
}
