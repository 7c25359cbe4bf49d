"""The packet table that a student completes: its connection, its blank cells, the right answers."""

from __future__ import annotations

import re
from dataclasses import dataclass

from classroom.checks import needs, title
from classroom.model import Judge, Observations, Variant
from classroom.worksheet import BLANK, Section, answer, answers
from labs.checks.result import Check
from labs.network.topology import Interface, Role
from labs.plan import RealServer
from labs.run.packet_table import Hop, Row, observe
from labs.run.running import RunningLab
from labs.wait import poll_until

_PORTS = range(20000, 30000)  # below the kernel's ephemeral ports
_AS_TCPDUMP = re.compile(r"(\d+(?:\.\d+){3})\.(\d+)", re.ASCII)
_SECONDS = 1.5  # until tcpdump has written what it captured

# ---- the worksheet ----


@dataclass(frozen=True, slots=True)
class TableConnection:
    """The connection the table shows: from a client's local `port`, scheduled to `server`."""

    client: Interface
    port: int
    server: RealServer


def connection(variant: Variant) -> TableConnection:
    client = variant.choose(variant.plan.nodes(Role.CLIENT), "client").interfaces[0]
    server = next(server for server in variant.plan.servers if server.name == variant.server)
    return TableConnection(client, variant.choose(_PORTS, "client port"), server)


def hops(variant: Variant) -> tuple[Hop, ...]:
    """The whole table."""
    shown = connection(variant)
    return variant.plan.hops(shown.server, shown.client, shown.port)


def cells(hop: Hop) -> dict[str, str]:
    """A row's right answers, by the worksheet's column names."""
    row = hop.expected.as_dict()
    return {name.replace("_", " "): row[name] for name in row if name not in ("packet", "data")}


def blanks(variant: Variant) -> tuple[tuple[str, ...], ...]:
    """For each row, the columns to fill in: all but one, and all in one row."""
    table = hops(variant)
    bare = variant.choose(range(len(table)), "bare row")
    found = []
    for number, hop in enumerate(table):
        columns = tuple(cells(hop))
        shown = "" if number == bare else variant.choose(columns, f"shown in row {number}")
        found.append(tuple(column for column in columns if column != shown))
    return tuple(found)


def sections(variant: Variant) -> tuple[Section, ...]:
    """The worksheet with its blanks."""
    return tuple(
        Section(
            hop.expected.packet,
            _place(hop, variant),
            {name: BLANK if name in blank else value for name, value in cells(hop).items()},
        )
        for hop, blank in zip(hops(variant), blanks(variant), strict=True)
    )


def _place(hop: Hop, variant: Variant) -> str:
    """Where the row's packet is captured, without naming the real server: the student finds out which."""
    interface = hop.interface.replace(variant.server, "rsN")
    whose = ", on the real server that got it" if interface != hop.interface else ""
    direction = "as it leaves" if hop.leaving else "as it comes out of"
    return f"{hop.expected.data}, {direction} {interface}{whose}"


# ---- probe ----


def packets(running: RunningLab, variant: Variant) -> list[dict[str, str] | None]:
    """Each row of the table as the captures show it, or None."""
    macs = {interface: mac for mac, interface in variant.plan.topology.names_of_macs.items()}
    port = connection(variant).port

    def rows() -> list[Row | None]:
        return observe(running.evidence.pcaps, hops(variant), port, macs)

    return [row.as_dict() if row else None for row in poll_until(rows, all, _SECONDS)]


# ---- judges ----


@needs(answers)
def first_packet(observations: Observations, variant: Variant) -> Check:
    """The first packet of the table."""
    return _rows(first_packet, observations, variant, slice(0, 1))


@needs(answers)
def packets_between(observations: Observations, variant: Variant) -> Check:
    """The forwarded packets in between."""
    return _rows(packets_between, observations, variant, slice(1, -1))


@needs(answers)
def last_packet(observations: Observations, variant: Variant) -> Check:
    """The last packet of the table."""
    return _rows(last_packet, observations, variant, slice(-1, None))


@needs(packets)
def table_on_wire(observations: Observations, variant: Variant) -> Check:
    """The captures contain the connection in the table."""
    right = [hop.expected.as_dict() for hop in hops(variant)]
    found = sum(row == expected for row, expected in zip(observations["packets"], right, strict=True))
    return Check(title(table_on_wire), found == len(right), f"{len(right)} packets", f"{found} packets")


def _rows(judge: Judge, observations: Observations, variant: Variant, which: slice) -> Check:
    """The number of right cells, and what is wrong with the first wrong one; never the right answer."""
    filled = observations["answers"]
    complaints: list[str] = []
    asked = 0
    for hop, blank in list(zip(hops(variant), blanks(variant), strict=True))[which]:
        name, right = hop.expected.packet, cells(hop)
        asked += len(blank)
        complaints += filter(
            None, (_complaint(answer(filled, name, cell), right[cell], name, cell) for cell in blank)
        )
    expected = f"{asked} right"
    if not complaints:
        return Check(title(judge), True, expected, expected)
    observed = [f"{asked - len(complaints)} right", complaints[0], *filled["wrong"][:1]]
    return Check(title(judge), False, expected, "; ".join(observed))


def _complaint(given: str | None, right: str, section: str, cell: str) -> str:
    """What is wrong with an answer; empty if it is right."""
    if given is None:
        return f"[{section}] has no line {cell!r}"
    if not given:
        return f"[{section}] {cell} is blank"
    return "" if same(given, right) else f"[{section}] {cell} is not {given}"


def same(answer: str, right: str) -> bool:
    """Whether an answer is right; tcpdump's notation, 192.0.2.1.80, is the same as 192.0.2.1:80."""
    found = _AS_TCPDUMP.fullmatch(answer)
    return (f"{found[1]}:{found[2]}" if found else answer.lower()) == right.lower()
