"""An IPsec policy blocks packets, or demands that they are encrypted."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.queries import ends_at
from doctor.state import CLIENT, DIRECTOR, ROUTER, SERVER, LabState

TITLE = "an IPsec policy drops packets"

_FEW = 2


def find(state: LabState) -> Iterator[Cause]:
    for host in state.by_role(CLIENT, ROUTER, DIRECTOR, SERVER):
        if host.ipsec and ends_at(state, host):
            yield Cause(
                "ipsec_policy",
                host.name,
                f"`ip xfrm policy`: {'; '.join(host.ipsec[:_FEW])}; packets of failed trials were last seen "
                f"on {host.name}",
                "The kernel compares packets with the policies of IPsec where it looks up their route. One "
                "that a policy blocks, or that should be encrypted and is not, is dropped; no packet filter "
                "lists that.",
                "ip xfrm policy flush",
            )
