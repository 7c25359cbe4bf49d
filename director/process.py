"""The director's process: one event loop over the engine's descriptors, the control socket and the clock."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from threading import Lock, Thread

from director import custom_scheduler, engines, launcher, rules_file
from director.control.channel import ChannelError, call
from director.control.cli import Fields
from director.control.handler import RequestHandler
from director.control.listener import Listener
from director.core.director import Director
from director.core.events import Event
from director.core.real_server import Method
from director.core.states import Timeouts
from director.core.sysctls import Sysctls
from director.engines.engine import Daemons, Engine
from director.event_file import EventFile, seconds_since_the_epoch
from director.kernel_settings import forwarding, kept_for_the_next_director

PROGRAM = "lvs-director"
say = partial(launcher.say, PROGRAM)
_TICK = 1.0  # seconds
_RELOADING = Lock()


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line asks for: an option for each field (__main__.py)."""

    method: Method
    scheduler: str
    engine: str
    short_cut: bool
    socket: str
    events: Path | None
    conn_tab_bits: int
    conn_limit: int
    ftp_helper: bool
    sysctls: Sysctls
    timeouts: Timeouts
    interfaces: tuple[str, ...]
    scheduler_file: Path | None = None
    rules: Path | None = None


class CannotRun(Exception):
    """The process lacks something that it needs; the text says what."""


def run(settings: Settings) -> None:
    """Forward until SIGTERM or SIGINT; on SIGHUP, reload the rules file, or end if there is none.

    Raises CannotRun, EngineError, or LvsError for a bad setting.
    """
    if settings.scheduler_file:
        custom_scheduler.add(settings.scheduler_file)
    rules = _read(settings.rules) if settings.rules else []  # before anything is changed
    clock = seconds_since_the_epoch()
    with ExitStack() as stack:
        signals = stack.enter_context(_Signals(partial(_reload, settings) if settings.rules else None))
        report = stack.enter_context(_event_writer(settings.events, clock))
        stack.enter_context(kept_for_the_next_director(settings.socket, settings.interfaces))
        engine = engines.load(settings.engine).open(settings.interfaces, clock)
        stack.callback(engine.close)
        if settings.short_cut:
            engine.use_redirect_peer()
        director = Director(
            method=settings.method,
            scheduler=settings.scheduler,
            conn_tab_bits=settings.conn_tab_bits,
            conn_limit=settings.conn_limit,
            sysctls=settings.sysctls,
            timeouts=settings.timeouts,
            mtu_of=engine.mtu_of,
            is_local=engine.is_local,
            is_own=engine.is_own,
            on_event=report,
            tables=engine.tables(settings.conn_tab_bits, settings.conn_limit),
            ftp_helper=settings.ftp_helper,
        )
        selector = stack.enter_context(DefaultSelector())
        engine.start(director, selector)
        about = {
            "method": settings.method.name,
            "engine": settings.engine,
            "ftp_helper": settings.ftp_helper,
            "conn_limit": settings.conn_limit,
        }
        handler = RequestHandler(director, engine, clock, about)
        if settings.rules:
            say(_install(settings.rules, rules, handler))
        listener = _listen(settings.socket, handler)
        handler.run_later = listener.run_in_background
        stack.callback(listener.close)
        handler.open_daemons = partial(_daemons, director, engine, selector, clock, listener)
        stack.callback(handler.close)
        listener.register(selector)
        selector.register(signals, EVENT_READ, signals.receive)
        say(f"Forwarding on {', '.join(settings.interfaces)}; the control socket is {settings.socket}.")
        _warn_of_forwarding(settings, director)
        _tell_systemd("READY=1")
        gc.freeze()  # what exists now is long-lived: no collection need look at it again
        _loop(selector, signals, director, engine, listener, handler, clock)


def _loop(
    selector: DefaultSelector,
    signals: _Signals,
    director: Director,
    engine: Engine,
    listener: Listener,
    handler: RequestHandler,
    clock: Callable[[], float],
) -> None:
    """Serve what is ready, and tick every second, until a signal ends it.

    If a step fails, as when descriptors or memory run out, the failure is noted and the loop continues.
    """

    def attempt(step: Callable[..., object], *arguments: object) -> None:
        try:
            step(*arguments)
        except Exception as error:  # noqa: BLE001 (all other packets must be forwarded)
            with contextlib.suppress(Exception):
                _note_error(handler, error)

    due = clock()
    while not signals.end:
        for key, _ in selector.select(0.0 if listener.busy else max(0.0, due - clock())):
            attempt(key.data)
        attempt(listener.work)
        now = clock()
        if now >= due:
            due = now + _TICK
            attempt(engine.sync_schedulers)
            attempt(director.tick, now, listener.run_in_background)
            attempt(engine.tick, now)
            attempt(handler.tick, now)
            attempt(listener.expire)


