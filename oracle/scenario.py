"""A scenario: lines of text, each a rule, a setting, a packet or a wait.

    # Its title, in one line; more lines if needed.
    methods nat tun dr              those it applies to; all, if the line is missing
    ipvsadm -A -t VIP:80 -s rr      words: VIP, RS1 to RS9, MARK, DIP; HOW is -m, -i or -g
    sysctl conn_reuse_mode 0        of net.ipv4.vs
    mark tcp 80-81                  packets to these ports of the VIP carry MARK from now on
    wait 3                          seconds
    c1 S                            the client's end of connection 1 sends a SYN
    s1 SA                           its real server answers (VS-NAT; left out in the other methods)
    c1 PA len=100                   100 bytes of data; data="..." for a text, \\r and \\n in it
    c2 udp len=20 to=53             another connection, to port 53 of the VIP
    s1 icmp=3/1                     an ICMP error about the last packet sent to the server
    differs quoted-ttl              the next line shows this difference, which docs/differences.md describes

Addresses, ports and sequence numbers of a connection follow from its number and from what was
sent before. Options of a packet are the words df and udp, and `name=value` with these names:

    at, port, to       the client (1 to 250) and its port; the port of the VIP
    server             who answers if no server was asked before, as RS2:80
    len, data, opt     bytes of data; a text (clients are 198.18.NET.*); TCP options in hexadecimal
    ttl, tos, id       of the IP header
    seq, ack           numbers other than the next ones
    by, mtu, quote     of an ICMP error: its sender (`gateway` or an address); bytes; bytes
    cut                send it as two fragments, the first with this many bytes
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from labs.methods import METHODS

_FOLDER = Path(__file__).with_name("scenarios")
_PACKET = re.compile(r"([cs])(\d+)")


@dataclass(frozen=True)
class Step:
    """One line; `options` are those of a packet."""

    text: str
    kind: str  # ipvsadm, sysctl, mark, wait, c or s
    words: tuple[str, ...] = ()
    number: int = 0
    options: Mapping[str, str] = field(default_factory=dict)
    differs: str = ""


@dataclass(frozen=True)
class Scenario:
    """`lines` are run in `method`."""

    name: str
    method: str
    lines: tuple[str, ...]

    @property
    def steps(self) -> Iterator[Step]:
        differs = ""
        for line in self.lines:
            if line.startswith("differs "):
                differs = line.split()[1]
                continue
            step = replace(_step(line), differs=differs)
            differs = ""
            if step.kind != "s" or self.method == "nat" or "icmp" in step.options:
                yield step

    @property
    def said(self) -> set[str]:
        """The names of the differences that it declares."""
        return {step.differs for step in self.steps if step.differs}

    def without(self, places: set[int]) -> Scenario:
        kept = tuple(line for place, line in enumerate(self.lines) if place not in places)
        return Scenario(self.name, self.method, kept)


def read(path: Path) -> list[Scenario]:
    """A file of scenarios, each begun by a comment, in all of its methods."""
    found: list[Scenario] = []
    for number, block in enumerate(re.split(r"\n(?=\n+#)", path.read_text())):
        lines = [line.strip() for line in block.splitlines()]
        methods = next((line.split()[1:] for line in lines if line.startswith("methods ")), METHODS)
        kept = tuple(line for line in lines if line and not line.startswith(("#", "methods ")))
        title = next((line.lstrip("# ") for line in lines if line.startswith("#")), str(number))
        found += [Scenario(f"{path.stem}: {title}", method, kept) for method in methods]
    return found


def hand_written() -> list[Scenario]:
    """All in scenarios/."""
    return [scenario for path in sorted(_FOLDER.glob("*.txt")) for scenario in read(path)]


def _step(line: str) -> Step:
    kind, _, rest = line.partition(" ")
    if kind in ("ipvsadm", "sysctl", "mark", "wait"):
        return Step(line, kind, tuple(rest.split()))
    packet = _PACKET.fullmatch(kind)
    if packet is None:
        raise ValueError(f"{line!r} is no line of a scenario: see oracle/scenario.py")
    options = dict(word.partition("=")[::2] for word in shlex.split(rest))
    flags = tuple(word for word in options if word and set(word) <= set("FSRPAU0"))
    return Step(line, packet[1], flags, int(packet[2]), options)
