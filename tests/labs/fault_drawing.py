"""The faults of faults.py for a lab, with its names and addresses: drawn at random, or a given one."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Interface

from labs.methods import FLAGS
from labs.network.addresses import mac_of
from labs.network.topology import Interface, Node, Role
from labs.plan import Plan
from tests.labs.faults import KINDS, Fault, Kind, Variant

_OF_NOBODY = "02:00:00:00:00:99"
_ROLES = {
    "client": Role.CLIENT,
    "server": Role.SERVER,
    "director": Role.DIRECTOR,
    "router": Role.ROUTER,
    "site": Role.ROUTER,
}
_SCRIPTS = {"client": "client", "server": "realserver", "director": "director"}
_WORD = re.compile(r"<(\w+)>")
_THERE = re.compile(r"([a-z]+\d*): (.*)")


def kinds_for(method: str, engine: str = "scapy") -> Iterator[tuple[Kind, Variant, str]]:
    """Each kind with each variant and role that this method and engine have."""
    for kind in KINDS:
        for variant in kind.variants:
            if method in variant.methods.split() and engine in variant.engines.split():
                for role in kind.on.split():
                    if role != "site" or method == "tun":
                        yield kind, variant, role


def draw(plan: Plan, engine: str, chance: random.Random, count: int) -> list[Fault]:
    """That many faults at random: each kind once before any comes twice; variant and host are drawn, too."""
    method = plan.method.name.lower()
    possible: dict[str, list[tuple[Kind, Variant, str]]] = {}
    for choice in kinds_for(method, engine):
        possible.setdefault(choice[0].name, []).append(choice)
    drawn: list[Fault] = []
    while len(drawn) < count:
        names = list(possible)
        chance.shuffle(names)
        for name in names:
            kind, variant, role = chance.choice(possible[name])
            drawn.append(fill(plan, kind, variant, chance.choice(hosts(plan, role))))
    return drawn[:count]


def hosts(plan: Plan, role: str) -> list[Node]:
    """The hosts of a role: `router` is the first router, `site` any other."""
    nodes = list(plan.nodes(_ROLES[role]))
    return {"router": nodes[:1], "site": nodes[1:]}.get(role, nodes)


def fill(plan: Plan, kind: Kind, variant: Variant, node: Node) -> Fault:
    """The fault on that host."""
    values = _values(plan, node)
    return Fault(
        kind.name,
        kind.cause,
        node.name if kind.cause else "",
        tuple(_lines(variant.typed, values, node.name)),
        tuple(_lines(variant.undo, values, node.name)),
        variant.remembers,
    )


def _lines(text: str, values: Mapping[str, str], host: str) -> Iterator[tuple[str, str]]:
    filled = _WORD.sub(lambda word: values[word[1]] if word[1] in values else word[0], text)
    for line in filled.splitlines():
        there = _THERE.fullmatch(line)
        yield (there[1], there[2]) if there else (host, line)


def _values(plan: Plan, node: Node) -> dict[str, str]:
    """What <word> stands for."""
    method = plan.method.name.lower()
    main = node.interfaces[0]
    servers = {server.name: server for server in plan.servers}
    peer = next((other for other in plan.nodes(node.role) if other != node), node)
    vip = plan.vip
    values = {
        "host": node.name,
        "lan": main.name,
        "inner": node.interfaces[-1].name,
        "ip": main.address,
        "prefix": str(main.prefix),
        "gw": _gateway(plan, main),
        "peer": peer.name,
        "peer_ip": peer.address,
        "peer_mac": mac_of(peer.address),
        "mac": mac_of(main.address),
        "vip": vip,
        "client_ip": plan.nodes(Role.CLIENT)[0].interfaces[0].address,
        "dip": plan.addresses.dip,
        "dip_mac": mac_of(plan.addresses.dip),
        "vipdev": {"tun": "tunl0", "dr": "lo"}.get(method, ""),
        "flag": FLAGS[method],
        "clients": str(IPv4Interface(f"{plan.nodes(Role.CLIENT)[0].address}/24").network),
        "clients27": str(IPv4Interface(f"{plan.nodes(Role.CLIENT)[0].address}/27").network),
        "mac_of_nobody": _OF_NOBODY,
        "rs1_mac": mac_of(plan.servers[0].address),
        "role": {Role.ROUTER: "router", Role.CLIENT: "client", Role.SERVER: "realserver"}.get(
            node.role, "director"
        ),
        "free_ip": _free(plan.servers[0].address if node.role is not Role.CLIENT else main.address),
        **{f"rip{number}": server.address for number, server in enumerate(plan.servers, 1)},
    }
    if node.name in servers:
        values["port"] = str(servers[node.name].http_port)
        values["dest"] = main.address if method == "nat" else vip
        values["free_ip"] = _free(main.address)
    return values


def _free(address: str) -> str:
    """An address of the same network that nobody has: all labs' networks are free from here on."""
    return str(IPv4Interface(address).ip + 20)


def _gateway(plan: Plan, interface: Interface) -> str:
    """The router on its segment, or the director in VS-NAT."""
    for role in (Role.ROUTER, Role.DIRECTOR):
        for node in plan.nodes(role):
            for other in node.interfaces:
                if other.switch == interface.switch and node.name != interface.node:
                    return other.address
    return ""
