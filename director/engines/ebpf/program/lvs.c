/* The data plane in the kernel: what the director does with a packet. Twin: core/forwarding.py.
 *
 * `ingress` runs for every frame that arrives on one of the director's interfaces (tc, clsact
 * ingress, direct action). In this order, as below:
 *
 *     fragments, ICMP errors, extension headers, malformed packets -> to the core
 *     packets of an existing connection         -> to its real server, or to its client
 *     the first packet of a new connection      -> to the real server that the scheduler chooses
 *     anything else                             -> to the director's own kernel
 *
 * What the program cannot decide goes to the core, which writes its decision into the same maps.
 * The director's process runs the parts at the end: sweep, compare_and_swap, remove_connection, enter_records.
 */
#include "connection.h"
#include "output.h"
#include "rewrite.h"
#include "schedulers.h"

#define REUSE_FIN_WAIT 2 /* bit of conn_reuse_mode: VS-TUN and VS-DR connections may be half closed */
#define FTP_DATA bpf_htons(20)

/* These are not static: the verifier checks each only once, not in every state in which it is called. It then
 * assumes that any pointer can be NULL. */
__noinline int forward_request(struct __sk_buff *skb, struct packet *p, struct connection *entry);
__noinline int forward_reply(struct __sk_buff *skb, struct packet *p, struct connection *entry);
__noinline int open_connection(struct __sk_buff *skb, struct packet *p);
__noinline int end_replaced(struct packet *p, struct connection *old, __u32 *last);
static __always_inline bool is_reusable(const struct packet *p, __u32 flags);
static __always_inline int replace(struct __sk_buff *skb, struct packet *p, struct connection *old);

#define HAS_OPENED TC_ACT_OK /* no packet has this verdict */

SEC("tc")
int ingress(struct __sk_buff *skb)
{
	struct packet p = {};
	struct connection *entry;
	int verdict = HAS_OPENED;

	if (settings.flags & STAND_BY)
		return PASS;
	switch (parse(skb, &p)) {
	case OTHER:
		return PASS;
	case ICMP_ERROR:
		return pass_and_copy(skb);
	case FRAGMENT:
	case MALFORMED:
		return upcall_if_vip(skb, &p.key.daddr);
	case FORWARDABLE:
		break;
	}
	p.now = bpf_ktime_get_coarse_ns();
	entry = bpf_map_lookup_elem(&connections, &p.key);
	if (entry && entry->flags & UPCALL)
		return upcall();
	if (entry && entry->flags & REPLY)
		return forward_reply(skb, &p, entry);
	if (entry && settings.flags & UPCALL_SYN && p.tcp_flags & TCP_SYN)
		return upcall();
	if (!entry) {
		verdict = open_connection(skb, &p);
	} else if (has_expired(&p.key, entry, p.now) || is_reusable(&p, entry->flags)) {
		if (entry->flags & CORE_OWNED)
			return upcall();
		verdict = replace(skb, &p, entry);
	} else {
		return forward_request(skb, &p, entry);
	}
	if (verdict != HAS_OPENED)
		return verdict;
	entry = bpf_map_lookup_elem(&connections, &p.key);
	return entry ? forward_request(skb, &p, entry) : upcall();
}

/* ---- existing connections ---- */

/* A client may reuse a port whose connection is closing (conn_reuse_mode). */
static __always_inline bool is_reusable(const struct packet *p, __u32 flags)
{
	__u32 state = STATE(flags);

	if (p->key.protocol != IPPROTO_TCP || !(p->tcp_flags & TCP_SYN) || !settings.conn_reuse_mode)
		return false;
	return state == TIME_WAIT || state == CLOSE ||
		   (state == FIN_WAIT && METHOD(flags) != NAT && settings.conn_reuse_mode & REUSE_FIN_WAIT);
}

/* Whether the packet may leave; if not, the core sends the ICMP error. */
static __always_inline bool can_forward(const struct packet *p, __u32 method, __u32 mtu)
{
	__u32 added = method == TUN && p->segments == 1 ? sizeof(struct ip_header) : 0;

	if (method == TUN && mtu < MIN_TUNNEL_MTU)
		return false;
	if (method == NAT && p->no_checksum) /* the core computes it, over the whole packet */
		return false;
	return p->ttl > 1 && p->max_length + added <= mtu;
}

