"""The packet table that a student completes: of which connection, and which cells are blank."""

from __future__ import annotations

import re
from dataclasses import dataclass

from classroom.guided.answers import BLANK, Section
from classroom.variants import Variant
from labs.network.topology import Interface, Role
from labs.plan import RealServer
from labs.run.packet_table import Hop

_PORTS = range(20000, 30000)  # not those that the kernel gives to clients
_WITH_TCPDUMPS_DOT = re.compile(r"(\d+(?:\.\d+){3})\.(\d+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Asked:
    """The connection: from a client's local `port`, and the real server that has to get it."""

    client: Interface
    port: int
    server: RealServer


def connection(variant: Variant) -> Asked:
    client = variant.choose(variant.plan.nodes(Role.CLIENT), "client").interfaces[0]
    server = next(one for one in variant.plan.servers if one.name == variant.server)
    return Asked(client, variant.choose(_PORTS, "client port"), server)


def hops(variant: Variant) -> tuple[Hop, ...]:
    """The whole table."""
    asked = connection(variant)
    return variant.plan.hops(asked.server, asked.client, asked.port)


def cells(hop: Hop) -> dict[str, str]:
    """A row's columns as the answers file names them, with what is right."""
    row = hop.expected.as_dict()
    return {name.replace("_", " "): row[name] for name in row if name not in ("packet", "data")}


def blanks(variant: Variant) -> tuple[tuple[str, ...], ...]:
    """For each row the columns to fill in: all but one, and in one of the rows all."""
    table = hops(variant)
    bare = variant.choose(range(len(table)), "bare row")
    found = []
    for number, hop in enumerate(table):
        columns = tuple(cells(hop))
        shown = "" if number == bare else variant.choose(columns, f"shown in row {number}")
        found.append(tuple(column for column in columns if column != shown))
    return tuple(found)


def sections(variant: Variant) -> tuple[Section, ...]:
    """The answers file with its blanks."""
    return tuple(
        Section(
            hop.expected.packet,
            _where(hop, variant),
            {name: BLANK if name in blank else value for name, value in cells(hop).items()},
        )
        for hop, blank in zip(hops(variant), blanks(variant), strict=True)
    )


def _where(hop: Hop, variant: Variant) -> str:
    """At which interface the row is; which real server it is, is to be found out."""
    interface = hop.interface.replace(variant.server, "rsN")
    whose = ", on the real server that got it" if interface != hop.interface else ""
    way = "as it leaves" if hop.leaving else "as it comes out of"
    return f"{hop.expected.data}, {way} {interface}{whose}"


def same(answer: str, right: str) -> bool:
    """As tcpdump writes it, 192.0.2.1.80, is as good as 192.0.2.1:80."""
    found = _WITH_TCPDUMPS_DOT.fullmatch(answer)
    return (f"{found[1]}:{found[2]}" if found else answer.lower()) == right.lower()
