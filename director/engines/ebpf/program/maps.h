/* The maps that the program shares with the director's process; layouts.py packs and parses the same structs.
 *
 * The program is compiled for one version of IP, with -DFAMILY=4 or -DFAMILY=6, and loaded for each that is in
 * use. Both share settings, totals, events, and the maps by server number; the other maps are of one family.
 *
 * Numbers are in host byte order, addresses and ports in network byte order (__be32, __be16).
 * Times are nanoseconds of CLOCK_MONOTONIC.
 */
#pragma once

#include <linux/bpf.h>
#include <linux/types.h>

#include <stdbool.h>
#include <stddef.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define STATES 16 /* room for connection states, in the order of the core's `State`; a power of two */
enum state { NONE = 0, ESTABLISHED = 1, FIN_WAIT = 4, TIME_WAIT = 5, CLOSE = 6, UDP_STATE = 11 };
enum direction { INPUT, OUTPUT, INPUT_ONLY, DIRECTIONS = 4 };
enum tcp_event { NO_EVENT = -1, RST, SYN, FIN, ACK, NO_FLAG, TCP_EVENTS = 8 }; /* a power of two */
enum method { NAT, TUN, DR, LOCAL };
enum scheduler { BY_CORE, RR, WRR, LC, WLC, SED, NQ, DH, SH, MH, BY_TEMPLATE };

#if FAMILY == 4
#define WORDS 1
#else
#define WORDS 4
#endif

typedef struct {
	__be32 words[WORDS];
} ip_address;

static __always_inline bool is_same(const ip_address *left, const ip_address *right)
{
	__u32 differences = 0;

	for (int at = 0; at < WORDS; at++)
		differences |= left->words[at] ^ right->words[at];
	return !differences;
}

/* ---- connections: VS-NAT, whose replies pass the director, needs two entries; the others one ---- */

struct flow_key {
	ip_address saddr, daddr;
	__be16 sport, dport;
	__u8 protocol, zero[3];
};

/* Where a packet goes next; looked up again when `generation` differs from the settings'. */
struct next_hop {
	__u32 ifindex;
	ip_address address;
	__u8 dest_mac[6], source_mac[6]; /* dest_mac is all zero while it is unknown */
	__u32 generation;
};

/* 48 bytes, 64 with its key; for IPv6 72, 112 with its key. */
struct connection {
	__u64 expires;
	__u32 flags; /* state, forwarding method and the flags below; changed by compare-and-swap only */
	__u16 server;
	__u16 packets;	/* from the client, counted up to MAX_PACKETS */
	ip_address address; /* the new destination of a request, the new source of a reply */
	__be16 port;
	__u16 mtu;
	struct next_hop next_hop;
};

#define STATE(flags) ((flags)&0x0f)
#define METHOD(flags) ((flags) >> 4 & 0x03)
#define REPLY 0x40		 /* the entry for a real server's replies */
#define UPCALL 0x80		 /* the core decides about every packet (ftp control connections) */
#define CORE_OWNED 0x100 /* the core is notified of its events, and only the core ends it */
#define FAST_REPLY 0x200 /* reply entries: established, so that replies skip the request's entry */
#define REMOVED 0x400	 /* a processor has removed it: its state no longer changes */
#define SYNCED 0x800	 /* another director has sent it */
#define MARKED 0x1000	 /* its service has a firewall mark, which only the core knows */
#define MAX_PACKETS 0xffff

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 21);
	__type(key, struct flow_key);
	__type(value, struct connection);
} connections SEC(".maps");

/* A change that the core asks for: only the program can compare and swap. */
struct update {
	struct flow_key key;
	__u32 before, after; /* flags; remove_connection returns the last ones in `after` */
	__u64 expires;		 /* or UNCHANGED */
	__u32 packets, zero;
};

#define UNCHANGED (~0ull)

/* ---- virtual services and real servers ---- */

struct service_key {
	ip_address vip;
	__be16 port;
	__u8 protocol, zero;
};