/* Checks again, after rules, routes or neighbours have changed, that the server can be reached. */
static __always_inline bool refresh_next_hop(struct connection *request)
{
	struct real_server *server = find_server(request->server);

	return server && server->configured &&
		   (METHOD(request->flags) == LOCAL || route_lookup(&request->address, request));
}

static __always_inline struct stats *find_stats(__u32 server)
{
	return bpf_map_lookup_elem(&server_stats, &server);
}

__noinline int forward_request(struct __sk_buff *skb, struct packet *p, struct connection *entry)
{
	struct real_server *server;
	bool done = false, is_due;
	__u32 method, before;
	struct stats *stats;

	if (!p || !entry)
		return TC_ACT_SHOT;
	method = METHOD(entry->flags);
	if (entry->next_hop.generation != settings.generation) {
		if (!refresh_next_hop(entry))
			return upcall();
		entry->next_hop.generation = settings.generation;
	}
	if (method != LOCAL && !can_forward(p, method, entry->mtu))
		return upcall();
	before = entry->flags;
	update_state(&p->key, entry, p, method == NAT ? INPUT : INPUT_ONLY);
	is_due = count_packet(entry);
	if (settings.flags & SEND_SYNC && (is_due || has_begun_to_end(before, entry->flags)))
		send_sync(&p->key, entry, p->now);
	stats = find_stats(entry->server);
	if (stats) {
		stats->packets_in += p->segments;
		stats->bytes_in += p->length;
	}
	if (method == LOCAL)
		return PASS;
	if (!remove_padding(skb, p))
		return TC_ACT_SHOT;
	if (method == DR) {
		done = rewrite_dr(skb);
	} else if (method == NAT) {
		done = rewrite_nat(skb, p, DEST, &entry->address, entry->port);
	} else {
		server = find_server(entry->server);
		done = server && rewrite_tun(skb, p, &server->tunnel_source.own, &entry->address);
	}
	return done ? transmit(skb, &entry->next_hop, p->now) : TC_ACT_SHOT;
}

/* Data does not change the state of an established connection: no need to look up its request's entry. */
static __always_inline bool is_fast_reply(const struct packet *p, const struct connection *entry)
{
	enum tcp_event event = event_of(p);

	return entry->flags & FAST_REPLY && (event == ACK || event == NO_EVENT) && entry->expires > p->now;
}

static __always_inline bool update_from_reply(const struct packet *p, struct connection *entry)
{
	struct flow_key key = opposite_key(&p->key, entry);
	struct connection *request = bpf_map_lookup_elem(&connections, &key);
	__u32 before;

	if (!request || request->flags & REPLY || has_expired(&key, request, p->now))
		return false;
	before = request->flags;
	update_state(&key, request, p, OUTPUT);
	if (settings.flags & SEND_SYNC && has_begun_to_end(before, request->flags))
		send_sync(&key, request, p->now);
	if (p->key.protocol == IPPROTO_UDP) {
		__sync_fetch_and_or(&entry->flags, FAST_REPLY);
		if (request->flags & CORE_OWNED)
			emit_event(REPLIED, &key, request, request->flags, request->flags, p->now);
	}
	entry->expires = request->expires;
	return true;
}

__noinline int forward_reply(struct __sk_buff *skb, struct packet *p, struct connection *entry)
{
	struct stats *stats;

	if (!p || !entry)
		return TC_ACT_SHOT;
	if (entry->next_hop.generation != settings.generation && !route_lookup(&p->key.daddr, entry))
		return upcall();
	if (!can_forward(p, NAT, entry->mtu))
		return upcall();
	if (is_fast_reply(p, entry))
		entry->expires = p->now + settings.timeouts[p->key.protocol == IPPROTO_UDP ? UDP_STATE : ESTABLISHED];
	else if (!update_from_reply(p, entry))
		return upcall();
	stats = find_stats(entry->server);
	if (stats) {
		stats->packets_out += p->segments;
		stats->bytes_out += p->length;
	}
	if (!remove_padding(skb, p) || !rewrite_nat(skb, p, SOURCE, &entry->address, entry->port))
		return TC_ACT_SHOT;
	return transmit(skb, &entry->next_hop, p->now);
}

