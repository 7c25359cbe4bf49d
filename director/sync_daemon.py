"""The synchronisation daemons: a master sends connections to another director, a backup receives them.

They are part of the director's process. Messages go to a multicast group over UDP, as the kernel's do; their
form is in core/sync_protocol.py, and core/sync.py decides what is sent and when. Records that arrive are
entered in slices, between which packets are forwarded.

    ipvsadm --start-daemon master --mcast-interface eth1 --syncid 7

With --resync, which the kernel does not have, a backup asks for the whole table when it starts.
"""

from __future__ import annotations

import socket
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from selectors import EVENT_READ, BaseSelector
from struct import Struct
from typing import Any

from director.core.director import Director
from director.core.errors import LvsError
from director.core.sync_protocol import (
    BACKUP,
    HEADERS,
    MASTER,
    MAX_MESSAGE,
    ROLES,
    DaemonConfig,
    Outbox,
    SyncRecord,
    decode,
    plain,
    request,
)
from director.engines.engine import Engine

RunLater = Callable[[Iterator[None]], object]

_REQUESTS = 5  # one a second, because messages get lost
_BETWEEN_ANSWERS = 10.0  # seconds, in which further requests are ignored
_RECORDS = 10_000  # of an answer, sent in each second
_QUEUE = 1024  # messages that wait for the socket
_RECEIVE_BUFFER = 4 << 20  # bytes requested; net.core.rmem_max is the limit
_LEAST_MTU = 1500  # that a backup allows for
_LEAST_BACKUP = 1024  # bytes of a backup's buffer
_AT_ONCE = 16  # messages
_END = object()
_GROUP_AND_INTERFACE = Struct("4s4si")  # ip_mreqn
_MTU_DISCOVER, _NEVER = 10, 0  # IP_MTU_DISCOVER, IP_PMTUDISC_DONT: longer messages are fragmented


class SyncDaemons:
    """At most one daemon of each role; `tick` is called once a second."""

    def __init__(
        self,
        director: Director,
        engine: Engine,
        selector: BaseSelector,
        clock: Callable[[], float],
        run_later: RunLater,
    ) -> None:
        self._director = director
        self._engine = engine
        self._selector = selector
        self._clock = clock
        self._run_later = run_later
        self._master: _Master | None = None
        self._backup: _Backup | None = None

    def start(self, config: DaemonConfig) -> None:
        """Raises LvsError."""
        if (self._master if config.role == MASTER else self._backup) is not None:
            raise LvsError(
                f"Daemon has already run: stop it first, with ipvsadm --stop-daemon {config.role}."
            )
        mixed = self._director.rules.mixed()
        if mixed:
            raise LvsError(
                f"The {config.role} daemon can't run: {mixed} has another IP version, which synchronisation "
                "messages cannot carry."
            )
        try:
            if config.role == MASTER:
                self._start_master(_Master(config, self._director, self._clock, self._run_later))
            else:
                self._start_backup(_Backup(config, self._director, self._clock, self._run_later))
        except OSError as error:
            raise LvsError(
                f"The {config.role} daemon can't use the interface {config.interface} with the group "
                f"{config.group}, port {config.port} ({error.strerror or error}): see `ip addr`."
            ) from None
        self._engine.sync_changed()

    def _start_master(self, master: _Master) -> None:
        if master.requests is not None:
            self._register(master, master.requests, master.receive_requests)
        self._master = master
        self._director.set_sender(master.send, master.pass_on)

    def _start_backup(self, backup: _Backup) -> None:
        self._register(backup, backup, backup.receive)
        self._backup = backup
        self._director.be_backup(backup=True)

    def _register(
        self, daemon: _Master | _Backup, file: socket.socket | _Backup, receive: Callable[[], None]
    ) -> None:
        """Raises OSError, and closes the daemon, if it can't be watched."""
        try:
            self._selector.register(file, EVENT_READ, receive)
        except OSError:
            daemon.close()
            raise

    def stop(self, role: str) -> None:
        """Stop a daemon; a master first sends what it has collected. Raises LvsError."""
        self._engine.sync_schedulers()  # hands over what the data plane has collected
        if role == MASTER and self._master is not None:
            self._director.set_sender(None)
            if self._master.requests is not None:
                self._selector.unregister(self._master.requests)
            self._master.close()
            self._master = None
        elif role == BACKUP and self._backup is not None:
            self._director.be_backup(backup=False)
            self._selector.unregister(self._backup)
            self._backup.close()
            self._backup = None
        else:
            raise LvsError(f"No daemon is running as {role}.")
        self._engine.sync_changed()

    def running(self) -> list[dict[str, Any]]:
        """JSON-ready: the settings and counters of each."""
        daemons = (daemon for daemon in (self._master, self._backup) if daemon is not None)
        return [{**asdict(daemon.config), "counters": dict(daemon.counters)} for daemon in daemons]

    def tick(self, now: float) -> None:
        if self._master is not None:
            self._master.tick(now)
        if self._backup is not None:
            self._backup.tick()

    def close(self) -> None:
        for role in ROLES:
            with suppress(LvsError):
                self.stop(role)


