"""A diagnosis: host, cause and evidence; and the words to choose from."""

from __future__ import annotations

from dataclasses import dataclass

from labs.errors import BadRequest

CAUSES = {
    "arp_answered": "a real server answers ARP, or neighbour solicitations, for the VIP",
    "arp_ignore_on_lo": "ARP was silenced on the wrong interface",
    "arp_announced": "a real server uses the VIP as source address in ARP requests",
    "vip_missing": "a real server does not have the VIP",
    "rp_filter": "the reverse-path filter drops packets",
    "no_gateway": "a real server has no route, or a wrong one, for its replies",
    "direct_route": "replies bypass the director",
    "no_service": "the director has no service for this address and port",
    "icmp_filtered": "ICMP 'fragmentation needed' is blocked",
    "persistence": "persistence keeps sending the client to the same server",
    "short_timeout": "the director forgets connections that are still in use",
    "server_deleted": "a real server was deleted while it had connections",
    "no_ftp_helper": "the addresses in ftp control connections are not rewritten",
    "ports_apart": "each port of a session is scheduled separately",
    "checksum_offload": "checksum offload is on, but a virtual NIC computes none",
    "ip_forward": "the director's kernel forwards packets as well",
    "port_remapped": "the real server listens on another port than the VIP's",
    "link_down": "a network interface is down",
    "arp_off": "ARP is switched off on an interface",
    "address_missing": "a host does not have its address",
    "wrong_netmask": "an address has a wrong netmask",
    "duplicate_address": "two hosts have the same address",
    "wrong_neighbour": "a static neighbour entry has a wrong MAC address",
    "proxy_arp": "proxy ARP takes packets for other hosts",
    "no_route": "a client, a router or the director has no route, or a wrong one",
    "router_forwarding": "a router does not forward packets",
    "port_filtered": "a packet filter drops requests or replies",
    "source_nat": "source NAT changes the clients' addresses",
    "small_mtu": "the MTU of one cable is smaller, and long packets are lost",
    "slow_link": "a queueing discipline delays or drops packets",
    "short_ttl": "packets start with a TTL that expires on the way",
    "director_vip": "the director does not answer ARP for the VIP",
    "director_down": "the director is not running",
    "frozen": "a process is stopped (SIGSTOP)",
    "wrong_rule": "a rule names a port or an address that no real server has",
    "quiesced": "all real servers of a service are quiesced or over their thresholds",
    "table_full": "the connection table is full",
    "drop_packet": "the director drops new connections to defend itself",
    "arp_filtered": "a packet filter drops ARP, or neighbour discovery",
    "duplicate_mac": "two interfaces on a segment have the same MAC address",
    "wrong_method": "a rule has the wrong forwarding method",
    "tc_filter": "a traffic-control filter drops packets",
    "no_files": "a server process has no file descriptors left",
    "not_listening": "no program on the real server listens on the service's port",
    "http_error": "a real server's httpd answers with an error, or a wrong page",
    "wrong_program": "another program listens on the service's port",
    "no_space": "a real server cannot write its files",
    "bridge_port": "an interface is a port of a bridge",
    "dest_nat": "destination NAT sends requests elsewhere",
    "packet_mangled": "a packet filter changes packets",
    "dad_failed": "duplicate address detection keeps an address from being used",
    "router_flag_lost": "a router's neighbour advertisements lack the router flag",
    "packet_too_big_filtered": "ICMPv6 'packet too big' is blocked",
    "xdp_program": "an XDP program drops packets",
    "ipsec_policy": "an IPsec policy drops packets",
    "iptables_rule": "a rule of iptables-legacy drops packets",
    "engine_detached": "what the director has attached to its kernel is gone",
    "two_masters": "both directors own the VIP",
    "takeover_differs": "the directors' settings of the virtual router differ",
    "takeover_down": "the program that moves the VIP is not running",
    "checks_down": "the program that checks real servers is not running",
    "sync_differs": "connection synchronisation uses the wrong interface or number",
    "garp_lost": "a gratuitous ARP was lost: the VIP moved, and a neighbour entry did not",
    "check_wrong": "a health check takes out a real server that serves",
    "small_window": "a route's small receive window slows connections down",
    "no_ports": "a client has too few ephemeral ports",
    "local_route": "a host does not accept packets to its own address",
    "mac_changed": "a host has another MAC address, and others send to its former one",
    "wrong_source": "a client sends from an address to which nobody can reply",
    "ftp_apart": "an ftp service is not persistent, and its data connections find no real server",
    "policy_rule": "a policy rule takes certain packets off their way",
}
EVIDENCE = {
    "addresses": "the addresses of an interface",
    "arp_replies": "hosts that answer ARP, or neighbour solicitations, counted on the wire",
    "capture": "packets in a capture",
    "configuration": "a line of a program's configuration",
    "connections": "the director's connection table",
    "counters": "a counter that grows",
    "listening": "the ports that programs listen on",
    "log": "what a program has logged",
    "neighbours": "an entry in a neighbour table",
    "offloads": "the offload settings of a network card",
    "packet_filter": "the rules of a packet filter",
    "process": "the command line of a process",
    "routes": "a routing table",
    "rules": "the director's rules or its timeouts",
    "settings": "a kernel setting (sysctl)",
}
UNKNOWN = "unknown"  # the answer "I don't know"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A student's answers, "" if not given yet. Raises BadRequest for an unknown word."""

    host: str = ""
    cause: str = ""
    evidence: str = ""

    def __post_init__(self) -> None:
        _one_of("--cause", self.cause, CAUSES)
        _one_of("--evidence", self.evidence, EVIDENCE)

    def __bool__(self) -> bool:
        return bool(self.host or self.cause or self.evidence)

    def as_dict(self) -> dict[str, str]:
        return {"host": self.host, "cause": self.cause, "evidence": self.evidence}


def _one_of(option: str, word: str, known: dict[str, str]) -> None:
    if word not in ("", UNKNOWN, *known):
        raise BadRequest(f"{option} {word!r} is unknown: choose from {', '.join(known)}.")
