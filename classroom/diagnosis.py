"""A diagnosis: which host, which cause, which evidence; words to choose from."""

from __future__ import annotations

from dataclasses import dataclass

from labs.errors import BadRequest

CAUSES = {
    "arp_answered": "a real server answers ARP for the VIP",
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
}
EVIDENCE = {
    "addresses": "the addresses of an interface",
    "arp_replies": "hosts that answer ARP, counted on the wire",
    "capture": "packets in a capture",
    "connections": "the director's connection table",
    "counters": "a counter that grows",
    "listening": "the ports that programs listen on",
    "neighbours": "an entry in a neighbour table",
    "offloads": "the offload settings of a network card",
    "packet_filter": "the rules of a packet filter",
    "process": "the command line of a process",
    "routes": "a routing table",
    "rules": "the director's rules or its timeouts",
    "settings": "a kernel setting (sysctl)",
}


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Raises BadRequest for an unknown word; empty fields are not filled in."""

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
    if word and word not in known:
        raise BadRequest(f"{option} {word!r} is unknown: choose from {', '.join(known)}.")