def _daemons(
    director: Director,
    engine: Engine,
    selector: DefaultSelector,
    clock: Callable[[], float],
    listener: Listener,
) -> Daemons:
    """The synchronisation daemons: the kernel's, or those of this process."""
    from director.sync_daemon import SyncDaemons  # only now: most directors are alone

    kernels = engine.sync_daemons()
    return kernels or SyncDaemons(director, engine, selector, clock, listener.run_in_background)


def _listen(path: str, handler: RequestHandler) -> Listener:
    try:
        return Listener(path, handler.steps, partial(_note_error, handler))
    except OSError as error:
        raise CannotRun(
            f"The control socket {path} can't be created ({error.strerror or error}): name another with "
            "--socket, in a folder that this user can write to; each director needs its own."
        ) from None


def _warn_of_forwarding(settings: Settings, director: Director) -> None:
    """In VS-NAT, a kernel that forwards sends each reply a second time, as the real server sent it."""
    methods = {server.method for service in director.rules for server in service.servers}
    found = forwarding(settings.interfaces)
    if found and Method.NAT in (methods or {settings.method}) and settings.engine != "ipvs":
        say(
            f"Warning: the kernel also forwards packets from {', '.join(found)}, so clients of VS-NAT get "
            "replies with the real servers' own addresses: turn that off with "
            "sysctl -w net.ipv4.ip_forward=0."
        )


def _note_error(handler: RequestHandler, error: Exception) -> None:
    """Count an unexpected exception, and report where the first one was raised."""
    handler.internal_errors += 1
    if handler.internal_errors == 1:
        import traceback  # only now

        place = traceback.extract_tb(error.__traceback__)[-1]
        what = f"{type(error).__name__}: {error}".rstrip(": .")
        say(
            f"Internal error ({what}, in {place.filename}, line {place.lineno}); "
            "the director continues, and only counts further errors (internal_errors)."
        )


def _read(file: Path) -> list[Fields]:
    try:
        return rules_file.read(file)
    except rules_file.RulesFileError as error:
        raise CannotRun(str(error)) from None


def _install(file: Path, rules: list[Fields], handler: RequestHandler) -> str:
    try:
        return rules_file.install(file, rules, handler)
    except rules_file.RulesFileError as error:
        raise CannotRun(str(error)) from None


def _reload(settings: Settings) -> None:
    """Reload in a thread and over the control socket, like any client: the loop keeps forwarding."""

    def ask() -> None:
        assert settings.rules
        if settings.rules.exists() and not settings.rules.is_file():  # a FIFO would be waited for
            say(f"The rules were not reloaded: {settings.rules} is not a regular file.")
            return
        with _RELOADING:
            try:
                say(rules_file.load(settings.rules, partial(call, settings.socket)))
            except ChannelError as error:
                say(
                    f"The rules were not reloaded: {error.cause or error}. If the control socket "
                    f"{settings.socket} is gone, only a restart of the director creates it again."
                )
            except rules_file.RulesFileError as error:
                say(str(error))

    Thread(target=ask, daemon=True).start()


def _tell_systemd(state: str) -> None:
    """Notify a systemd unit of Type=notify (sd_notify(3)); does nothing where systemd did not start us."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.sendto(state.encode(), address.replace("@", "\0", 1) if address[0] == "@" else address)


@contextlib.contextmanager
def _event_writer(path: Path | None, clock: Callable[[], float]) -> Iterator[Callable[[Event], None] | None]:
    """A function to call with each event; None if no events are wanted."""
    if path is None:
        yield None
        return
    try:
        file = EventFile(path, clock)
    except OSError as error:
        raise CannotRun(f"The events can't be written to {path}: {error.strerror}.") from None
    with file:
        yield file.write


class _Signals:
    """SIGTERM, SIGINT and SIGHUP as a descriptor in the loop, so that no packet is interrupted.

    `end` is set when the director must stop; `hang_up`, if given, is what SIGHUP does instead.
    """

    def __init__(self, hang_up: Callable[[], object] | None) -> None:
        self.end = False
        self._hang_up = hang_up

    def __enter__(self) -> _Signals:
        self._ours, self._kernels = socket.socketpair()
        for end in (self._ours, self._kernels):
            end.setblocking(False)
        numbers = [signal.SIGTERM, signal.SIGINT]
        if self._hang_up or signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as nohup(1) sets it
            numbers.append(signal.SIGHUP)
        self._before = {number: signal.signal(number, lambda *_: None) for number in numbers}
        self._earlier = signal.set_wakeup_fd(self._kernels.fileno())
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(self._earlier)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._ours.close()
        self._kernels.close()

    def fileno(self) -> int:
        return self._ours.fileno()

    def receive(self) -> None:
        """Each byte is the number of a signal."""
        numbers = set(self._ours.recv(64))
        hung_up = signal.SIGHUP in numbers
        if hung_up and self._hang_up:
            self._hang_up()
        elif hung_up:
            self.end = True
        if numbers & {signal.SIGTERM, signal.SIGINT}:
            self.end = True
