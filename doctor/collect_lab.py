"""Read the state of a running lab: the director's own report, trials, and a small program on every host.

Nothing here fails because of a fault in the lab: the state says what could not be read. The director is asked
first, so that its table does not contain the trials, and the hosts are read last, so that their counters and
neighbour tables do.
"""

from __future__ import annotations

import os
import resource
import socket
import struct
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from director.control.channel import ChannelError, Message, call
from director.core.real_server import Method
from doctor.collect_host import HAS
from doctor.parse_host import parse_host
from doctor.queries import CLIENT_PORT, FTP, HTTP
from doctor.state import (
    STOPPED,
    Connection,
    DirectorState,
    HostState,
    LabState,
    Mark,
    NextHop,
    Planned,
    PlannedServer,
    Plug,
    Process,
    Route,
    Service,
    Site,
    Target,
)
from doctor.trials import PORTS, Trials
from labs.errors import LabError
from labs.hosts.environment import DIRECTOR
from labs.hosts.host import program
from labs.network.topology import Node, Role
from labs.plan import Plan
from labs.run.running import RunningLab
from labs.wait import patient
from realserver_setup.build import ClientSetup, DirectorSetup, RealServerSetup, RouterSetup, Setup
from realserver_setup.files import LISTING, UPLOAD, fingerprints
from realserver_setup.httpd import CONFIGURATION, ORIGINAL

_COLLECT = Path(__file__).resolve().parent / "collect_host.py"
_HOST, _DIRECTOR = 20, 2  # seconds; a tenth of a second is enough on an idle machine
_LONGEST = 8  # seconds for the director, however busy the machine: a looping director makes it busy itself
_BRIEFLY = 0.2  # seconds for a director that cannot accept a connection
_AT_ONCE = 8
_IPV6 = 6
_CREDENTIALS = struct.Struct("iii")  # pid, uid, gid (unix(7), SO_PEERCRED)
_MOST = 300  # connections kept: established ones first


def collect_lab(running: RunningLab) -> LabState:
    """The state of the lab, in half a second, or three if clients fail; never raises for a broken lab."""
    plan = running.plan
    if plan.pair:
        from doctor import collect_pair  # late: most labs have one director

        active = collect_pair.active(running)
        name, dip, socket_path = active.host.name, active.setup.outside.address, active.socket
    else:
        name, dip, socket_path = "", plan.addresses.dip, DIRECTOR
    director = _of_version(_director(socket_path), plan.version)
    trying = Trials(running, director, name) if name else Trials(running, director)
    trials = trying.first()
    setups = {setup.name: setup for setup in plan.setups}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        again = None if all(trial.served for trial in trials) else pool.submit(trying.again)
        hosts = list(
            pool.map(lambda node: _host(plan, node, running, setups.get(node.name)), plan.topology.nodes)
        )
    state = LabState(
        lab=plan.lab,
        method=plan.method.name.lower(),
        vip=plan.vip,
        dip=dip,
        servers=tuple(_planned(plan)),
        hosts=tuple(_with_files(host, running) for host in hosts),
        director=director,
        trials=again.result() if again else trials,
        director_process=director_process(hosts),
        active=name,
        failed_at_first=sum(not trial.served for trial in trials),
    )
    return collect_pair.with_pair(state, running, _director) if plan.pair else state


def answer(running: RunningLab) -> Message:
    """The state as the control server's answer; `more` contains the state of the other IP version, if any."""
    first, *more = (collect_lab(part).as_dict() for part in running.parts)
    return {"state": first, "more": more}


def _planned(plan: Plan) -> Iterator[PlannedServer]:
    for server in plan.servers:
        yield PlannedServer(
            server.name, server.address, (server.http_port, *server.more_ports), server.weight, server.ftp
        )


