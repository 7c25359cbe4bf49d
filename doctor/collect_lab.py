"""Read the state of a running lab: a small program on every host at once, and the director's own report.

Nothing here fails because of a fault in the lab: the state says what could not be read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from director.control.channel import ChannelError, Message, call
from doctor.parse_host import parse_host
from doctor.state import (
    Connection,
    DirectorState,
    HostState,
    LabState,
    Mark,
    PlannedServer,
    Plug,
    Service,
    Target,
)
from labs.errors import LabError
from labs.hosts.environment import DIRECTOR
from labs.hosts.host import Host, program
from labs.network.topology import Node, Role
from labs.plan import Plan
from labs.run.running import RunningLab
from labs.wait import patient

_COLLECT = Path(__file__).resolve().parent / "collect_host.py"
_HOST, _DIRECTOR = 20, 6  # seconds; a tenth of one is enough where the machine is idle
_AT_ONCE = 8
_MOST = 300  # connections kept: established ones first


def collect_lab(running: RunningLab) -> LabState:
    """The state of the lab, in about a second; a broken lab raises nothing."""
    plan = running.plan
    targets = list(_targets(plan))
    nodes = plan.topology.nodes
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        director = pool.submit(_director)
        hosts = list(pool.map(lambda node: _host(node, running.network.hosts[node.name], targets), nodes))
    scripts = running.evidence.scripts
    return LabState(
        lab=plan.lab,
        method=plan.method.name.lower(),
        vip=plan.vip,
        dip=plan.addresses.dip,
        servers=tuple(_planned(plan)),
        hosts=tuple(_with_scripts(host, scripts / host.name) for host in hosts),
        director=director.result(),
    )


def answer(running: RunningLab) -> Message:
    """The state, as the lab's control server answers it."""
    return {"state": collect_lab(running).as_dict()}


def _planned(plan: Plan) -> Iterator[PlannedServer]:
    for one in plan.servers:
        yield PlannedServer(one.name, one.address, (one.http_port, *one.more_ports), one.weight)


def _targets(plan: Plan) -> Iterator[str]:
    """Where packets of the virtual server go: to clients, VIP and director."""
    for node in plan.topology.nodes:
        if node.role in (Role.CLIENT, Role.DIRECTOR):
            yield from (interface.address for interface in node.interfaces)
    yield plan.vip


def _host(node: Node, host: Host, targets: Iterable[str]) -> HostState:
    plugs = tuple(
        Plug(interface.name, interface.switch, interface.address, interface.prefix)
        for interface in node.interfaces
    )
    planned = HostState(node.name, node.role.value, plugs)
    try:
        done = host.run(program(_COLLECT, *targets), timeout=_HOST)
        if done.exit_code == 0:
            return parse_host(planned, done.stdout)
        error = (done.stderr.strip().splitlines() or [f"exit code {done.exit_code}"])[-1]
    except (OSError, ValueError, KeyError, TypeError) as failure:
        error = f"{type(failure).__name__}: {failure}"
    return replace(planned, error=error)


def _with_scripts(host: HostState, folder: Path) -> HostState:
    """With the current scripts of its folder; those in subfolders belong to one dialect."""
    scripts: dict[str, str] = {}
    for path in sorted(folder.glob("*.sh")):
        try:
            scripts[path.name] = path.read_text(errors="replace")
        except OSError:
            continue
    return replace(host, scripts=scripts)


def _director() -> DirectorState:
    """Asked through its control socket."""
    try:
        listed = _ask("list")
        connections = _ask("connections")["connections"]
    except (ChannelError, LabError) as error:
        return DirectorState(error=str(error))
    return DirectorState(
        engine=listed["engine"],
        ftp_helper=listed.get("ftp_helper", True),
        timeouts=listed["timeouts"],
        services=tuple(map(_service, listed["services"])),
        marks=tuple(map(_mark, listed["marks"])),
        connections=tuple(sorted(map(_connection, connections), key=_has_ended)[:_MOST]),
    )


def _ask(what: str) -> dict[str, Any]:
    """Raises ChannelError."""
    answer = call(DIRECTOR, {"do": what}, timeout=patient(_DIRECTOR))
    if not answer.get("ok"):
        raise ChannelError(str(answer.get("error", "refused")))
    return answer


def _service(one: Mapping[str, Any]) -> Service:
    targets = tuple(Target(each["address"], each["port"], each["weight"]) for each in one["servers"])
    return Service(
        protocol=one["protocol"],
        address=one["address"],
        port=one["port"],
        mark=one["mark"],
        scheduler=one["scheduler"],
        persistent=one["persistent"],
        targets=targets,
        flags=tuple(one["flags"]),
    )


def _mark(one: Mapping[str, Any]) -> Mark:
    return Mark(*(one[name] for name in ("mark", "network", "protocol", "first", "last")))


def _has_ended(connection: Connection) -> bool:
    return connection.state != "ESTABLISHED" and not connection.is_template


def _connection(one: Mapping[str, Any]) -> Connection:
    names = ("protocol", "client", "vip", "server", "state", "expires")
    return Connection(*(one[name] for name in names))
