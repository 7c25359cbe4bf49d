/* The data plane: what the director does with a packet, in the kernel. Twin: core/director.py.
 *
 * In the order in which a packet meets it:
 *
 *     a fragment, an ICMP error, anything odd    -> up to the core                         core.h
 *     a packet of a known connection             -> on to its real server, or to its client
 *     the first packet of a new connection       -> to the real server that is chosen      schedulers.h
 *     anything else                              -> to the director's own kernel
 *
 * It runs where frames come in (clsact, ingress, direct action), on every interface of the
 * director. What it can't decide is the core's business, and the core writes what it has decided
 * into the same table.
 */
#include "core.h"
#include "dr.h"
#include "nat.h"
#include "schedulers.h"
#include "templates.h"
#include "tun.h"
#include "way.h"

#define REUSE_FIN_WAIT 2 /* bit of conn_reuse_mode: in VS-TUN and VS-DR also half closed */
#define FTP_DATA bpf_htons(20)

static __always_inline struct counted *counted_for(__u32 server)
{
	return bpf_map_lookup_elem(&counted, &server);
}

/* ---- known connections ---- */

/* A client may use its port again when the connection that had it is over. */
static __always_inline bool makes_way(const struct packet *p, __u32 word)
{
	__u32 state = STATE(word);

	if (p->flow_key.protocol != IPPROTO_TCP || !(p->flags & TCP_SYN) || !settings.reuse)
		return false;
	return state == TIME_WAIT || state == CLOSE ||
		   (state == FIN_WAIT && METHOD(word) != NAT && settings.reuse & REUSE_FIN_WAIT);
}

/* Whether the packet can leave; if not, the core says why. */
static __always_inline bool passes(const struct packet *p, __u32 method, __u32 mtu)
{
	__u32 added = method == TUN && p->segments == 1 ? TUNNEL_HEADER : 0;

	if (method == NAT && p->unsummed) /* it gets a checksum, of all that is in it */
		return false;
	return p->ttl > 1 && p->longest + added <= mtu;
}

static __always_inline bool find_server(struct connection *request)
{
	struct server *server = server_at(request->server);

	return server && server->listed && (METHOD(request->word) == LOCAL || find_way(request->address, request));
}

static __always_inline int request(struct __sk_buff *skb, struct packet *p, struct connection *entry)
{
	__u32 method = METHOD(entry->word);
	struct counted *counted;
	struct server *server;
	bool done = false;

	if (entry->way.version != settings.version) {
		if (!find_server(entry))
			return to_core();
		entry->way.version = settings.version;
	}
	if (method != LOCAL && !passes(p, method, entry->mtu))
		return to_core();
	follow(&p->flow_key, entry, p, method == NAT ? IN : HALF);
	if (entry->packets < MAX_PACKETS)
		entry->packets++;
	counted = counted_for(entry->server);
	if (counted) {
		counted->packets_in += p->segments;
		counted->bytes_in += p->length;
	}
	if (method == LOCAL)
		return TO_HOST;
	if (method == DR) {
		done = direct(skb);
	} else if (method == NAT) {
		done = translate(skb, p, DEST, entry->address, entry->port);
	} else {
		server = server_at(entry->server);
		done = server && tunnel(skb, p, server->own, entry->address);
	}
	return done ? leave(skb, &entry->way, p->now) : TC_ACT_SHOT;
}

/* The state of a steady connection is not changed by data: its request's entry need not be found. */
static __always_inline bool is_steady(const struct packet *p, const struct connection *entry)
{
	enum event event = event_now(p);

	return entry->word & FAST_REPLY && (event == ACK || event == NOTHING) && entry->expires > p->now;
}

static __always_inline bool reply_changes(const struct packet *p, struct connection *entry)
{
	struct flow_key flow_key = answering(&p->flow_key, entry);
	struct connection *request = bpf_map_lookup_elem(&connections, &flow_key);

	if (!request || request->word & REPLY || is_over(&flow_key, request, p->now))
		return false;
	follow(&flow_key, request, p, OUT);
	if (p->flow_key.protocol == IPPROTO_UDP) {
		__sync_fetch_and_or(&entry->word, FAST_REPLY);
		if (request->word & CORE_OWNED) /* both flow_key have spoken */
			tell(REPLIED, &flow_key, request, request->word, request->word, p->now);
	}
	entry->expires = request->expires;
	return true;
}

