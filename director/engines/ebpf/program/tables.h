/* The tables that the program shares with the director's process; layouts.py there has the same.
 *
 * Numbers are in the machine's order, but for addresses and ports, which stay as the network has
 * them (__be32, __be16). Times are nanoseconds of CLOCK_MONOTONIC.
 */
#pragma once

#include <linux/bpf.h>
#include <linux/types.h>

#include <stdbool.h>
#include <stddef.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define STATES 16 /* of a connection, in the order of the core's `State`; a power of two */
enum state { NONE = 0, ESTABLISHED = 1, FIN_WAIT = 4, TIME_WAIT = 5, CLOSE = 6, UDP_STATE = 11 };
enum view { IN, OUT, HALF, VIEWS = 4 };
enum event { NOTHING = -1, RST, SYN, FIN, ACK, NO_FLAG, EVENTS = 8 }; /* the last one: a power of two */
enum method { NAT, TUN, DR, LOCAL };
enum scheduler { BY_CORE, RR, WRR, LC, WLC, SED, NQ, DH, SH, MH, BY_TEMPLATE };

/* ---- connections: two entries in VS-NAT, whose replies come this way; else one ---- */

struct flow_key {
	__be32 source, dest;
	__be16 sport, dport;
	__u8 protocol, zero[3];
};

/* Where a packet goes; found anew when `version` is not that of the settings. */
struct way {
	__u32 interface;
	__be32 next_hop;
	__u8 to[6], from[6]; /* MAC addresses; `to` is all zero while it is not known */
	__u32 version;
};

/* 48 bytes, with the key 64. */
struct connection {
	__u64 expires;
	__u32 word; /* state, method, and the flags below; changed by compare-and-swap */
	__u16 server;
	__u8 packets, zero; /* from the client, as far as MAX_PACKETS */
	__be32 address; /* what a request's destination becomes, or a reply's source */
	__be16 port;
	__u16 mtu;
	struct way way;
};

#define STATE(word) ((word) & 0x0f)
#define METHOD(word) ((word) >> 4 & 0x03)
#define REPLY 0x40	 /* the entry of a real server's packets */
#define UPCALL 0x80	 /* the core decides about each packet (ftp's control connections) */
#define CORE_OWNED 0x100	 /* the core has to know what becomes of it, and flow_key it */
#define FAST_REPLY 0x200 /* of a reply: established; its packets need not look at the request's entry */
#define REMOVED 0x400	 /* taken out by a processor: its state changes no more */
#define MAX_PACKETS 9 /* more than drop_entry cares about */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 21);
	__type(key, struct flow_key);
	__type(value, struct connection);
} connections SEC(".maps");

/* What the core wants to be changed in an entry: the program does it, because only it can compare and swap. */
struct change {
	struct flow_key flow_key;
	__u32 before, after; /* words; after `take`: the one that was there at the end */
	__u64 expires;		 /* UNCHANGED: stays */
	__u32 packets, zero;
};

#define UNCHANGED (~0ull)

/* ---- rules ---- */

struct service_key {
	__be32 vip;
	__be16 port;
	__u8 protocol, zero;
};

struct service {
	__u32 scheduler;
	__u32 flags;
	__u32 first, size; /* its servers, in `members` */
	__u32 places;	   /* the first place of a hash table, there too; 0 for none */
	__u32 top, step;   /* wrr: where the bar starts, and how far it falls */
	__be32 mask;	   /* BY_TEMPLATE: clients that it can't tell apart keep to one server */
	__u64 turn;		   /* rr, wrr: the place that was last, and the bar above it: compare-and-swap */
};

#define FALLBACK 1 /* sh-fallback, mh-fallback */
#define PORT 2	   /* sh-port, mh-port: the client's port counts */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, struct service_key);
	__type(value, struct service);
} services SEC(".maps");

#define MEMBERS (1 << 20)
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, MEMBERS);
	__type(key, __u32);
	__type(value, __u32);
} members SEC(".maps");

