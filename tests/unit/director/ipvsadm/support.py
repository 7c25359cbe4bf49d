"""A director that is none, a machine whose names are known, and what was recorded with real ones."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from director.control import tool
from director.control.codec import decode
from director.core.commands import (
    AddServer,
    AddService,
    Clear,
    Command,
    DeleteServer,
    DeleteService,
    EditServer,
    EditService,
    ServiceKey,
    SetTimeouts,
    Zero,
)
from director.core.packet import TCP
from director.ipvsadm import names

Fields = dict[str, Any]

SCHEDULERS = ("rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh")
COUNTERS = ("connections", "packets_in", "packets_out", "bytes_in", "bytes_out")
IDLE: Fields = {**dict.fromkeys(COUNTERS, 0), "rates": dict.fromkeys(COUNTERS, 0)}


class Table:
    """Keeps rules, refuses what the kernel refuses, lists, and forwards nothing.

    `requests` and `commands` are all that it was asked.
    """

    def __init__(self) -> None:
        self.services: dict[ServiceKey, Fields] = {}
        self.clear()
        self.connections: list[Fields] = []
        self.requests: list[Fields] = []
        self.commands: list[Command] = []

    def clear(self) -> None:
        self.services.clear()
        self.timeouts = {"tcp": 900, "tcpfin": 120, "udp": 300}

    def call(self, _path: str, request: Fields) -> Fields:
        self.requests.append(request)
        if request["do"] == "connections":
            return {"ok": True, "connections": self.connections}
        if request["do"] == "list":
            services = list(self.services.values())
            return {"ok": True, "conn_tab_size": 4096, "timeouts": self.timeouts, "services": services}
        commands = [decode(command) for command in request["commands"]]
        self.commands += commands
        for command in commands:
            if refusal := self.carry_out(command):
                return {"ok": False, "error": refusal}
        return {"ok": True}

    def carry_out(self, command: Command) -> str | None:
        """Why not, if it is refused."""
        if isinstance(command, Clear):
            self.services.clear()
        elif isinstance(command, SetTimeouts):
            new = {"tcp": command.tcp, "tcpfin": command.tcpfin, "udp": command.udp}
            self.timeouts = {name: new[name] or old for name, old in self.timeouts.items()}
        elif isinstance(command, Zero):
            return None if command.key is None else self._missing(command.key)
        elif isinstance(command, (AddService, EditService)):
            return self._put_service(command)
        elif isinstance(command, DeleteService):
            refusal = self._missing(command.key)
            self.services.pop(command.key, None)
            return refusal
        else:
            assert isinstance(command, (AddServer, EditServer, DeleteServer))
            return self._missing(command.key) or self._put_server(command)
        return None

    def _missing(self, key: ServiceKey) -> str | None:
        return None if key in self.services else "there is no such virtual service."

    def _put_service(self, command: AddService | EditService) -> str | None:
        if (command.key in self.services) is isinstance(command, AddService):
            return "the virtual service exists already, or does not."
        if command.scheduler not in SCHEDULERS:
            return f"there is no scheduler {command.scheduler!r}."
        before = self.services.get(command.key)
        key = command.key
        protocol = "FWM" if key.mark else "TCP" if key.protocol == TCP else "UDP"
        self.services[key] = {
            "protocol": protocol,
            "address": str(key.address.address),
            "port": key.address.port,
            "mark": key.mark,
            "scheduler": command.scheduler,
            "flags": list(command.flags),
            "persistent": command.persistent,
            "netmask": command.netmask,
            "one_packet": command.one_packet,
            "servers": before["servers"] if before else [],
            **IDLE,
        }
        return None

    def _put_server(self, command: AddServer | EditServer | DeleteServer) -> str | None:
        servers = self.services[command.key]["servers"]
        place = {"address": str(command.server.address), "port": command.server.port}
        found = next((server for server in servers if place.items() <= server.items()), None)
        if (found is None) is not isinstance(command, AddServer):
            return "the real server exists already, or does not."
        if isinstance(command, DeleteServer):
            servers.remove(found)
            return None
        if (command.lower or 0) > (command.upper or 0):
            return "the lower threshold is above the upper one."
        new = {**place, **settings(command)}
        if found is None:
            servers.append(new)
        else:
            found.update(new)
        return None


def settings(command: AddServer | EditServer) -> Fields:
    """What a server of the list has besides its place."""
    assert command.method is not None
    return {
        "method": command.method.value,
        "weight": command.weight,
        "upper": command.upper,
        "lower": command.lower,
        "active": 0,
        "inactive": 0,
        "persistent_connections": 0,
        **IDLE,
    }


PORTS = {
    ("tcp", "http"): 80,
    ("tcp", "https"): 443,
    ("tcp", "snpp"): 444,
    ("tcp", "microsoft-ds"): 445,
    ("tcp", "http-alt"): 8080,
    ("udp", "domain"): 53,
}


class Machine:
    """Where names come from: /etc/hosts and /etc/services, whatever those of this machine say."""

    def __init__(self, hosts: Path) -> None:
        self._hosts = hosts
        self.set_hosts({"127.0.0.1": "localhost"})

    def set_hosts(self, addresses: dict[str, str]) -> None:
        self._addresses = {name: address for address, name in addresses.items()}
        lines = ["# written by a test", "", *(f"{at}\t{name} alias # why" for at, name in addresses.items())]
        self._hosts.write_text("\n".join(lines))
        names._hosts.cache_clear()

    def gethostbyname(self, name: str) -> str:
        if name not in self._addresses:
            raise OSError(f"nobody knows {name}")
        return self._addresses[name]

    def getservbyname(self, name: str, protocol: str) -> int:
        if (protocol, name) not in PORTS:
            raise OSError("service/proto not found")
        return PORTS[protocol, name]

    def getservbyport(self, port: int, protocol: str) -> str:
        for (of, name), number in PORTS.items():
            if (of, number) == (protocol, port):
                return name
        raise OSError("port/proto not found")


def stand_in(monkeypatch: pytest.MonkeyPatch, folder: Path) -> tuple[Table, Machine]:
    """Let ipvsadm ask these two, instead of a director and of this machine."""
    table, machine = Table(), Machine(folder / "hosts")
    monkeypatch.setattr(tool, "call", table.call)
    monkeypatch.setattr(names, "HOSTS", str(folder / "hosts"))
    for function in (machine.gethostbyname, machine.getservbyname, machine.getservbyport):
        monkeypatch.setattr(socket, function.__name__, function)
    return table, machine


RECORDING = Path(__file__).with_name("recorded.txt")


class Recorded(NamedTuple):
    """A command of the recording, made with ipvsadm 1.31 on kernel 6.1, and what came of it.

    `hosts` is None where the machine is that of the command before.
    """

    command: str
    stdin: str
    stdout: str
    code: int
    hosts: dict[str, str] | None


def recording() -> Iterator[Recorded]:
    """recorded.txt: `$` is a command, `<` its standard input, `=>` its exit code.

    `% ADDRESS=NAME ...` is a machine without rules that has these lines in its /etc/hosts.
    """
    hosts: dict[str, str] | None = None
    command, stdin, stdout = "", "", ""
    for line in RECORDING.read_text().splitlines(keepends=True):
        mark, _, rest = line.rstrip("\n").partition(" ")
        if mark == "%":
            hosts = dict(each.split("=") for each in rest.split())
        elif mark == "$":
            command, stdin, stdout = rest, "", ""
        elif mark == "<":
            stdin += f"{rest}\n"
        elif mark == "=>":
            yield Recorded(command, stdin, stdout, int(rest), hosts)
            hosts = None
        else:
            stdout += line