class _Master:
    """Collects records into messages, and sends a message when it is full or two to three seconds old.

    With `resync`, `requests` is the socket that receives backups' requests for the whole table.
    """

    def __init__(
        self, config: DaemonConfig, director: Director, clock: Callable[[], float], run_later: RunLater
    ) -> None:
        """Raises OSError."""
        limit = min(max(_mtu(config.interface), HEADERS + 1), 65535) - HEADERS
        self.config = replace(config, maxlen=config.maxlen or limit)
        self.counters: Counter[str] = Counter(connections=0, messages=0, lost=0)
        self._director = director
        self._clock = clock
        self._run_later = run_later
        self._answer: Iterator[None] | None = None
        self._answered = float("-inf")
        self.requests: socket.socket | None = None
        self._outbox = Outbox(config.syncid, self.config.maxlen)
        self._queue: deque[bytes] = deque()
        self._socket = _sending(_socket(config), config)
        try:
            self._socket.connect((config.group, config.port))
            if config.resync:
                self.counters["requests"] = 0
                self.requests = _listening(_socket(config), config)
        except OSError:
            self._socket.close()
            raise

    def send(self, record: SyncRecord, now: float) -> None:
        self.counters["connections"] += 1
        full = self._outbox.add(record, self._director.rules.sysctls.sync_version, now)
        if full is not None:
            self._transmit(full)

    def pass_on(self, records: Sequence[bytes], now: float) -> None:
        """Send records that are encoded in version 1."""
        self.counters["connections"] += len(records)
        lengths = set(map(len, records))
        for length in lengths:  # those of one family at a time
            alike = records if len(lengths) == 1 else [record for record in records if len(record) == length]
            for full in self._outbox.extend(alike, 1, now):
                self._transmit(full)

    def tick(self, now: float) -> None:
        message = self._outbox.take() if self._outbox.is_due(now) else None
        self._transmit(message)
        if self._answer is not None:
            self._run_later(self._answer_some())

    def receive_requests(self) -> None:
        """Read messages to the group: those of other masters, and requests."""
        assert self.requests is not None
        for _ in range(_AT_ONCE):
            try:
                datagram = self.requests.recv(MAX_MESSAGE)
            except OSError:
                return
            if datagram == request(self.config.syncid):
                self.counters["requests"] += 1
                now = self._clock()
                if self._answer is None and now - self._answered > _BETWEEN_ANSWERS:
                    self._answered, self._answer = now, self._director.send_everything(now)

    def _answer_some(self) -> Iterator[None]:
        """Send as many records of the whole table as are allowed in a second."""
        answer = self._answer
        for _ in zip(range(_RECORDS), answer or (), strict=False):
            yield
            if self._answer is not answer:
                return
        if answer is not None and next(answer, _END) is _END:
            self._answer = None
            self._transmit(self._outbox.take())

    def _transmit(self, message: bytes | None) -> None:
        """Send waiting messages, then `message`; what the network does not take is lost, as in the kernel."""
        if message is not None:
            self._queue.append(message)
        while self._queue:
            try:
                self._socket.send(self._queue[0])
            except BlockingIOError:
                break
            except OSError:  # the link is down, or no socket listens (ECONNREFUSED)
                self.counters["lost"] += 1
            else:
                self.counters["messages"] += 1
            self._queue.popleft()
        while len(self._queue) > _QUEUE:
            self._queue.popleft()
            self.counters["lost"] += 1

    def close(self) -> None:
        self._answer = None
        self._transmit(self._outbox.take())
        self._socket.close()
        if self.requests is not None:
            self.requests.close()