/* ---- new connections ---- */

static __always_inline struct virtual_service *find_service(const struct flow_key *key)
{
	struct service_key service_key = {key->daddr, key->dport, key->protocol};

	return bpf_map_lookup_elem(&services, &service_key);
}

static __always_inline bool core_schedules(const struct virtual_service *service)
{
	return service->scheduler == BY_CORE || settings.flags & UPCALL_NEW ||
		   totals.connections + totals.core_connections + totals.templates >= settings.conn_limit;
}

/* Inserts a connection with this server; false if there is no room, or another processor was faster. */
static __always_inline bool insert(const struct packet *p, __u32 number, __u32 flags,
								   const struct real_server *server, __be16 port)
{
	struct connection request = {}, reply = {}, *other;
	struct flow_key key = p->key, reply_key; /* copies on the stack: Linux 6.1 accepts no other keys */

	request.flags = flags;
	request.server = number;
	request.address = server->address.own;
	request.port = port;
	request.expires = p->now + settings.timeouts[p->key.protocol == IPPROTO_UDP ? UDP_STATE : NONE];
	request.next_hop.generation = settings.generation - 1;
	if (METHOD(flags) == NAT) {
		reply_key = opposite_key(&key, &request);
		reply.flags = flags | REPLY;
		reply.server = number;
		reply.address = key.daddr;
		reply.port = key.dport;
		reply.next_hop.generation = settings.generation - 1;
		if (bpf_map_update_elem(&connections, &reply_key, &reply, BPF_ANY))
			return false;
	}
	if (bpf_map_update_elem(&connections, &key, &request, BPF_NOEXIST)) {
		other = bpf_map_lookup_elem(&connections, &key);
		if (METHOD(flags) == NAT &&
			!(other && is_same(&other->address, &request.address) && other->port == request.port))
			bpf_map_delete_elem(&connections, &reply_key);
		return false;
	}
	__sync_fetch_and_add(&totals.connections, 1);
	emit_event(OPENED, &key, &request, flags, flags, p->now);
	return true;
}

/* HAS_OPENED if the packet opens a connection; otherwise the verdict on the packet. */
__noinline int open_connection(struct __sk_buff *skb, struct packet *p)
{
	struct virtual_service *service;
	struct real_server *server;
	struct stats *stats;
	__u32 number, flags;
	bool tcp;

	if (!p)
		return TC_ACT_SHOT;
	tcp = p->key.protocol == IPPROTO_TCP;
	if (settings.flags & UPCALL_UNSOLICITED)
		return upcall_if_vip(skb, &p->key.daddr);
	if ((tcp && (p->tcp_flags & TCP_RST || !(p->tcp_flags & TCP_SYN))) || p->key.sport == FTP_DATA)
		return PASS;
	service = find_service(&p->key);
	if (!service)
		return settings.flags & HAS_WILDCARDS && is_vip(&p->key.daddr) ? upcall() : PASS;
	if (is_martian(&p->key.saddr)) /* the kernel drops it */
		return PASS;
	if (core_schedules(service) || find_kind(&p->key.saddr)) /* the core drops what no client can have sent */
		return upcall();
	number = choose_server(service, p);
	server = number == NO_SERVER ? NULL : find_server(number);
	if (!server)
		return upcall();
	flags = server->method << 4 | (tcp ? NONE : UDP_STATE) | (service->scheduler == BY_TEMPLATE ? CORE_OWNED : 0);
	count_connection(number, flags, 1); /* before another processor can find it, and count its end */
	if (!insert(p, number, flags, server, server->port ? server->port : p->key.dport)) {
		count_connection(number, flags, -1);
		return upcall();
	}
	stats = find_stats(number);
	if (stats)
		stats->connections++;
	return HAS_OPENED;
}

