"""VS-TUN in IPv6: a packet filter drops the director's message that a packet is too big for the tunnel."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.queries import filter_of_errors
from doctor.state import LabState

TITLE = "ICMPv6 'packet too big' is blocked"
VERSIONS = (6,)  # of IP


def find(state: LabState) -> Iterator[Cause]:
    for host, rule in filter_of_errors(state):
        place = f"{rule.family} {rule.table} {rule.chain}"
        yield Cause(
            "packet_too_big_filtered",
            host.name,
            f"nftables, chain {place} at {rule.hook}: {rule.text or rule.verdict}",
            "The tunnel adds 40 bytes, so a client's full-sized packets do not fit, and no router may "
            "fragment them. The director answers with ICMPv6 'packet too big' (RFC 8201). A client that "
            "never receives it retransmits the same large packets: small requests work, large uploads hang.",
            f"nft insert rule {place} icmpv6 type packet-too-big accept",
        )
