"""The form of a diagnosis: which host, which cause, which evidence. It is filled in by choosing."""

from __future__ import annotations

from dataclasses import dataclass

from labs.errors import BadRequest

CAUSES = {
    "arp_answered": "a real server answers ARP for the VIP",
    "arp_ignore_on_lo": "ARP was silenced on the wrong interface",
    "arp_announced": "a real server names the VIP in ARP questions of its own",
    "vip_missing": "a real server does not have the VIP",
    "rp_filter": "packets are dropped for the interface they come in on",
    "no_gateway": "replies have no way, or the wrong one, out of a real server",
    "direct_route": "replies reach the client by a short way, past the director",
    "no_service": "no rule of the director is about what the clients ask for",
    "icmp_filtered": "the message that packets are too long does not get through",
    "persistence": "a client is kept with the real server that it had before",
    "short_timeout": "the director forgets connections that are still in use",
    "server_deleted": "a real server was deleted while it had connections",
    "no_ftp_helper": "nobody rewrites the addresses that ftp sends as text",
    "ports_apart": "each port of a session is scheduled on its own",
    "checksum_offload": "checksums are left to hardware that is not there",
    "ip_forward": "the director's kernel forwards, too",
    "port_remapped": "the real server listens on another port than the VIP's",
}
EVIDENCE = {
    "addresses": "the addresses of an interface",
    "arp_replies": "who answers ARP, counted on the wire",
    "capture": "packets in a capture",
    "connections": "the director's connection table",
    "counters": "a counter that grows",
    "listening": "the ports on which somebody listens",
    "neighbours": "an entry of a neighbour table",
    "offloads": "the settings of a network card",
    "packet_filter": "rules of a packet filter",
    "process": "the command line of a process",
    "routes": "a routing table",
    "rules": "the director's rules or its time-outs",
    "settings": "a kernel setting (sysctl)",
}


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Raises BadRequest where something is named that can't be chosen; all empty: not filled in."""

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