def _targets(plan: Plan, node: Node) -> Iterator[str]:
    """Destinations whose next hop matters: clients, VIP and director; then packets that pass this host."""
    for other in plan.topology.nodes:
        if other.role in (Role.CLIENT, Role.DIRECTOR):
            yield from (interface.address for interface in other.interfaces)
    # For clients with protocol and ports, which a policy routing rule may match.
    yield f"{plan.vip} {_request(HTTP)}" if node.role is Role.CLIENT else plan.vip
    if node.role is Role.DIRECTOR:
        yield from (server.address for server in plan.servers)
    if node.role is Role.SERVER:
        yield node.address
    if node.role in (Role.ROUTER, Role.SERVER):
        yield from _passing(plan, node)


def _passing(plan: Plan, node: Node) -> Iterator[str]:
    """`ADDRESS from SOURCE iif INTERFACE` for what a router or a real server gets, and for its replies."""
    vip, dip, own = plan.vip, plan.addresses.dip, node.address
    clients = [client.address for client in plan.nodes(Role.CLIENT)]
    if node.role is Role.SERVER:
        inbound = plan.tunnel or node.interfaces[0].name
        destination = own if plan.method is Method.NAT else vip
        port = HTTP if plan.method is not Method.NAT else _port_of(plan, node)
        for client in clients:
            yield f"{destination} from {client} iif {inbound} {_request(port)}"
            yield f"{client} from {destination} {_reply(port)}"
        if plan.method is Method.TUN:
            yield f"{own} from {dip} iif {node.interfaces[0].name}"
        return
    outside, inside = node.interfaces[0].name, node.interfaces[-1].name
    for client in clients:
        yield f"{vip} from {client} iif {outside} {_request(HTTP)}"
        yield f"{client} from {vip} iif {inside} {_reply(HTTP)}"
    if plan.method is Method.TUN:
        switch = node.interfaces[-1].switch
        behind = {interface.node for interface in plan.topology.interfaces if interface.switch == switch}
        is_first = plan.topology.director.name in behind
        for server in plan.servers:
            if is_first or server.name in behind:
                yield f"{server.address} from {dip} iif {inside if is_first else outside}"


def _request(port: int) -> str:
    return f"ipproto tcp sport {CLIENT_PORT} dport {port}"


def _reply(port: int) -> str:
    return f"ipproto tcp sport {port} dport {CLIENT_PORT}"


def _port_of(plan: Plan, node: Node) -> int:
    """The port of its httpd."""
    return next((server.http_port for server in plan.servers if server.name == node.name), HTTP)


def _host(plan: Plan, node: Node, running: RunningLab, setup: Setup | None) -> HostState:
    plugs = tuple(
        Plug(
            interface.name,
            interface.switch,
            interface.address,
            interface.prefix,
            interface.mac,
            running.network.switch_port(interface.name),
        )
        for interface in node.interfaces
    )
    planned = HostState(node.name, node.role.value, plugs, planned=_prescribed(plan, setup))
    try:
        host, targets = running.network.hosts[node.name], list(dict.fromkeys(_targets(plan, node)))
        places = (*_folders(running, node.name), *_files(running, node.name))
        done = host.run(program(_COLLECT, *targets, *places), timeout=_HOST)
        if done.exit_code == 0:
            return _with_unreachable(parse_host(planned, done.stdout), targets)
        error = (done.stderr.strip().splitlines() or [f"exit code {done.exit_code}"])[-1]
    except (OSError, ValueError, KeyError, TypeError) as failure:
        error = f"{type(failure).__name__}: {failure}"
    return replace(planned, error=error)


def _with_unreachable(host: HostState, targets: Iterable[str]) -> HostState:
    """The host with a next hop for each target: `ip` prints nothing for targets without a route."""
    asked = (_asked(target.split()) for target in targets)
    known = {(hop.target, hop.source, hop.inbound) for hop in host.next_hops}
    missing = (
        question for question in asked if (question.target, question.source, question.inbound) not in known
    )
    return replace(host, next_hops=(*host.next_hops, *missing))