/* The same in place of a connection that has expired, or whose client may reuse its port: then the old one counts
 * until the new one has its server. */
static __always_inline int replace(struct __sk_buff *skb, struct packet *p, struct connection *old)
{
	bool expired = old->expires <= p->now, removed;
	struct virtual_service *service;
	__u32 server = old->server, last = 0;
	int verdict;

	if (!expired) {
		service = find_service(&p->key);
		if (!service || core_schedules(service))
			return upcall();
	}
	removed = end_replaced(p, old, &last);
	if (removed && expired)
		count_connection(server, last, -1);
	verdict = open_connection(skb, p);
	if (removed && !expired)
		count_connection(server, last, -1);
	return verdict;
}

__noinline int end_replaced(struct packet *p, struct connection *old, __u32 *last)
{
	return p && old && last && end(&p->key, old, last, p->now);
}

/* ---- run by the director's process ---- */

struct sweep {
	__u64 now, next_expiry;
};

static long expire_if_due(void *map, struct flow_key *key, struct connection *entry, struct sweep *sweep)
{
	if (entry->flags & (REPLY | CORE_OWNED))
		return 0;
	if (has_expired(key, entry, sweep->now))
		expire(key, entry, sweep->now);
	else if (entry->expires < sweep->next_expiry)
		sweep->next_expiry = entry->expires;
	return 0;
}

/* Ends the connections that have expired. A walk through a large table takes a while: a program of this type can
 * be preempted, while a network program would keep its processor from all packets. `next_expiry` becomes the
 * earliest expiry of the remaining ones, unless it is earlier already. */
SEC("syscall")
int sweep(__u64 *next_expiry)
{
	struct sweep sweep = {bpf_ktime_get_ns(), *next_expiry};

	bpf_for_each_map_elem(&connections, expire_if_due, &sweep, 0);
	*next_expiry = sweep.next_expiry;
	return 0;
}

/* Changes the flags of an entry. Returns 1; 2 if they are not `before` any more; 0 if the entry is gone. */
SEC("syscall")
int compare_and_swap(struct update *update)
{
	struct flow_key key = update->key;
	struct connection *entry = bpf_map_lookup_elem(&connections, &key);

	if (!entry)
		return 0;
	if (__sync_val_compare_and_swap(&entry->flags, update->before, update->after) != update->before)
		return 2;
	if (update->expires != UNCHANGED)
		entry->expires = update->expires;
	if (entry->packets < update->packets)
		entry->packets = update->packets;
	return 1;
}

/* Removes a connection. Returns 1, with its last flags in `after`; 0 if it is gone. */
SEC("syscall")
int remove_connection(struct update *update)
{
	struct flow_key key = update->key;
	struct connection *request = bpf_map_lookup_elem(&connections, &key);
	__u32 last;

	if (!request || request->flags & REPLY || !remove(&key, request, &last))
		return 0;
	update->after = last;
	return 1;
}

/* ---- connections from another director; twin: Receiver in core/sync.py ---- */

struct entering {
	__u64 limit;			/* of connections and templates */
	__u32 first, number;	/* of the records */
	__u32 packets, entered; /* at least from each client; answer: how many were entered */
};

enum entered { LEFT, IGNORED, ENTERED }; /* LEFT: for the core */

__noinline int enter_record(__u32 at, __u32 packets, __u64 limit);

/* Moves a known connection to a state; false if only the core may change it by now. */
static __always_inline bool move(const struct flow_key *key, struct connection *entry, __u32 state, __u64 expires,
								 __u32 packets, __u64 now)
{
	__u32 found = entry->flags, before = 0, after = 0;
	struct connection *reply;
	int attempt;

	for (attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
		before = found;
		if (before & (REMOVED | REPLY | UPCALL | CORE_OWNED))
			return false;
		after = (before & ~(STATES - 1)) | state;
		found = __sync_val_compare_and_swap(&entry->flags, before, after);
		if (found == before)
			break;
	}
	if (found != before)
		return false;
	entry->expires = expires;
	if (entry->packets < packets)
		entry->packets = packets;
	reply = find_reply(key, entry);
	if (reply) {
		__sync_fetch_and_and(&reply->flags, ~FAST_REPLY);
		reply->expires = 0;
	}
	if (before != after) {
		count_state_change(entry->server, before, after);
		emit_event(STATE_CHANGED, key, entry, before, after, now);
	}
	return true;
}

