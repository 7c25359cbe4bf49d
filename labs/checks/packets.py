"""Where packets go: the packet table of one connection, the path of replies, a port without a service."""

from __future__ import annotations

from collections.abc import Mapping

from labs.checks.http import sizes
from labs.checks.result import Check, equal
from labs.network.topology import Role
from labs.run import pcapng
from labs.run.packet_table import Hop, Row, observe
from labs.run.running import RunningLab
from labs.wait import poll_until

SUBJECT = "packets"
_CLIENT_PORT, _SECOND_PORT = 40001, 40006  # the second for IPv6 if the captures contain IPv4 as well
FEW = 0.2  # of a file's size, if it bypasses the director: acknowledgements are less than a tenth
_TIMEOUT = 5.0  # seconds for tcpdump to write what it captured


def packet_table(run: RunningLab) -> tuple[Check, ...]:
    """One connection from the first client, traced in the captures of all hosts."""
    port = _SECOND_PORT if run.options.dual and run.plan.version == 6 else _CLIENT_PORT
    page = run.clients[0].page("/index.html", port)
    server = next((s for s in run.plan.servers if f"{s.name}<" in page.stdout), None)
    if server is None:
        return (Check("packet table", False, "a page with its server's name", page.stderr or page.stdout),)
    hops = run.plan.hops(server, run.plan.nodes(Role.CLIENT)[0].interfaces[0], port)
    macs = {interface: mac for mac, interface in run.plan.topology.names_of_macs.items()}
    run.packets = _observed(run, hops, port, macs)
    pcapng.mark(run.evidence.pcaps, hops, port, macs)
    return tuple(_compare(hop, row) for hop, row in zip(hops, run.packets, strict=True))


def _observed(run: RunningLab, hops: tuple[Hop, ...], port: int, macs: Mapping[str, str]) -> list[Row | None]:
    """Wait until every row has been captured or time is up; missing rows are None."""
    return poll_until(lambda: observe(run.evidence.pcaps, hops, port, macs), all, _TIMEOUT)


def _compare(hop: Hop, row: Row | None) -> Check:
    expected = hop.expected
    name = f"packet table: {expected.packet}"
    observed = _text(row) if row else f"not captured on {hop.interface}"
    return Check(name, row == expected, _text(expected), observed)


def _text(row: Row) -> str:
    parts = [f"{row.source} > {row.dest}"]
    if row.outer_source:
        parts.append(f"in {row.outer_source} > {row.outer_dest}")
    if row.source_mac:
        parts.append(f"by {row.source_mac} > {row.dest_mac}")
    return " ".join(parts)


def reply_path(run: RunningLab) -> tuple[Check, ...]:
    """Download a file and read from the director's switch ports how much of it passed there."""
    name = sizes(run)[-1]
    before = _sent_by_director(run)
    got = run.clients[0].get(f"http://{run.plan.site}/{name}")
    share = (_sent_by_director(run) - before) / run.farm.files[name].size
    through = run.plan.replies_through_director
    path = "replies pass the director" if through else "replies do not pass the director"
    return (
        equal(f"http download of {name}", run.farm.files[name], got),
        Check(
            f"{path} (switch counters)",
            share >= 1 if through else share < FEW,
            "at least 100 % of the file's bytes" if through else f"less than {FEW:.0%} of the file's bytes",
            f"{share:.0%}",
        ),
    )


def _sent_by_director(run: RunningLab) -> int:
    """Bytes that the switches received from the interfaces of all directors."""
    interfaces = (interface for node in run.plan.topology.directors for interface in node.interfaces)
    ports = {run.network.switch_port(interface.name) for interface in interfaces}
    return sum(counters.rx_bytes for counters in run.controller.ports() if counters.name in ports)


def refused(run: RunningLab) -> Check:
    """The director's own kernel refuses a port of the VIP without a rule."""
    return equal("a port without a rule is refused", "ECONNREFUSED", run.clients[0].connect(81))


def client_addresses(run: RunningLab) -> Check:
    """The access logs of the real servers have the clients' addresses, never the director's."""
    clients = {client.address for client in run.plan.nodes(Role.CLIENT)}
    found = set().union(*(run.farm.client_addresses(server.name) for server in run.plan.servers))
    addresses = {address for address in found if (":" in address) == (run.plan.version == 6)}
    if run.plan.pair:  # these directors check the real servers themselves
        addresses -= {
            interface.address for node in run.plan.topology.directors for interface in node.interfaces
        }
    return equal(
        "servers see the client's own address",
        ", ".join(sorted(clients)),
        ", ".join(sorted(addresses)) or "none",
    )