def _asked(words: list[str]) -> NextHop:
    """The question `ADDRESS from SOURCE iif INTERFACE ipproto tcp ...`; only ADDRESS is mandatory."""
    named = dict(zip(words[1::2], words[2::2], strict=False))
    return NextHop(words[0], source=named.get("from", ""), inbound=named.get("iif", ""))


def _prescribed(plan: Plan, setup: Setup | None) -> Planned:
    """The settings that the host's set-up script makes as rendered."""
    if isinstance(setup, ClientSetup):
        return Planned(gateway=setup.gateway)
    if isinstance(setup, RouterSetup):
        return Planned(routes=tuple(Route(route.destination, route.gateway, "") for route in setup.routes))
    if isinstance(setup, DirectorSetup):
        return Planned(setup.gateway, vip_on=setup.outside.name, answers_arp=True)
    if isinstance(setup, RealServerSetup):
        vip_on = "lo" if setup.method is Method.DR else plan.tunnel
        server = next((server for server in plan.servers if server.name == setup.name), None)
        ports = (server.http_port, *server.more_ports, *((FTP,) if server.ftp else ())) if server else ()
        return Planned(setup.gateway, vip_on=vip_on, ports=ports)
    return Planned()


def _with_files(host: HostState, running: RunningLab) -> HostState:
    """The host with the current scripts of its folder, but not of subfolders, which belong to one dialect."""
    scripts: dict[str, str] = {}
    for path in sorted((running.evidence.scripts / host.name).glob("*.sh")):
        try:
            scripts[path.name] = path.read_text(errors="replace")
        except OSError:
            continue
    return replace(host, scripts=scripts, site=_site(running, host))


def _site(running: RunningLab, host: HostState) -> Site:
    """The httpd's files on a real server, with changes to its configuration."""
    if not _folders(running, host.name):
        return host.site
    folder, root = running.evidence.folder / "servers" / host.name, running.farm.root(host.name)
    return replace(
        host.site,
        root=str(root),
        versions=running.farm.versions,
        changed=tuple(_changed(folder / ORIGINAL, folder / CONFIGURATION)),
    )


def _folders(running: RunningLab, name: str) -> list[str]:
    """The folders in which a real server's httpd writes, for itself or for clients."""
    if name not in {server.name for server in running.plan.servers}:
        return []
    folder, root = running.evidence.folder.resolve() / "servers" / name, running.farm.root(name)
    return [str(path) for path in (folder, folder / "logs", folder / "tmp", root, root / UPLOAD)]


def _files(running: RunningLab, name: str) -> list[str]:
    """The files that a real server serves, as arguments of collect_host.py."""
    if name not in {server.name for server in running.plan.servers}:
        return []
    root, known = running.farm.root(name), fingerprints(name)
    return [f"{HAS}{known.get(file, ':')}:{root / file}{'/' if file == UPLOAD else ''}" for file in LISTING]


def _changed(original: Path, configuration: Path) -> Iterator[str]:
    """`line 34: return 503;` for each new line, `gone: ...` for each deleted one."""
    try:
        before, now = (path.read_text(errors="replace").splitlines() for path in (original, configuration))
    except OSError:
        yield from () if not original.exists() else (f"there is no {configuration.name}",)
        return
    for tag, first, last, start, end in SequenceMatcher(None, before, now, autojunk=False).get_opcodes():
        if tag == "delete":
            yield from (f"gone: {line.strip()}" for line in before[first:last] if line.strip())
        elif tag != "equal":
            yield from (f"line {at + 1}: {now[at].strip()}" for at in range(start, end) if now[at].strip())


def director_process(hosts: Iterable[HostState]) -> Process | None:
    """The process that has the director's control socket, also if it was started by hand."""
    for host in hosts:
        pids = {
            listener.pid
            for listener in host.listeners
            if (listener.protocol, listener.address) == ("UNIX", DIRECTOR)
        }
        for process in host.processes:
            if process.pid in pids:
                return process
    return None


