"""One connection, seen on every wire that it has crossed."""

from __future__ import annotations

from classroom.checks.packet_table import first_packet, last_packet, packets_between, table_on_wire
from classroom.exercise import Exercise
from classroom.guided.answers import NAME, text
from classroom.guided.packet_table import connection, sections
from classroom.variants import Variant
from labs.errors import BuildFailed
from labs.run.running import RunningLab
from labs.wait import poll_until

_HEAD = """\
One connection: {client}, local port {port}, asked {vip}:80 for /index.html.
It has been made already; ../pcap/INTERFACE.pcap holds what crossed that interface.

Replace every ____. Addresses with their ports as 192.0.2.1:80 (or 192.0.2.1.80, as tcpdump writes
it), addresses without a port as 192.0.2.1, MAC addresses as 02:00:c0:00:02:01. Leave the rest as it is."""


def _files(variant: Variant) -> dict[str, str]:
    asked = connection(variant)
    head = _HEAD.format(client=asked.client.node, port=asked.port, vip=variant.plan.vip)
    return {NAME: text(head, sections(variant))}


def _connect(running: RunningLab, variant: Variant) -> None:
    """Make the connection when it is the turn of the real server that has to get it."""
    asked = connection(variant)
    client = next(one for one in running.clients if one.host.name == asked.client.node)
    turns = [server["address"] for server in running.director.ask("list")["services"][0]["servers"]]
    names = {server.address: server.name for server in variant.plan.servers}
    before = names[turns[turns.index(asked.server.address) - 1]]
    poll_until(lambda: client.names(1), [before].__eq__, 2)
    page = client.page("/index.html", asked.port)
    if f"{asked.server.name}<" not in page.stdout:
        raise BuildFailed(
            f"The connection that the exercise is about went astray: {page.stdout or page.stderr}"
        )


EXERCISE = Exercise(
    title="Four packets, and what is different about each",
    methods=("nat", "tun", "dr"),
    checks=(first_packet, packets_between, last_packet, table_on_wire),
    prepare=_connect,
    files=_files,
    diagnosis=False,
    captures=True,
)
