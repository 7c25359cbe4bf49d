"""Trials: what clients get, tried from the clients, and each real server by itself, tried from the director.

Every trial is a TCP connection of its own from a source port of PORTS, which neither curl nor the kernel
takes by itself: in captures and in the connection table they are recognised by it, and http requests by
`GET /name?doctor`. Clients send each service whole rounds of its scheduler, so that the next connection of
a student gets the real server that it would have got anyway: several, because a host that drops half of its
packets serves a single request as often as not.

A connection ends with a RST, so the director forgets it in 10 seconds (CLOSE) instead of two minutes
(FIN_WAIT), and nothing stays in TIME_WAIT. The doctor's page says what is left.

Sockets are opened by threads that have joined the host's network namespace, and served by one loop: no
process is started.
"""

from __future__ import annotations

import errno
import socket
import struct
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import cycle
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector

from director.core.real_server import Method
from doctor.sightings import Watch, lost
from doctor.state import (
    FAILED,
    REFUSED,
    RESET,
    SERVED,
    TIMED_OUT,
    UNREACHABLE,
    WRONG_SERVER,
    DirectorState,
    Service,
    Sighting,
    Trial,
)
from labs.network.topology import Role
from labs.plan import Plan
from labs.run.running import RunningLab
from labs.wait import patient, poll_until
from realserver_setup import syscalls

PORTS = range(61000, 65000)  # above those that the kernel gives (net.ipv4.ip_local_port_range)
HTTP, FTP = 80, 21
CLOSED = "closed without an answer"
_REQUEST = "GET /name?doctor HTTP/1.0\r\nHost: {host}\r\nUser-Agent: doctor\r\n\r\n"
_DEADLINE, _AGAIN, _LONGEST = 0.5, 1.2, 2.0  # seconds: first, then with one SYN sent again, at the most
_LATE, _LATEST = 0.5, 1.0  # seconds that a packet which was sent again may take to pass everywhere
_IPV4 = 4
_MOST = 16  # trials of a service; a larger round is not completed
_ROUNDS = 3
_ROOM = 4  # times what the trials need has to be free in the connection table for more than one round
_SERVICES = 8
_AT_ONCE = 8
_CHUNK = 4096

_next_port = cycle(PORTS)
Open = Callable[[str], socket.socket]  # a TCP socket in a host's network


@dataclass(frozen=True, slots=True)
class Attempt:
    """A connection to try from `host`; `wanted` is the real server whose address it uses, if any."""

    host: str
    address: str
    port: int
    wanted: str = ""
    site: str = ""  # the Host of its request: the VIP, as clients ask for it


class Trials:
    """The trials of a running lab, whose director has these services."""

    def __init__(self, running: RunningLab, director: DirectorState, host: str = "") -> None:
        """Of two directors, `host` is the one that tries the real servers."""
        services = director.services
        self._plan = running.plan
        self._pids = {name: host.pid for name, host in running.network.hosts.items()}
        without = set(_left_out(running, director))
        self._attempts = list(attempts_for(running.plan, services, without, rounds=_ROUNDS, host=host))
        if 0 < director.limit < director.entries + _ROOM * len(self._attempts):
            self._attempts = list(attempts_for(running.plan, services, without, host=host))

    def first(self) -> tuple[Trial, ...]:
        return self._try(_DEADLINE)

    def again(self) -> tuple[Trial, ...]:
        """With a longer deadline; what fails has a record of what passes where."""
        interfaces = [(node.name, one.name) for node in self._plan.topology.nodes for one in node.interfaces]
        if self._plan.method is Method.TUN:
            interfaces += [(server.name, self._plan.tunnel) for server in self._plan.servers]
        with Watch(PORTS, interfaces, self._open) as watch:
            trials = self._try(min(patient(_AGAIN), _LONGEST))
            late = min(_LATE, _LATEST / patient(1))
            places = poll_until(lambda: _lost(watch, trials), lambda found: not found, late)
            seen = watch.sightings()
        return tuple(
            replace(one, resent=True, seen=(places[one.source_port],))
            if one.source_port in places
            else one
            if one.served
            else replace(one, seen=seen.get(one.source_port, ()))
            for one in trials
        )

    def _try(self, seconds: float) -> tuple[Trial, ...]:
        names = [server.name for server in self._plan.servers]
        return try_all(self._attempts, lambda host: self._open(host, self._make(host)), names, seconds)

    def _make(self, host: str) -> Callable[[], socket.socket]:
        """In IPv6 a director may prefer the VIP as source, and gets no replies to that itself."""
        if self._plan.version == _IPV4:
            return _tcp
        node = next(one for one in self._plan.topology.nodes if one.name == host)
        towards_servers = -1 if self._plan.method is Method.NAT else 0
        source = node.interfaces[towards_servers].address if node.role is Role.DIRECTOR else ""
        return lambda: _tcp(socket.AF_INET6, source)

    def _open(self, host: str, make: Callable[[], socket.socket]) -> socket.socket:
        return in_network(self._pids[host], make)