static __always_inline bool insert_synced(const struct flow_key *synced, struct connection *request)
{
	struct flow_key key = *synced, reply_key = opposite_key(synced, request);
	struct connection reply = {};

	if (bpf_map_update_elem(&connections, &key, request, BPF_NOEXIST))
		return false;
	if (METHOD(request->flags) == NAT) {
		reply.flags = request->flags | REPLY;
		reply.server = request->server;
		reply.address = key.daddr;
		reply.port = key.dport;
		reply.next_hop.generation = request->next_hop.generation;
		if (bpf_map_update_elem(&connections, &reply_key, &reply, BPF_ANY)) {
			bpf_map_delete_elem(&connections, &key);
			return false;
		}
	}
	__sync_fetch_and_add(&totals.connections, 1);
	return true;
}

__noinline int enter_record(__u32 at, __u32 packets, __u64 limit)
{
	__u64 now = bpf_ktime_get_ns(), expires;
	struct connection *known, request = {};
	struct received *message;
	struct real_server *server;
	struct sync_record *record;
	struct flow_key key = {};
	__u32 zero = 0, state, timeout;

	message = bpf_map_lookup_elem(&received, &zero);
	if (!message || at >= MAX_RECORDS)
		return LEFT;
	server = find_server(message->servers[at]);
	if (!server || !server->configured)
		return LEFT;
	record = (struct sync_record *)&message->records[at * sizeof(*record)];
	state = bpf_ntohs(record->state);
	if (record->protocol == IPPROTO_UDP && !state)
		state = UDP_STATE;
	else if (record->protocol != IPPROTO_TCP || state >= UDP_STATE)
		return LEFT;
	state &= STATES - 1; /* for the verifier */
	timeout = bpf_ntohl(record->timeout);
	expires = now + (timeout ? timeout * NANO : settings.timeouts[state]);
	key.saddr = record->caddr;
	key.daddr = record->vaddr;
	key.sport = record->cport;
	key.dport = record->vport;
	key.protocol = record->protocol;
	known = bpf_map_lookup_elem(&connections, &key);
	if (known) {
		if (known->flags & (REMOVED | REPLY | UPCALL | CORE_OWNED) || has_expired(&key, known, now))
			return LEFT;
		if (is_same(&known->address, &record->daddr) && known->port == record->dport)
			return move(&key, known, state, expires, packets, now) ? ENTERED : LEFT;
		if (record->flags & bpf_htonl(RECORD_INACTIVE)) /* about a connection that was replaced */
			return IGNORED;
		expire(&key, known, now);
	}
	if (totals.connections + totals.core_connections + totals.templates >= limit)
		return LEFT;
	request.expires = expires;
	request.flags = server->method << 4 | state | SYNCED;
	request.server = message->servers[at];
	request.packets = packets;
	request.address = record->daddr;
	request.port = record->dport;
	request.next_hop.generation = settings.generation - 1;
	count_connection(request.server, request.flags, 1);
	if (!insert_synced(&key, &request)) {
		count_connection(request.server, request.flags, -1);
		return LEFT;
	}
	emit_event(OPENED, &key, &request, request.flags, request.flags, now);
	return ENTERED;
}

static long enter_next(__u32 index, struct entering *entering)
{
	int done = enter_record(entering->first, entering->packets, entering->limit);

	if (done == LEFT)
		return 1;
	entering->first++;
	entering->entered += done == ENTERED;
	return 0;
}

/* Enters records of `received`, from `first` until one that only the core can enter; returns the index of that. */
SEC("syscall")
int enter_records(struct entering *context)
{
	struct entering entering = *context;

	if (entering.first < entering.number)
		bpf_loop(entering.number - entering.first, enter_next, &entering, 0);
	context->entered = entering.entered;
	return entering.first;
}

char _license[] SEC("license") = "GPL";