struct virtual_service {
	__u32 scheduler;
	__u32 flags;
	__u32 first_member, size; /* its real servers, in `members` */
	__u32 first_bucket;		  /* its hash table, in `members` too; 0 for none */
	__u32 max_weight, step;	  /* wrr: where the current weight starts, and by how much it falls */
	ip_address netmask;		  /* BY_TEMPLATE: clients in one network share a server */
	__u64 position; /* rr, wrr: index of the last member; above it the current weight. Compare-and-swap only */
};

#define SCHED_FALLBACK 1 /* sh-fallback, mh-fallback */
#define SCHED_PORT 2	 /* sh-port, mh-port: hash the client's port, too */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, struct service_key);
	__type(value, struct virtual_service);
} services SEC(".maps");

/* Indexes into `servers`: the members and hash tables of all services, one after the other. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1 << 20);
	__type(key, __u32);
	__type(value, __u32);
} members SEC(".maps");

union any_address { /* of either family */
	ip_address own;
	__u8 room[16];
};

struct real_server {
	union any_address address;
	__be16 port;
	__u16 method;
	union any_address tunnel_source; /* the director's, in a tunnel to this server */
	__u32 configured;	  /* 0 when it was deleted while connections remain */
	__u32 weight;
	__u32 upper, lower; /* thresholds */
	__u32 overloaded;
	__s32 active, inactive;			  /* connections counted by this program ... */
	__s32 core_active, core_inactive; /* ... and by the core: the sum is their number */
};

#define SERVERS 16384
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SERVERS);
	__type(key, __u32);
	__type(value, struct real_server);
} servers SEC(".maps");

struct stats {
	__u64 connections, packets_in, packets_out, bytes_in, bytes_out;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SERVERS);
	__type(key, __u32);
	__type(value, struct stats);
} server_stats SEC(".maps");

/* What the core adds to server_stats: its own counts, less what was zeroed. The program does not read it. */
struct core_stats {
	__s64 connections, packets_in, packets_out, bytes_in, bytes_out;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SERVERS);
	__type(key, __u32);
	__type(value, struct core_stats);
} core_stats SEC(".maps");

/* ---- persistence templates: made by the core ---- */

struct template_key {
	ip_address network, vip;
	__be16 port;
	__u8 protocol, zero;
};

struct template {
	__u64 expires;
	__u32 server;
	__u32 lifetime; /* seconds after the last new connection */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 20);
	__type(key, struct template_key);
	__type(value, struct template);
} templates SEC(".maps");

/* ---- routes and neighbours, copied from the kernel's tables ---- */

struct prefix {
	__u32 length;
	ip_address address;
};

/* Addresses of virtual services, and networks whose packets get firewall marks: VIRTUAL. The director's own
 * addresses and networks' broadcast addresses, unless they are VIRTUAL: OWN. No client has any of them. */
#define OWN 0
#define VIRTUAL 1

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct prefix);
	__type(value, __u32);
} vips SEC(".maps");

struct route {
	__u32 ifindex;
	ip_address gateway; /* 0 if the destination is on-link */
	__u8 source_mac[6]; /* the interface's */
	__u16 mtu;
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct prefix);
	__type(value, struct route);
} routes SEC(".maps");

struct neighbour_key {
	__u32 ifindex;
	ip_address address;
};

struct neighbour {
	__u8 mac[6], zero[2];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct neighbour_key);
	__type(value, struct neighbour);
} neighbours SEC(".maps");

/* ---- settings and totals: global variables, which the process maps into its memory ---- */

struct settings {
	__u64 neighbours_valid_until; /* MAC addresses in `neighbours` are good until then */
	__u64 timeouts[STATES];
	__u64 conn_limit;
	__u32 generation; /* of rules, routes and neighbours */
	__u32 upcall_ifindex;
	__u32 flags;
	__u32 conn_reuse_mode;
	__u32 active_states; /* a bit for each state that counts as active */
	__u32 sync_states;	 /* ... and for each in which a connection is sent to another director: */
	__u32 sync_threshold, sync_period; /* at this packet from the client, and every `sync_period` after; 0: once */
	__u32 sync_wrap;				   /* a multiple of the period, to subtract from a full count */
	__u8 transitions[DIRECTIONS][TCP_EVENTS][STATES];
};

