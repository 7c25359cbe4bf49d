"""Trials: connections from the clients to the VIP, and from the director directly to each real server.

Every trial is a separate TCP connection. Clients send each service whole rounds of its scheduler, so that a
student's next connection gets the same real server as without trials. There are several rounds, because a
host that drops half of its packets often serves a single request. Most trials use a source port of PORTS,
which neither curl nor the kernel picks by itself: it identifies them in captures and in the connection table,
as `GET /name?doctor` does in http logs. The last round is like a client's own connections, which may fail
where others do not: the kernel chooses the port, the User-Agent is curl's, requests and answers fill packets,
and a request follows a moment after the handshake, as over a longer path.

A connection ends with a RST, so the director forgets it in 10 seconds (CLOSE) instead of two minutes
(FIN_WAIT), and nothing stays in TIME_WAIT. The doctor's page lists the traces that remain.

Threads that have joined the host's network namespace open the sockets, and one loop serves them; no process
is started.
"""

from __future__ import annotations

import errno
import re
import socket
import struct
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import cycle
from math import gcd, lcm
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector

from director.core.real_server import Method
from director.formats.ipvsadm_words import endpoint
from doctor.queries import FTP, HTTP
from doctor.sightings import ASKS, Watch, last_seen, lost
from doctor.state import (
    FAILED,
    IN,
    NOTHING,
    OUT,
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

PORTS = range(61000, 65000)  # above those that the kernel picks (net.ipv4.ip_local_port_range)
CLOSED = "closed without an answer"
_REQUEST = "GET /name?doctor HTTP/1.0\r\nHost: {host}\r\nUser-Agent: {agent}\r\n\r\n"
_DOCTOR, _CURL = "doctor", "curl/7.88.1 (doctor)"
# Two requests in one packet that fits into a tunnel of either IP version; the second answer needs several.
_FILE, _PART, _FULL = "/100k.bin", 20_000, 1_340  # bytes; the part exceeds TCP's initial window
_LONG_REQUEST = (
    "GET /name?doctor HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\nX-Filler: {filler}\r\n\r\n"
    f"GET {_FILE}?doctor HTTP/1.1\r\nHost: {{host}}\r\nUser-Agent: {{agent}}\r\n"
    f"Range: bytes=0-{_PART - 1}\r\nConnection: close\r\n\r\n"
)
# ftp: the command sent after each reply code, until the server names the port of a data connection.
_TALK = {b"220": b"USER anonymous", b"331": b"PASS doctor@", b"230": b"PASV"}
_PASSIVE = {b"227": re.compile(rb"(\d+,\d+,\d+,\d+),(\d+),(\d+)"), b"229": re.compile(rb"\|(\d+)\|\)")}
_DEADLINE, _AGAIN, _LONGEST = 0.5, 1.2, 4.0  # seconds: first, then with one SYN retransmitted, at most
_PAUSE = 0.05  # seconds; a director in Python takes some milliseconds for a packet, a distant router more
_LATE, _LATEST = 0.5, 1.0  # seconds that a retransmitted packet may take to pass everywhere
_IPV4 = 4
_MOST = 16  # trials of a service; a larger round is not completed
_ROUNDS = 3
_ROOM = 4  # several rounds need this many times the trials' entries free in the connection table
_SERVICES = 8
_AT_ONCE = 8
_CHUNK = 4096

_next_port = cycle(PORTS)


@dataclass(frozen=True, slots=True)
class Attempt:
    """A connection to try from `host`; `wanted` is the real server that it addresses directly, if any.

    `usual`: from a port that the kernel chooses, with curl's User-Agent; for ftp, with a data connection.
    `long`: request and answer fill packets, and the request follows _PAUSE after the handshake.
    """

    host: str
    address: str
    port: int
    wanted: str = ""
    site: str = ""  # the Host header of its request: the VIP, as in clients' requests
    usual: bool = False
    long: bool = False

    @property
    def request(self) -> bytes:
        words = {"host": self.site or self.address, "agent": _CURL if self.usual else _DOCTOR}
        if not self.long:
            return _REQUEST.format(**words).encode()
        filler = "." * (_FULL - len(_LONG_REQUEST.format(**words, filler="")))
        return _LONG_REQUEST.format(**words, filler=filler).encode()


Open = Callable[[Attempt], socket.socket]  # makes a TCP socket in the network of its host
Watching = Callable[[Collection[int]], None]  # called with the trials' ports before they begin


class Trials:
    """The trials of a running lab, for the services of its director."""

    def __init__(self, running: RunningLab, director: DirectorState, host: str = "") -> None:
        """With two directors, `host` is the one that tries the real servers."""
        services = director.services
        self._plan = running.plan
        self._pids = {name: host.pid for name, host in running.network.hosts.items()}
        self._owners = _owners(running.plan)
        without = set(_left_out(running, director))
        self._attempts = list(attempts_for(running.plan, services, without, rounds=_ROUNDS, host=host))
        if 0 < director.limit < director.entries + _ROOM * len(self._attempts):
            self._attempts = list(attempts_for(running.plan, services, without, host=host))

    def first(self) -> tuple[Trial, ...]:
        return self._try(_DEADLINE)

    def again(self) -> tuple[Trial, ...]:
        """Try again with a longer deadline, and record where the packets of failed trials pass."""
        interfaces = [
            (node.name, interface.name) for node in self._plan.topology.nodes for interface in node.interfaces
        ]
        if self._plan.method is Method.TUN:
            interfaces += [(server.name, self._plan.tunnel) for server in self._plan.servers]
        with Watch(interfaces, self._open) as watch:
            trials = self._try(min(patient(_AGAIN), _LONGEST), watch.begin)
            late = min(_LATE, _LATEST / patient(1))
            places = poll_until(lambda: _lost(watch, trials), lambda found: not found, late)
            sightings = watch.sightings()
            seen = {trial: self._seen_of(watch, sightings, trial) for trial in trials if not trial.served}
        return tuple(
            replace(trial, resent=True, seen=(places[trial.source_port],))
            if trial.source_port in places
            else trial
            if trial.served
            else replace(trial, seen=seen[trial])
            for trial in trials
        )

    def _seen_of(
        self, watch: Watch, sightings: Mapping[int, tuple[Sighting, ...]], trial: Trial
    ) -> tuple[Sighting, ...]:
        """The sightings of a failed trial, and of ARP if that keeps its last packet from being sent.

        An ARP request reaches all hosts of a segment: what counts is where it came from, and whom it is for.
        """
        seen = sightings.get(trial.source_port or -1, ())
        if not seen and watch.watches(trial.host):
            seen = (Sighting(trial.host, "", OUT, NOTHING, "", endpoint(trial.address, trial.port)),)
        last = last_seen(replace(trial, seen=seen))
        if not last or not (last.way == IN or last.what == NOTHING):
            return seen
        return (
            *seen,
            *(packet for packet in watch.unanswered(last.host) if self._concerns(packet, last.host)),
        )

    def _concerns(self, packet: Sighting, asker: str) -> bool:
        """Whether the packet of ARP was seen on the host that asks, or on one that has to answer."""
        asked = packet.dest if packet.what in ASKS else packet.source
        return packet.host == asker or packet.host in self._owners.get(asked, ())

    def _try(self, seconds: float, watch: Watching | None = None) -> tuple[Trial, ...]:
        names, taken = [server.name for server in self._plan.servers], set[int]()

        def opened(attempt: Attempt) -> socket.socket:
            return self._open(attempt.host, self._make(attempt, taken))

        return try_all(self._attempts, opened, names, seconds, watch)

    def _make(self, attempt: Attempt, taken: set[int]) -> Callable[[], socket.socket]:
        """A function that makes a socket. In IPv6 a director must not use the VIP as its source."""
        of_kernel = taken if attempt.usual else None
        if self._plan.version == _IPV4:
            return lambda: _tcp(of_kernel=of_kernel)
        node = next(node for node in self._plan.topology.nodes if node.name == attempt.host)
        towards_servers = -1 if self._plan.method is Method.NAT else 0
        source = node.interfaces[towards_servers].address if node.role is Role.DIRECTOR else ""
        return lambda: _tcp(socket.AF_INET6, source, of_kernel)

    def _open(self, host: str, make: Callable[[], socket.socket]) -> socket.socket:
        return in_network(self._pids[host], make)


def _owners(plan: Plan) -> dict[str, set[str]]:
    """The hosts that have each address of the plan; two, if it moves between two directors."""
    owners = {interface.address: {interface.node} for interface in plan.topology.interfaces}
    directors = {node.name for node in plan.nodes(Role.DIRECTOR)}
    moving = (address for setup in plan.pair for address, _ in setup.virtual)
    return owners | dict.fromkeys((plan.vip, *moving), directors)


def _lost(watch: Watch, trials: Iterable[Trial]) -> dict[int, Sighting]:
    """Where packets of trials that were served in the end got lost, by the trials' ports."""
    passed = watch.passed()
    found = {trial.source_port: lost(passed.get(trial.source_port, ())) for trial in trials if trial.served}
    return {port: place for port, place in found.items() if place}


def _left_out(running: RunningLab, director: DirectorState) -> Iterator[int]:
    """Planned ports that the lab has no service for, because an exercise has its own rules.

    A port that a rule has, or should have according to the script, is tried.
    """
    script = running.evidence.scripts / running.plan.topology.director.name / "rules.sh"
    try:
        prescribed = script.read_text(errors="replace")
    except OSError:
        prescribed = ""
    vip, services = running.plan.vip, director.services
    for port in _planned_ports(running.plan):
        is_ruled = any(service.port == port for service in services)
        is_marked = any(mark.covers(vip, port) for mark in director.marks)
        if port != HTTP and not (is_ruled or is_marked or f":{port} " in prescribed):
            yield port


def _planned_ports(plan: Plan) -> list[int]:
    """The VIP's ports on which the plan's real servers serve clients."""
    ftp = [FTP for server in plan.servers if server.ftp]
    return list(dict.fromkeys([HTTP, *ftp, *(port for server in plan.servers for port in server.more_ports)]))


def attempts_for(
    plan: Plan, services: Sequence[Service], without: Collection[int] = (), *, rounds: int = 1, host: str = ""
) -> Iterator[Attempt]:
    """Rounds for each service, alternating between clients, and as many connections to each real server.

    Clients change places from round to round, so that each gets each real server. With two directors, `host`
    makes the connections to real servers.
    """
    clients = [node.name for node in plan.nodes(Role.CLIENT)]
    for port in _ports(plan, services):
        if port in without:
            continue
        size = _round(plan, services, port)
        count = max(len(clients), size * min(rounds, _MOST // max(size, 1)))
        # Where a round is a multiple of the clients, say, each of them would get the same servers again.
        aliased = gcd(size, len(clients)) > 1
        together = lcm(size, len(clients)) if size and aliased else count
        for number in range(count):
            usual, long = _like_a_client(number // (size or count), -(-count // (size or count)))
            long = long and port != FTP
            client = clients[(number + number // together) % len(clients)]
            yield Attempt(client, plan.vip, port, "", plan.site, usual, long)
    tries = host or plan.topology.director.name
    for server in plan.servers:
        for number in range(rounds):
            like = _like_a_client(number, rounds)
            yield Attempt(tries, server.address, server.http_port, server.name, plan.site, *like)


def _like_a_client(number: int, rounds: int) -> tuple[bool, bool]:
    """Whether the round is `usual`, and whether it is `long`: the last is both, the second-last usual."""
    return number >= rounds - 2 and (number > 0 or rounds == 1), number == rounds - 1


def _ports(plan: Plan, services: Iterable[Service]) -> list[int]:
    """The VIP's TCP ports that are in the plan, or have a rule."""
    ruled = [
        service.port
        for service in services
        if (service.protocol, service.address) == ("TCP", plan.vip) and service.port
    ]
    return list(dict.fromkeys([*_planned_ports(plan), *ruled]))[:_SERVICES]


def _round(plan: Plan, services: Iterable[Service], port: int) -> int:
    """The number of connections in a full round of the service's scheduler; 0 if too many, or unknown."""
    found = next(
        (service for service in services if service.address == plan.vip and service.port == port), None
    )
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


def _tcp(
    family: socket.AddressFamily = socket.AF_INET, source: str = "", of_kernel: set[int] | None = None
) -> socket.socket:
    """A socket on the next port, or on one that the kernel picks, not in `of_kernel`. Raises OSError."""
    for _ in range(_AT_ONCE):
        found = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            found.bind((source, next(_next_port) if of_kernel is None else 0))
        except OSError as error:
            found.close()
            if error.errno != errno.EADDRINUSE or of_kernel is not None:
                raise
            continue
        port = found.getsockname()[1]
        if of_kernel is None or port not in of_kernel:
            if of_kernel is not None:
                of_kernel.add(port)
            return found
        found.close()
    raise OSError(errno.EADDRINUSE, "no free port for a trial")


# ---- the loop ----


class _Running:
    """A trial in progress; `more` is a socket for an ftp data connection."""

    def __init__(self, attempt: Attempt, opened: socket.socket, more: socket.socket | None = None) -> None:
        self.attempt = attempt
        self.socket = opened
        self.more = more
        self.is_data = False
        self.connected = False
        self.sends_at = 0.0  # the time to send its request; 0: not waiting
        self.received = b""

    @property
    def ports(self) -> tuple[int, ...]:
        return tuple(
            opened_socket.getsockname()[1] for opened_socket in (self.socket, self.more) if opened_socket
        )

    @property
    def current(self) -> socket.socket:
        """The socket to wait for."""
        return self.more if self.more and self.is_data else self.socket

    def connect(self) -> Trial | None:
        """Start; returns the result if it is known at once."""
        return self._connect(self.attempt.address, self.attempt.port)

    def _connect(self, address: str, port: int) -> Trial | None:
        code = self.current.connect_ex((address, port))
        return None if code in (0, errno.EINPROGRESS) else self._failed(code)

    def proceed(self) -> Trial | None:
        """Handle a ready socket; returns the result once it is known."""
        try:
            if self.is_data:
                code = self.current.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                return self._failed(code) if code else self.result(SERVED)
            if not self.connected:
                code = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if code:
                    return self._failed(code)
                self.connected = True
                if self.attempt.long:
                    self.sends_at = time.monotonic() + _PAUSE
                elif self.attempt.port != FTP:
                    self.socket.send(self.attempt.request)
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
        if self.attempt.port == FTP and self.more:
            try:
                return self._talk(self.received.splitlines()[-1])
            except OSError as error:
                return self._failed(error.errno or 0)
        name, complaint = _answer(self.received)
        return self.result(FAILED if complaint else SERVED, name, complaint)

    def send_late(self) -> None:
        """Send the request after the pause; recv() will report a connection that was closed meanwhile."""
        self.sends_at = 0.0
        with suppress(OSError):
            self.socket.send(self.attempt.request)

    def _talk(self, line: bytes) -> Trial | None:
        """Log in with ftp, and connect to the data port that the server names."""
        code = line[:3]
        named = _PASSIVE[code].search(line) if code in _PASSIVE else None
        if not named and code not in _TALK:
            return self.result(FAILED, detail=_first_line(line))
        self.received = b""
        if not named:
            command = b"EPSV" if code == b"230" and ":" in self.attempt.address else _TALK[code]
            self.socket.send(command + b"\r\n")
            return None
        self.is_data = True
        *before, last = (part.decode() for part in named.groups())
        if not before:  # EPSV's reply, which has no address
            return self._connect(self.attempt.address, int(last))
        address, high = before
        return self._connect(address.replace(",", "."), int(high) * 256 + int(last))

    def _failed(self, code: int) -> Trial:
        return self.result(_OUTCOMES.get(code, UNREACHABLE), detail=errno.errorcode.get(code, str(code)))

    def result(self, outcome: str, server: str = "", detail: str = "") -> Trial:
        attempt = self.attempt
        detail = f"{detail} (data connection)".strip() if self.is_data and outcome != SERVED else detail
        return Trial(
            host=attempt.host,
            address=attempt.address,
            port=attempt.port,
            outcome=outcome,
            server=server,
            wanted=attempt.wanted,
            source_port=self.ports[-1 if self.is_data else 0],
            connected=self.connected,
            detail=detail,
            usual=attempt.usual,
            long=attempt.long,
        )

    def close(self) -> None:
        """Close the sockets, with a RST if connected."""
        for opened_socket in filter(None, (self.socket, self.more)):
            with suppress(OSError):
                opened_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            opened_socket.close()


_OUTCOMES = {
    errno.ECONNREFUSED: REFUSED,
    errno.ECONNRESET: RESET,
    errno.EPIPE: RESET,
    errno.ETIMEDOUT: TIMED_OUT,
}


def _answer(received: bytes) -> tuple[str, str]:
    """The server's name in its answer, or ""; and a complaint if the answer is an error, or "".

    A second answer is a part of a file; some servers close the connection without sending it.
    """
    head, _, body = received.partition(b"\r\n\r\n")
    first = _first_line(head)
    if not first.startswith("HTTP/"):
        return "", "" if first.startswith("220 ") else first
    if " 200 " not in first:
        return "", first
    length = _LENGTH.search(head)
    more = body[int(length[1]) :] if length else b""
    name = body[: len(body) - len(more)].decode(errors="replace").strip()[:60]
    second, _, part = more.partition(b"\r\n\r\n")
    if second and " 206 " not in _first_line(second):
        return name, f"{_first_line(second)} ({_FILE})"
    return name, f"{_FILE}: {len(part)} of {_PART} bytes" if second and len(part) < _PART else ""


_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


def _first_line(head: bytes) -> str:
    return head.split(b"\r\n")[0].decode(errors="replace")[:60]


def try_all(
    attempts: Iterable[Attempt],
    opened: Open,
    names: Iterable[str],
    seconds: float,
    watch: Watching | None = None,
) -> tuple[Trial, ...]:
    """Make all attempts at once, for `seconds`; `names` are the real servers, one of which should answer.

    `watch` is called with the source ports beforehand.
    """
    known = set(names)
    results: dict[int, Trial] = {}
    running: dict[int, _Running] = {}
    with DefaultSelector() as selector:
        try:
            for place, attempt in enumerate(attempts):
                try:
                    has_data = attempt.port == FTP and attempt.usual
                    running[place] = _Running(attempt, opened(attempt), opened(attempt) if has_data else None)
                except OSError as error:
                    results[place] = _not_tried(attempt, error)
            if watch:
                watch([port for trial in running.values() for port in trial.ports])
            for place, trial in running.items():
                known_at_once = trial.connect()
                if known_at_once:
                    results[place] = known_at_once
                else:
                    selector.register(trial.socket, EVENT_WRITE, place)
            _serve(selector, running, results, time.monotonic() + seconds)
            for place, trial in running.items():
                results.setdefault(place, trial.result(TIMED_OUT))
        finally:
            for trial in running.values():
                trial.close()
    return tuple(_judged(results[place], known) for place in sorted(results))


def _serve(
    selector: DefaultSelector, running: Mapping[int, _Running], results: dict[int, Trial], until: float
) -> None:
    while selector.get_map():
        now = time.monotonic()
        waiting = [trial for at, trial in running.items() if trial.sends_at and at not in results]
        for trial in waiting:
            if trial.sends_at <= now:
                trial.send_late()
        wake = min([until, *(trial.sends_at for trial in waiting if trial.sends_at)])
        ready = selector.select(max(0.0, wake - now))
        if until <= now and not ready:
            return
        for key, _ in ready:
            trial = running[key.data]
            result = trial.proceed()
            if result:
                results[key.data] = result
                selector.unregister(key.fileobj)
            elif trial.current is not key.fileobj:
                selector.unregister(key.fileobj)
                selector.register(trial.current, EVENT_WRITE, key.data)
            else:
                selector.modify(key.fileobj, EVENT_READ, key.data)


def _not_tried(attempt: Attempt, error: OSError) -> Trial:
    return Trial(
        host=attempt.host,
        address=attempt.address,
        port=attempt.port,
        outcome=UNREACHABLE,
        wanted=attempt.wanted,
        detail=error.strerror or str(error),
        usual=attempt.usual,
        long=attempt.long,
    )


def _judged(trial: Trial, names: set[str]) -> Trial:
    """The trial, marked WRONG_SERVER if its answer names another server."""
    right = {trial.wanted} if trial.wanted else names
    wrong = trial.served and trial.server and trial.server not in right
    return replace(trial, outcome=WRONG_SERVER) if wrong else trial
