"""The packets of one connection, on every wire they cross."""

from __future__ import annotations

import sys

from classroom.checks.packet_cells import (
    cells,
    connection,
    first_packet,
    hops,
    last_packet,
    packets_between,
    sections,
    table_on_wire,
)
from classroom.model import WORKDIR, Exercise, Repair, Solution, Variant
from classroom.variants import variant_for
from classroom.worksheet import NAME, Section, text
from labs.errors import BuildFailed
from labs.run.running import RunningLab
from labs.wait import poll_until

_HEAD = """\
One connection: {client}, local port {port}, requested /index.html from {vip}:80.
It has been made already; ../pcap/INTERFACE.pcap holds what crossed that interface.

Replace every ____. Write addresses with ports as 192.0.2.1:80 (or 192.0.2.1.80, as tcpdump does),
addresses without ports as 192.0.2.1, MAC addresses as 02:00:c0:00:02:01. Leave the rest as it is."""


def _files(variant: Variant) -> dict[str, str]:
    shown = connection(variant)
    head = _HEAD.format(client=shown.client.node, port=shown.port, vip=variant.plan.vip)
    return {NAME: text(head, sections(variant))}


def _connect(running: RunningLab, variant: Variant) -> None:
    """Make the connection when it is the turn of the real server that must get it."""
    shown = connection(variant)
    client = next(client for client in running.clients if client.host.name == shown.client.node)
    turns = [server["address"] for server in running.director.ask("list")["services"][0]["servers"]]
    names = {server.address: server.name for server in variant.plan.servers}
    previous = names[turns[turns.index(shown.server.address) - 1]]
    poll_until(lambda: client.names(1), [previous].__eq__, 2)
    page = client.page("/index.html", shown.port)
    if f"{shown.server.name}<" not in page.stdout:
        raise BuildFailed(
            f"The exercise's connection was not served by {shown.server.name}: {page.stdout or page.stderr}"
        )


EXERCISE = Exercise(
    methods=("nat", "tun", "dr"),
    checks=(first_packet, packets_between, last_packet, table_on_wire),
    prepare=_connect,
    files=_files,
    diagnosis=False,
    captures=True,
    view=False,
)

# ---- Solutions ----
# `python -m exercises.packet_table STUDENT` prints the completed worksheet.

_COMMAND = f"{sys.executable} -m exercises.packet_table"

SOLUTIONS = (
    Solution(
        fails=("first_packet", "packets_between", "last_packet"),
        repairs=(Repair("c1", (f"{_COMMAND} {{student}} > ../../{WORKDIR}/{NAME}",)),),
    ),
)


def completed(student: str) -> str:
    """The worksheet with the right answers."""
    variant = variant_for("packet-table", student)
    return text("", [Section(hop.expected.packet, "", cells(hop)) for hop in hops(variant)])


if __name__ == "__main__":
    sys.stdout.write(completed(sys.argv[1]))
