"""A real server was deleted, or a script deletes it, while it has connections."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain

from director.formats.ipvsadm_words import endpoint
from doctor.causes import Cause
from doctor.queries import flag, option
from doctor.state import Connection, LabState, Service
from labs.run.takeover import CONFIGURATION, RELOAD_CHECKS

TITLE = "a real server was deleted while it had connections"

_DELETES = re.compile(r"\b(ippfvsadm\b.*\s-D|ipvsadm\b.*\s(-d|--delete-server))\b|\bippfvsadm\b.*\s-D[tu]")
_PLACE = re.compile(r"-\w*t\s+(\S+)\s+-[rR]\s+(\S+)")
_QUIESCES = re.compile(r"\bipvsadm\b.*\s(-w|--weight)[ =]?0\b")
_SPECIAL = set("|'\\&*[]^$")  # characters that sed interprets
_INHIBITS = f"sed -i 's/^ *lvs_method .*/&\\n    inhibit_on_failure/' {CONFIGURATION}"
_OWN_SCRIPTS = ("rules", "director", "start")


def find(state: LabState) -> Iterator[Cause]:
    left = list(_left(state))
    lines = list(_deleting_lines(state))
    if not left and not lines:
        return
    yield Cause(
        "server_deleted",
        state.director_host.name,
        "; ".join([*_left_behind(state, left), *(f"{name} has: {line}" for name, line in lines)]),
        "Packets of a connection whose real server has been deleted are dropped silently: the connection "
        "hangs. With weight 0 a server gets no new connections and keeps its open ones; once they have "
        "ended, it can be deleted.",
        "\n".join(_repairs(state, left, lines)),
    )


def _left(state: LabState) -> Iterator[Connection]:
    """Connections to real servers that are not in their service."""
    for connection in state.director.connections:
        service = _service(state, connection)
        lives = connection.state == "ESTABLISHED" and not connection.is_template
        if lives and service and connection.server not in map(str, service.targets):
            yield connection


def _service(state: LabState, connection: Connection) -> Service | None:
    ends = (connection.protocol, connection.vip)
    services = state.director.services
    return next(
        (
            service
            for service in services
            if (service.protocol, endpoint(service.address, service.port)) == ends
        ),
        None,
    )


def _deleting_lines(state: LabState) -> Iterator[tuple[str, str]]:
    """Deleting lines of the director's extra scripts, unless a weight is set to 0 first."""
    for name, text in state.director_host.scripts.items():
        if name.startswith(_OWN_SCRIPTS) or name.endswith("-undo.sh"):
            continue
        for line in text.splitlines():
            if line.lstrip().startswith("#"):
                continue
            if _QUIESCES.search(line):
                break
            if _DELETES.search(line):
                yield name, line.strip()
                break


def _left_behind(state: LabState, left: list[Connection]) -> Iterator[str]:
    servers = dict.fromkeys(connection.server for connection in left)
    for server in servers:
        mine = [connection for connection in left if connection.server == server]
        name = state.server_name(server.rpartition(":")[0].strip("[]"))
        by = " by the health checks" if _removers(state, server) else ""
        are = "connection is" if len(mine) == 1 else "connections are"
        yield f"{len(mine)} {are} on {name}, {server}, which has been deleted{by}: {mine[0].client}"


def _removers(state: LabState, server: str) -> list[str]:
    """The directors whose health checks took it out of service."""
    return [
        director.name
        for director in state.pair
        if any(endpoint(down.address, down.port) == server for down in director.down)
    ]


def _repairs(state: LabState, left: list[Connection], lines: list[tuple[str, str]]) -> Iterator[str]:
    method = flag(state)
    servers = {connection.server: connection for connection in left}
    removers = {server: _removers(state, server) for server in servers}
    for director in dict.fromkeys(chain.from_iterable(removers.values())):
        yield f"# on {director}, so that its checks quiesce a server instead of removing it:"
        yield _INHIBITS
        yield RELOAD_CHECKS.format(director=director)
    for server, connection in servers.items():
        service = _service(state, connection)
        if service and not removers[server]:  # the next check would delete it again
            yield f"ipvsadm -a {option(service)} -r {server} {method} -w 0"
    for name, line in lines:
        right = f"{_quiescing(line)} {method} -w 0"
        if _SPECIAL & set(line + right):
            yield f"# in {name}, instead of: {line}"
            yield f"# {right}"
        else:
            yield f"sed -i 's|^ *{line}|{right}|' {name}"


def _quiescing(line: str) -> str:
    """The ipvsadm command that changes the same server of the same service."""
    found = _PLACE.search(line)
    return f"ipvsadm -e -t {found[1]} -r {found[2]}" if found else "ipvsadm -e -t VIP:PORT -r SERVER:PORT"
