"""How a director of ours is told what a scenario says, and asked what it has: by its control socket."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from director.ipvsadm import saved
from oracle import packets
from oracle.play import Entry, Load, Tables
from oracle.site import Place

Ask = Callable[[dict[str, Any]], dict[str, Any]]


def rules(ask: Ask, lines: Sequence[str]) -> None:
    """Each line for itself, as the kernel's tool does: a refused one changes nothing."""
    for line in lines:
        ask({"do": "apply", "commands": saved.read(line)})


def sysctl(ask: Ask, name: str, value: int) -> None:
    ask({"do": "apply", "commands": [{"command": "SetSysctl", "name": name, "value": value}]})


def mark(ask: Ask, protocol: str, vip: str, ports: str, number: int) -> None:
    first, _, last = ports.partition("-")
    where = {"network": vip, "protocol": packets.TCP if protocol == "tcp" else packets.UDP}
    range_of_ports = {"first": int(first), "last": int(last or first)}
    ask({"do": "apply", "commands": [{"command": "AddMark", "mark": number, **where, **range_of_ports}]})


def look(ask: Ask, place: Place) -> Tables:
    own = place.client(0).rpartition(".")[0] + "."
    connections = {
        f"{one['protocol']} {one['client']} {one['vip']}": Entry(
            one["server"], one["state"], int(one["expires"])
        )
        for one in ask({"do": "connections"})["connections"]
        if one["client"].startswith(own)
    }
    loads = {
        f"{_name(service)} {server['address']}:{server['port']}": Load(
            server["weight"], server["active"], server["inactive"]
        )
        for service in ask({"do": "list", "at_once": True})["services"]
        if service["address"] == place.vip or service["mark"] == place.mark
        for server in service["servers"]
    }
    return Tables(connections, loads)


def _name(service: dict[str, Any]) -> str:
    if service["mark"]:
        return f"FWM {service['mark']}"
    return f"{service['protocol']} {service['address']}:{service['port']}"
