"""One answer of an experiment to one question about a method, with what was seen."""

from __future__ import annotations

from dataclasses import dataclass

PLAIN = "near"
NO_TUNNEL = "without a tunnel device"
NO_ARP_CONTROL = "without ARP control"
ELSEWHERE = "in another network"
ELSEWHERE_NO_ARP = "in another network, without ARP control"
CHANGES = "changes on the server"


@dataclass(frozen=True, slots=True)
class Finding:
    """`works` is the answer; `evidence` what was seen, for people."""

    method: str
    question: str
    works: bool
    evidence: str