struct server {
	__be32 address;
	__be16 port;
	__u16 method;
	__be32 own;	 /* the director's address in a tunnel to it */
	__u32 listed; /* 0 when its rule was deleted and connections remain */
	__u32 weight;
	__u32 upper, lower;
	__u32 overloaded;
	__s32 active, inactive;			  /* connections that this program counts */
	__s32 core_active, core_inactive; /* and those that the core does, in addition */
};

#define SERVERS 16384
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SERVERS);
	__type(key, __u32);
	__type(value, struct server);
} servers SEC(".maps");

struct counted {
	__u64 connections, packets_in, packets_out, bytes_in, bytes_out;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SERVERS);
	__type(key, __u32);
	__type(value, struct counted);
} counted SEC(".maps");

/* What the core adds to that: what it has counted itself, less what was set to zero. Not read by the program. */
struct added {
	__s64 connections, packets_in, packets_out, bytes_in, bytes_out;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SERVERS);
	__type(key, __u32);
	__type(value, struct added);
} added SEC(".maps");

/* ---- templates: which server a persistent client has; made by the core ---- */

struct client {
	__be32 network, vip;
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
	__type(key, struct client);
	__type(value, struct template);
} templates SEC(".maps");

/* ---- the network ---- */

struct prefix {
	__u32 length;
	__be32 address;
};

/* Virtual services' addresses, and networks whose packets carry marks. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct prefix);
	__type(value, __u32);
} vips SEC(".maps");

struct route {
	__u32 interface;
	__be32 gateway; /* 0 where the destination is near */
	__u8 from[6];	/* the interface's MAC address */
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
	__u32 interface;
	__be32 address;
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

/* ---- settings ---- */

struct settings {
	__u64 fresh_until; /* until when the director's process vouches for MAC addresses */
	__u64 timeouts[STATES];
	__u64 limit; /* of connections */
	__u32 version;
	__u32 up;	  /* the interface that leads to the core */
	__u32 flags;
	__u32 reuse;  /* conn_reuse_mode */
	__u32 active; /* a bit for each state that counts as active */
	__u8 next[VIEWS][EVENTS][STATES];
};

#define HAS_WILDCARDS 1		   /* services without an entry: for marks, for port 0, for ftp */
#define UPCALL_UNSOLICITED 2	   /* what belongs to no connection goes to the core */
#define EMIT_EVENTS 4		   /* somebody reads events */
#define CLEAR_DF 8 /* a tunnel's packets, whatever those inside forbid */
#define UPCALL_NEW 16	   /* the core decides about every new connection */
#define UPCALL_SYN 32	   /* and about a SYN of one that is known (expire_nodest_conn) */
#define REDIRECT_PEER 64   /* frames skip the director's own end of a virtual cable */
#define EXPIRE_QUIESCENT 128  /* no template leads to a server of weight 0 (expire_quiescent_template) */

struct settings settings SEC(".data.settings") = {};

struct totals {
	__u64 used; /* connections in the table: those that this program has put there, less what it has taken out */
	__u64 core; /* and the same of the core, which may be less than nothing */
	__u64 templates;
	__u64 lost_events;
	__u64 earliest; /* when the first of those will end that the last sweep has left, if no packet comes */
};

struct totals totals SEC(".data.totals") = {};

/* ---- what happens: for whoever keeps a trace, and what the core has to know ---- */

enum happening { OPENED, STATE_CHANGED, REPLIED, EXPIRED }; /* REPLIED: UDP, and both flow_key have */

struct happened {
	__u64 time;
	__u32 before, after; /* words */
	struct flow_key flow_key;
	__u32 server;
	__be32 address;
	__be16 port;
	__u8 what, zero[5];
	__u64 expires;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} events SEC(".maps");

/* ---- what the next director has to know, should this one die: text in pieces ---- */

#define PIECE 4096
struct piece {
	__u8 text[PIECE];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, struct piece);
} saved SEC(".maps");

/* ---- and what the core has read in ftp's control connections, by the flow_key of their requests ---- */

#define SESSION 1176
struct session {
	__u8 text[SESSION];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct flow_key);
	__type(value, struct session);
} sessions SEC(".maps");
