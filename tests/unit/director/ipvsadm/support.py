"""A director without an engine, fixed host and service names, and the recording of the real ipvsadm."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from director.control import cli
from director.control.handler import RequestHandler
from director.core.commands import Command
from director.core.director import Director
from director.core.real_server import Method
from director.formats.command_json import decode
from director.ipvsadm import names
from tests.unit.director.idle import Idle

Fields = dict[str, Any]


class Table:
    """A director's rules behind its request handler, without a socket.

    `requests` and `commands` are all that it was asked; `connections` is what it says that it has.
    """

    def __init__(self) -> None:
        self.clear()
        self.connections: list[Fields] = []
        self.requests: list[Fields] = []
        self.commands: list[Command] = []

    def clear(self) -> None:
        director = Director(scheduler="wlc", method=Method.DR)
        self._handler = RequestHandler(director, Idle(director), lambda: 0.0, {})  # type: ignore[arg-type]

    @property
    def services(self) -> list[Fields]:
        """What it lists."""
        listed: list[Fields] = self._handler({"do": "list"})["services"]
        return listed

    def call(self, _path: str, request: Fields) -> Fields:
        self.requests.append(request)
        if request["do"] == "connections":
            return {"ok": True, "connections": self.connections}
        self.commands += [decode(command) for command in request.get("commands", ())]
        answer: Fields = json.loads(json.dumps(self._handler(request)))
        return answer

    def stream(self, path: str, request: Fields) -> Iterator[Fields]:
        yield self.call(path, request)


PORTS = {
    ("tcp", "http"): 80,
    ("tcp", "https"): 443,
    ("tcp", "snpp"): 444,
    ("tcp", "microsoft-ds"): 445,
    ("tcp", "http-alt"): 8080,
    ("udp", "domain"): 53,
}


Address6 = tuple[str, int, int, int]


class Machine:
    """Fixed names in place of /etc/hosts and /etc/services."""

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

    def getaddrinfo(self, name: str, _port: None, _family: int) -> list[tuple[int, int, int, str, Address6]]:
        return [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", (self.gethostbyname(name), 0, 0, 0))]

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
    """Make ipvsadm use these two in place of a director and of this machine's names."""
    table, machine = Table(), Machine(folder / "hosts")
    monkeypatch.setattr(cli, "stream", table.stream)
    monkeypatch.setattr(names, "HOSTS", str(folder / "hosts"))
    for function in (
        machine.gethostbyname,
        machine.getaddrinfo,
        machine.getservbyname,
        machine.getservbyport,
    ):
        monkeypatch.setattr(socket, function.__name__, function)
    return table, machine


RECORDING = Path(__file__).with_name("recorded.txt")


class Recorded(NamedTuple):
    """A command recorded with ipvsadm 1.31 on kernel 6.1, and its result.

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
            hosts = dict(pair.split("=") for pair in rest.split())
        elif mark == "$":
            command, stdin, stdout = rest, "", ""
        elif mark == "<":
            stdin += f"{rest}\n"
        elif mark == "=>":
            yield Recorded(command, stdin, stdout, int(rest), hosts)
            hosts = None
        else:
            stdout += line
