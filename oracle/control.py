"""How a director of ours is told what a scenario says, and asked what it has: by its control socket."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from director.ipvsadm import save_format
from oracle import packets
from oracle.play import Entry, Load, Tables
from oracle.site import Place


class ControlledDirector:
    """What all directors of ours have in common, wherever they run; how one is asked is theirs to say."""

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        raise NotImplementedError

    def rules(self, lines: Sequence[str]) -> None:
        """Each line for itself, as the kernel's tool does: a refused one changes nothing."""
        for line in lines:
            self._apply(save_format.read(line))

    def sysctl(self, name: str, value: int) -> None:
        self._apply([{"command": "SetSysctl", "name": name, "value": value}])

    def mark(self, protocol: str, vip: str, ports: str, mark: int) -> None:
        first, _, last = ports.partition("-")
        where = {"network": vip, "protocol": packets.TCP if protocol == "tcp" else packets.UDP}
        range_of_ports = {"first": int(first), "last": int(last or first)}
        self._apply([{"command": "AddMark", "mark": mark, **where, **range_of_ports}])

    def _apply(self, commands: list[dict[str, Any]]) -> None:
        self._ask({"do": "apply", "commands": commands})

    def look(self, place: Place) -> Tables:
        own = place.client(0).rpartition(".")[0] + "."
        connections = {
            f"{one['protocol']} {one['client']} {one['vip']}": Entry(
                one["server"], one["state"], int(one["expires"])
            )
            for one in self._ask({"do": "connections"})["connections"]
            if one["client"].startswith(own)
        }
        loads = {
            f"{_name(service)} {server['address']}:{server['port']}": Load(
                server["weight"], server["active"], server["inactive"]
            )
            for service in self._ask({"do": "list", "at_once": True})["services"]
            if service["address"] == place.vip or service["mark"] == place.mark
            for server in service["servers"]
        }
        return Tables(connections, loads)


def _name(service: dict[str, Any]) -> str:
    if service["mark"]:
        return f"FWM {service['mark']}"
    return f"{service['protocol']} {service['address']}:{service['port']}"