def _lost(watch: Watch, trials: Iterable[Trial]) -> dict[int, Sighting]:
    """Where packets of trials that were served later got lost, by the trials' ports."""
    passed = watch.passed()
    found = {one.source_port: lost(passed.get(one.source_port, ())) for one in trials if one.served}
    return {port: place for port, place in found.items() if place}


def _left_out(running: RunningLab, director: DirectorState) -> Iterator[int]:
    """The ports of real servers that the lab does not make a service of: an exercise has rules of its own.

    A port that a rule has, or should have by the script, is tried.
    """
    script = running.evidence.scripts / running.plan.topology.director.name / "rules.sh"
    try:
        prescribed = script.read_text(errors="replace")
    except OSError:
        prescribed = ""
    vip, services = running.plan.vip, director.services
    for port in _planned_ports(running.plan):
        is_ruled = any(one.port == port for one in services)
        is_marked = any(mark.covers(vip, port) for mark in director.marks)
        if port != HTTP and not (is_ruled or is_marked or f":{port} " in prescribed):
            yield port


def _planned_ports(plan: Plan) -> list[int]:
    """Those on which the plan has real servers listen, as clients of the VIP would address them."""
    ftp = [FTP for server in plan.servers if server.ftp]
    return list(dict.fromkeys([HTTP, *ftp, *(port for server in plan.servers for port in server.more_ports)]))