def _director(path: str) -> DirectorState:
    """The report from its control socket, without the connections of earlier trials."""
    pid = _owner(path)
    if pid and _is_stopped(pid):
        return DirectorState(error=f"process {pid} is stopped")
    seconds = _BRIEFLY if pid and _has_no_files(pid) else min(patient(_DIRECTOR), _LONGEST)
    try:
        listed = _ask(path, "list", seconds)
        connections = _ask(path, "connections", seconds)["connections"]
    except (ChannelError, LabError) as error:
        return DirectorState(error=str(error))
    return DirectorState(
        engine=listed["engine"],
        ftp_helper=listed.get("ftp_helper", True),
        timeouts=listed["timeouts"],
        services=tuple(map(_service, listed["services"])),
        marks=tuple(map(_mark, listed["marks"])),
        connections=tuple(sorted(filter(_is_real, map(_connection, connections)), key=_has_ended)[:_MOST]),
        entries=len(connections),
        limit=listed.get("conn_limit", 0),
        sysctls=listed.get("sysctls", {}),
    )


def _of_version(director: DirectorState, version: int) -> DirectorState:
    """The report without services, marks and connections of the other IP version."""

    def is_of(address: str) -> bool:
        return (":" in address) == (version == _IPV6)

    def serves(service: Service) -> bool:
        targets = [target.address for target in service.targets]
        return all(map(is_of, targets[:1] if service.mark else [service.address]))

    return replace(
        director,
        services=tuple(filter(serves, director.services)),
        marks=tuple(mark for mark in director.marks if is_of(mark.network)),
        connections=tuple(
            connection
            for connection in director.connections
            if connection.vip.startswith("[") == (version == _IPV6)
        ),
    )


def _owner(path: str) -> int:
    """The pid of the process that has the director's control socket; 0 if there is none."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
            peer.connect(path)
            credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    except OSError:
        return 0
    pid: int = _CREDENTIALS.unpack(credentials)[0]
    return pid


def _is_stopped(pid: int) -> bool:
    """Whether the process is stopped, so that it would not answer."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0] in STOPPED
    except OSError:
        return False


def _has_no_files(pid: int) -> bool:
    """Whether it has no file descriptor left, and so accepts no connection for now."""
    try:
        most, _ = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        return most != resource.RLIM_INFINITY and len(os.listdir(f"/proc/{pid}/fd")) >= most
    except OSError:
        return False


def _ask(path: str, what: str, seconds: float) -> dict[str, Any]:
    """Raises ChannelError."""
    answer = call(path, {"do": what}, timeout=seconds)
    if not answer.get("ok"):
        raise ChannelError(str(answer.get("error", "refused")))
    return answer


def _service(listed: Mapping[str, Any]) -> Service:
    targets = tuple(map(_target, listed["servers"]))
    return Service(
        protocol=listed["protocol"],
        address=listed["address"],
        port=listed["port"],
        mark=listed["mark"],
        scheduler=listed["scheduler"],
        persistent=listed["persistent"],
        targets=targets,
        flags=tuple(listed["flags"]),
    )


def _target(listed: Mapping[str, Any]) -> Target:
    names = ("address", "port", "weight", "method", "upper", "lower", "active", "inactive")
    return Target(**{name: listed[name] for name in names if name in listed})


def _mark(listed: Mapping[str, Any]) -> Mark:
    return Mark(*(listed[name] for name in ("mark", "network", "protocol", "first", "last")))


def _is_real(connection: Connection) -> bool:
    """Whether it does not belong to a trial."""
    port = connection.client.rpartition(":")[2]
    return not port.isdigit() or int(port) not in PORTS


def _has_ended(connection: Connection) -> bool:
    return connection.state != "ESTABLISHED" and not connection.is_template


def _connection(listed: Mapping[str, Any]) -> Connection:
    names = ("protocol", "client", "vip", "server", "state", "expires")
    return Connection(*(listed[name] for name in names))