static __always_inline int reply(struct __sk_buff *skb, struct packet *p, struct connection *entry)
{
	struct counted *counted;

	if (entry->way.version != settings.version && !find_way(p->flow_key.dest, entry))
		return to_core();
	if (!passes(p, NAT, entry->mtu))
		return to_core();
	if (is_steady(p, entry))
		entry->expires = p->now + settings.timeouts[p->flow_key.protocol == IPPROTO_UDP ? UDP_STATE : ESTABLISHED];
	else if (!reply_changes(p, entry))
		return to_core();
	counted = counted_for(entry->server);
	if (counted) {
		counted->packets_out += p->segments;
		counted->bytes_out += p->length;
	}
	return translate(skb, p, SOURCE, entry->address, entry->port) ? leave(skb, &entry->way, p->now) : TC_ACT_SHOT;
}

/* ---- new ones ---- */

/* Writes a new connection into the table; the request's entry, or NULL where there is no room. */
static __always_inline struct connection *begin(const struct packet *p, __u32 number, __u32 word,
												const struct server *server, __be16 port)
{
	struct connection entry = {}, back = {}, *other;
	struct flow_key key;

	entry.word = word;
	entry.server = number;
	entry.address = server->address;
	entry.port = port;
	entry.expires = p->now + settings.timeouts[p->flow_key.protocol == IPPROTO_UDP ? UDP_STATE : NONE];
	entry.way.version = settings.version - 1;
	if (METHOD(word) == NAT) {
		key = answering(&p->flow_key, &entry);
		back.word = word | REPLY;
		back.server = number;
		back.address = p->flow_key.dest;
		back.port = p->flow_key.dport;
		back.way.version = settings.version - 1;
		if (bpf_map_update_elem(&connections, &key, &back, BPF_ANY))
			return NULL;
	}
	if (bpf_map_update_elem(&connections, &p->flow_key, &entry, BPF_NOEXIST)) {
		other = bpf_map_lookup_elem(&connections, &p->flow_key); /* of a processor that was quicker, if any */
		if (METHOD(word) == NAT && !(other && other->address == entry.address && other->port == entry.port))
			bpf_map_delete_elem(&connections, &key);
		return NULL;
	}
	__sync_fetch_and_add(&totals.used, 1);
	return bpf_map_lookup_elem(&connections, &p->flow_key);
}

static __always_inline struct service *service_of(const struct flow_key *flow_key)
{
	struct service_key key = {flow_key->dest, flow_key->dport, flow_key->protocol};

	return bpf_map_lookup_elem(&services, &key);
}

/* Whether it is the core that chooses a server. */
static __always_inline bool chosen_by_core(const struct service *service)
{
	return service->scheduler == BY_CORE || settings.flags & UPCALL_NEW ||
		   totals.used + totals.core + totals.templates >= settings.limit;
}

static __noinline int arrival(struct __sk_buff *skb, struct packet *p)
{
	bool tcp = p->flow_key.protocol == IPPROTO_TCP;
	struct connection *entry;
	struct service *service;
	struct counted *counted;
	struct server *server;
	__u32 number, word;

	if (settings.flags & UPCALL_UNSOLICITED)
		return to_core_or_both(skb, p->flow_key.dest);
	if ((tcp && (p->flags & TCP_RST || !(p->flags & TCP_SYN))) || p->flow_key.sport == FTP_DATA)
		return TO_HOST;
	service = service_of(&p->flow_key);
	if (!service)
		return settings.flags & HAS_WILDCARDS && is_vip(p->flow_key.dest) ? to_core() : TO_HOST;
	if (chosen_by_core(service))
		return to_core();
	number = service->scheduler == BY_TEMPLATE ? bound_to(service, p) : pick(service, &p->flow_key);
	server = number == NOBODY ? NULL : server_at(number);
	if (!server)
		return to_core();
	word = server->method << 4 | (tcp ? NONE : UDP_STATE) | (service->scheduler == BY_TEMPLATE ? CORE_OWNED : 0);
	count(number, word, 1); /* before others can find it, and count its end */
	entry = begin(p, number, word, server, server->port ? server->port : p->flow_key.dport);
	if (!entry) {
		count(number, word, -1);
		return to_core();
	}
	tell(OPENED, &p->flow_key, entry, word, word, p->now);
	counted = counted_for(number);
	if (counted)
		counted->connections++;
	return request(skb, p, entry);
}