def attempts_for(
    plan: Plan, services: Sequence[Service], without: Collection[int] = (), *, rounds: int = 1, host: str = ""
) -> Iterator[Attempt]:
    """Rounds of each service from the clients in turn, and as many connections to each real server.

    Of two directors, `host` tries these.
    """
    clients = [node.name for node in plan.nodes(Role.CLIENT)]
    for port in _ports(plan, services):
        if port in without:
            continue
        size = _round(plan, services, port)
        for number in range(max(len(clients), size * min(rounds, _MOST // max(size, 1)))):
            yield Attempt(clients[number % len(clients)], plan.vip, port, site=plan.site)
    for server in plan.servers:
        for _ in range(rounds):
            yield Attempt(
                host or plan.topology.director.name, server.address, server.http_port, server.name, plan.site
            )


def _ports(plan: Plan, services: Iterable[Service]) -> list[int]:
    """The VIP's TCP ports: those of the plan, and those that have a rule."""
    ruled = [one.port for one in services if (one.protocol, one.address) == ("TCP", plan.vip) and one.port]
    return list(dict.fromkeys([*_planned_ports(plan), *ruled]))[:_SERVICES]


def _round(plan: Plan, services: Iterable[Service], port: int) -> int:
    """The connections after which the scheduler of the service is where it was; 0 if too many, or unknown."""
    found = next((one for one in services if one.address == plan.vip and one.port == port), None)
    if found is None or found.persistent:
        return 0
    weights = [target.weight for target in found.targets if target.weight > 0 and not target.full]
    size = len(weights) if found.scheduler == "rr" else sum(weights)
    return size if size <= _MOST else 0


def in_network(pid: int, make: Callable[[], socket.socket]) -> socket.socket:
    """A socket that belongs to the network namespace of process `pid`. Raises OSError."""

    def inside() -> socket.socket:
        syscalls.join(pid)  # moves this thread only, which ends with the pool
        return make()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(inside).result()


def _tcp(family: socket.AddressFamily = socket.AF_INET, source: str = "") -> socket.socket:
    """Bound to the next port. Raises OSError where all are taken."""
    for _ in range(_AT_ONCE):
        found = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            found.bind((source, next(_next_port)))
        except OSError as error:
            found.close()
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return found
    raise OSError(errno.EADDRINUSE, "no free port for a trial")


# ---- the loop ----


class _Running:
    """A trial that is under way."""

    def __init__(self, attempt: Attempt, opened: socket.socket) -> None:
        self.attempt = attempt
        self.socket = opened
        self.port: int = opened.getsockname()[1]
        self.connected = False
        self.received = b""

    def connect(self) -> Trial | None:
        """Start; the result, if it is known at once."""
        code = self.socket.connect_ex((self.attempt.address, self.attempt.port))
        return None if code in (0, errno.EINPROGRESS) else self._failed(code)

    def proceed(self) -> Trial | None:
        """The socket is ready; the result once it is known."""
        try:
            if not self.connected:
                code = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if code:
                    return self._failed(code)
                self.connected = True
                if self.attempt.port != FTP:
                    self.socket.send(_REQUEST.format(host=self.attempt.site or self.attempt.address).encode())
                return None
            chunk = self.socket.recv(_CHUNK)
        except BlockingIOError:
            return None
        except OSError as error:
            return self._failed(error.errno or 0)
        self.received += chunk
        if chunk and not (self.attempt.port == FTP and b"\n" in self.received):
            return None  # more may come: an http server closes
        if not self.received:
            return self.result(RESET, detail=CLOSED)
        name, complaint = _answer(self.received)
        return self.result(FAILED if complaint else SERVED, name, complaint)

    def _failed(self, code: int) -> Trial:
        return self.result(_OUTCOMES.get(code, UNREACHABLE), detail=errno.errorcode.get(code, str(code)))

    def result(self, outcome: str, server: str = "", detail: str = "") -> Trial:
        one = self.attempt
        return Trial(
            host=one.host,
            address=one.address,
            port=one.port,
            outcome=outcome,
            server=server,
            wanted=one.wanted,
            source_port=self.port,
            connected=self.connected,
            detail=detail,
        )

    def close(self) -> None:
        """With a RST, once connected."""
        with suppress(OSError):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


_OUTCOMES = {
    errno.ECONNREFUSED: REFUSED,
    errno.ECONNRESET: RESET,
    errno.EPIPE: RESET,
    errno.ETIMEDOUT: TIMED_OUT,
}


def _answer(received: bytes) -> tuple[str, str]:
    """The name of the server in its answer, or ""; and a first line that does not say that all is well."""
    head, _, body = received.partition(b"\r\n\r\n")
    first = head.split(b"\r\n")[0].decode(errors="replace")[:60]
    if not first.startswith("HTTP/"):
        return "", "" if first.startswith("220 ") else first
    if " 200 " not in first:
        return "", first
    return body.decode(errors="replace").strip()[:60], ""


def try_all(
    attempts: Iterable[Attempt], opened: Open, names: Iterable[str], seconds: float
) -> tuple[Trial, ...]:
    """Try all at once, for `seconds`; `names` are the real servers, one of which should answer."""
    known = set(names)
    results: dict[int, Trial] = {}
    running: dict[int, _Running] = {}
    with DefaultSelector() as selector:
        try:
            for place, attempt in enumerate(attempts):
                try:
                    one = _Running(attempt, opened(attempt.host))
                except OSError as error:
                    results[place] = _not_tried(attempt, error)
                    continue
                running[place] = one
                known_at_once = one.connect()
                if known_at_once:
                    results[place] = known_at_once
                else:
                    selector.register(one.socket, EVENT_WRITE, place)
            _serve(selector, running, results, time.monotonic() + seconds)
            for place, one in running.items():
                results.setdefault(place, one.result(TIMED_OUT))
        finally:
            for one in running.values():
                one.close()
    return tuple(_judged(results[place], known) for place in sorted(results))


def _serve(
    selector: DefaultSelector, running: Mapping[int, _Running], results: dict[int, Trial], until: float
) -> None:
    while selector.get_map():
        left = until - time.monotonic()
        ready = selector.select(max(0.0, left))
        if left <= 0 and not ready:
            return
        for key, _ in ready:
            one = running[key.data]
            result = one.proceed()
            if result:
                results[key.data] = result
                selector.unregister(key.fileobj)
            else:
                selector.modify(key.fileobj, EVENT_READ, key.data)


def _not_tried(attempt: Attempt, error: OSError) -> Trial:
    detail = error.strerror or str(error)
    return Trial(
        attempt.host, attempt.address, attempt.port, UNREACHABLE, wanted=attempt.wanted, detail=detail
    )


def _judged(trial: Trial, names: set[str]) -> Trial:
    """Whether the answer came from the right server, where it names one."""
    right = {trial.wanted} if trial.wanted else names
    wrong = trial.served and trial.server and trial.server not in right
    return replace(trial, outcome=WRONG_SERVER) if wrong else trial