class _Backup:
    """Enters the records of the messages that it receives."""

    def __init__(
        self, config: DaemonConfig, director: Director, clock: Callable[[], float], run_later: RunLater
    ) -> None:
        """Raises OSError."""
        limit = min(max(_mtu(config.interface), _LEAST_MTU), 65535) - HEADERS
        self.config = replace(config, maxlen=max(config.maxlen, _LEAST_BACKUP) if config.maxlen else limit)
        self.counters: Counter[str] = Counter(messages=0, connections=0, skipped=0, dropped=0)
        self._director = director
        self._clock = clock
        self._run_later = run_later
        self._is_working = False
        self._requests = _REQUESTS if config.resync else 0
        self._socket = _sending(_listening(_socket(config), config), config)
        self.tick()

    def tick(self) -> None:
        """Ask for the whole table; the master answers once."""
        if self._requests:
            self._requests -= 1
            with suppress(OSError):
                self._socket.sendto(request(self.config.syncid), (self.config.group, self.config.port))

    def fileno(self) -> int:
        return self._socket.fileno()

    def receive(self) -> None:
        """Messages are waiting: read them in the background, unless they are being read already."""
        if not self._is_working:
            self._is_working = True
            self._run_later(self._enter())

    def _enter(self) -> Iterator[None]:
        """Read all messages, and enter one record in each step."""
        try:
            while True:
                try:
                    datagram = self._socket.recv(min(self.config.maxlen, MAX_MESSAGE))
                except OSError:  # there are no more, or the daemon was stopped
                    return
                self.counters["messages"] += 1
                common = plain(datagram, self.config.syncid)
                if common is not None and self._director.takes_plain:
                    for entered, skipped in self._director.receive_plain(common, self._clock):
                        self.counters["connections"] += entered
                        self.counters["skipped"] += skipped
                        yield
                    continue
                message = decode(datagram, self.config.syncid)
                self.counters["dropped"] += bool(message.dropped)
                self.counters["skipped"] += message.skipped
                for record in message.records:
                    entered = self._director.receive(record, self._clock())
                    self.counters["connections" if entered else "skipped"] += 1
                    yield
                yield
        finally:
            self._is_working = False

    def close(self) -> None:
        self._socket.close()


def _socket(config: DaemonConfig) -> socket.socket:
    """Raises OSError if there is no such interface."""
    socket.if_nametoindex(config.interface)
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setblocking(False)
    return made


def _sending(made: socket.socket, config: DaemonConfig) -> socket.socket:
    """The same, ready to send to the group. Raises OSError."""
    for option, value in (
        (socket.IP_MULTICAST_IF, _membership(config)),
        (socket.IP_MULTICAST_LOOP, 0),
        (socket.IP_MULTICAST_TTL, config.ttl),
        (_MTU_DISCOVER, _NEVER),
    ):
        made.setsockopt(socket.IPPROTO_IP, option, value)
    return made


def _listening(made: socket.socket, config: DaemonConfig) -> socket.socket:
    """The same, as a member of the group. Raises OSError."""
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, config.interface.encode() + b"\0")
        made.bind((config.group, config.port))
        made.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, _membership(config))
    except OSError:
        made.close()
        raise
    return made


def _membership(config: DaemonConfig) -> bytes:
    """The group and the interface."""
    index = socket.if_nametoindex(config.interface)
    return _GROUP_AND_INTERFACE.pack(socket.inet_aton(config.group), bytes(4), index)


def _mtu(interface: str) -> int:
    """Raises OSError."""
    return int(Path("/sys/class/net", interface, "mtu").read_text())