static __always_inline int after_another(struct __sk_buff *skb, struct packet *p, struct connection *over)
{
	end(&p->flow_key, over, p->now);
	return arrival(skb, p);
}

/* What has made way is counted until the connection that it made way for has its server. */
static __always_inline int in_place_of(struct __sk_buff *skb, struct packet *p, struct connection *leaving)
{
	struct service *service = service_of(&p->flow_key);
	__u32 server = leaving->server, last;
	bool taken_out;
	int verdict;

	if (!service || chosen_by_core(service))
		return to_core();
	taken_out = take_out(&p->flow_key, leaving, &last);
	if (taken_out)
		tell(EXPIRED, &p->flow_key, leaving, last, last, p->now);
	verdict = arrival(skb, p);
	if (taken_out)
		count(server, last, -1);
	return verdict;
}

SEC("tc")
int ingress(struct __sk_buff *skb)
{
	struct packet p = {};
	struct connection *entry;
	bool over;

	switch (parse(skb, &p)) {
	case OTHER:
		return TO_HOST;
	case ERROR:
		bpf_clone_redirect(skb, settings.up, 0);
		return TO_HOST;
	case FRAGMENT:
	case MALFORMED:
		return to_core_or_both(skb, p.flow_key.dest);
	case FORWARDABLE:
		break;
	}
	p.now = bpf_ktime_get_coarse_ns();
	entry = bpf_map_lookup_elem(&connections, &p.flow_key);
	if (!entry)
		return arrival(skb, &p);
	if (entry->word & UPCALL)
		return to_core();
	if (entry->word & REPLY)
		return reply(skb, &p, entry);
	if (settings.flags & UPCALL_SYN && p.flags & TCP_SYN)
		return to_core();
	over = is_over(&p.flow_key, entry, p.now);
	if (!over && !makes_way(&p, entry->word))
		return request(skb, &p, entry);
	if (entry->word & CORE_OWNED)
		return to_core();
	return over ? after_another(skb, &p, entry) : in_place_of(skb, &p, entry);
}

/* ---- what the time brings ---- */

struct walk {
	__u64 now, earliest;
};

static long look_at(void *map, struct flow_key *flow_key, struct connection *entry, struct walk *walk)
{
	if (entry->word & (REPLY | CORE_OWNED))
		return 0;
	if (is_over(flow_key, entry, walk->now))
		end(flow_key, entry, walk->now);
	else if (entry->expires < walk->earliest)
		walk->earliest = entry->expires;
	return 0;
}

/* Ends the connections whose time has come; run by the director's process, now and then, and in its own
 * time: the walk through a large table takes a while, in which a program of the network's kind would keep
 * its processor from all packets. */
SEC("syscall")
int sweep(void *nothing)
{
	struct walk walk = {bpf_ktime_get_ns(), ~0ull};

	bpf_for_each_map_elem(&connections, look_at, &walk, 0);
	totals.earliest = walk.earliest;
	return 0;
}

/* ---- what the core asks for ---- */

/* Changes a word, if it is what the core has seen: 1 if so, 2 if it has become another one, 0 if it is gone. */
SEC("syscall")
int change(struct change *wanted)
{
	struct flow_key flow_key = wanted->flow_key;
	struct connection *entry = bpf_map_lookup_elem(&connections, &flow_key);

	if (!entry)
		return 0;
	if (__sync_val_compare_and_swap(&entry->word, wanted->before, wanted->after) != wanted->before)
		return 2;
	if (wanted->expires != UNCHANGED)
		entry->expires = wanted->expires;
	if (entry->packets < wanted->packets)
		entry->packets = wanted->packets;
	return 1;
}

/* Takes a connection out: 1, and its last word; 0 if it is gone. */
SEC("syscall")
int take(struct change *wanted)
{
	struct flow_key flow_key = wanted->flow_key;
	struct connection *request = bpf_map_lookup_elem(&connections, &flow_key);
	__u32 last;

	if (!request || request->word & REPLY || !take_out(&flow_key, request, &last))
		return 0;
	wanted->after = last;
	return 1;
}

char terms[] SEC("license") = "GPL";