#define HAS_WILDCARDS 1		 /* services without an entry here: by mark, on port 0, ftp */
#define UPCALL_UNSOLICITED 2 /* packets of no connection go to the core */
#define EMIT_EVENTS 4		 /* the trace is enabled */
#define CLEAR_DF 8			 /* in the outer header of a tunnel (pmtu_disc=0) */
#define UPCALL_NEW 16		 /* the core decides about every new connection */
#define UPCALL_SYN 32		 /* ... and about each SYN of an existing one (expire_nodest_conn) */
#define REDIRECT_PEER 64	 /* frames skip the director's own end of a veth pair */
#define EXPIRE_QUIESCENT 128 /* templates do not lead to servers of weight 0 (expire_quiescent_template) */
#define SEND_SYNC 256			 /* connections are sent to another director (core/sync.py) */
#define STAND_BY 512		 /* nothing is forwarded (backup_only) */
#define SEND_ENCODED 1024	 /* ... in records of version 1, unless the core owns them */

struct settings settings SEC(".data.settings") = {};

struct totals {
	__u64 connections;		/* in the table: inserted less removed, by this program ... */
	__u64 core_connections; /* ... and by the core, which may be negative */
	__u64 templates;
	__u64 lost_events;
	__u64 lost_records;
};

struct totals totals SEC(".data.totals") = {};

/* ---- events: for the trace, and for the core about connections that it owns ---- */

/* REPLIED: UDP in both directions. SYNC_DUE: the core must send the connection to another director. */
enum event_type { OPENED, STATE_CHANGED, REPLIED, EXPIRED, SYNC_DUE };

struct event {
	__u64 time;
	__u32 before, after; /* flags */
	struct flow_key key;
	__u32 server;
	ip_address address;
	__be16 port;
	__u8 type, zero;
	__u16 packets, zero2;
	__u64 expires;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} events SEC(".maps");

/* ---- records for another director: the core only puts them into messages ---- */

/* A connection in a message of version 1, in network byte order (core/sync_protocol.py). */
struct sync_record {
	__u8 type, protocol;
	__be16 size;
	__be32 flags;
	__be16 state, cport, vport, dport;
	__be32 mark, timeout;
	ip_address caddr, vaddr, daddr;
};

#define RECORD_LOCAL 1 /* flags of a record; VS-TUN is 2, VS-DR 3 */
#define RECORD_SYNC 0x20
#define RECORD_NO_OUTPUT 0x80
#define RECORD_INACTIVE 0x100
#define NANO 1000000000ull

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} sync_records SEC(".maps");

#define SLOT (8 + (sizeof(struct sync_record) + 7) / 8 * 8) /* bytes of a record in the ring buffer */
#define WAKE_AT (8 * 40 * SLOT) /* eight messages of 40 records, as in the kernel */

/* ---- records from another director: the core puts those of a message here for enter_records ---- */

#define MAX_RECORDS 255 /* of a message: their number is one byte */
#define LONGEST_RECORD 72 /* bytes */

struct received {
	__u32 servers[MAX_RECORDS]; /* their numbers; 0xffffffff if only the core can enter the connection */
	__u8 records[MAX_RECORDS * LONGEST_RECORD]; /* of struct sync_record, one after the other */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct received);
} received SEC(".maps");

/* ---- what the next director needs if this one is killed; the program does not read it ---- */

#define CHUNK 4096
struct chunk {
	__u8 text[CHUNK];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, struct chunk);
} checkpoint SEC(".maps");

/* The core's sessions of ftp control connections, by the key of their requests. */
#define FTP_SESSION 1185
struct ftp_session {
	__u8 text[FTP_SESSION];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct flow_key);
	__type(value, struct ftp_session);
} ftp_sessions SEC(".maps");
