"""The director's process: one loop over the engine's descriptors, the control socket and the time."""

from __future__ import annotations

import contextlib
import gc
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector

from director import engines, own_scheduler
from director.control.answers import Answers
from director.control.listener import Listener
from director.core.decision import Method
from director.core.director import Director
from director.core.events import Event
from director.core.states import Timeouts
from director.core.sysctls import Sysctls
from director.engines.engine import Engine
from director.event_file import EventFile

_TICK = 1.0  # seconds


@dataclass(frozen=True, slots=True)
class Settings:
    """How a director was asked to run."""

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


class CannotRun(Exception):
    """Something that the process needs isn't there; the text says what."""


def run(settings: Settings) -> None:
    """Forward until SIGTERM or SIGINT. Raises CannotRun, EngineError, or LvsError for a bad setting."""
    if settings.scheduler_file:
        own_scheduler.add(settings.scheduler_file)
    clock = seconds_since_the_epoch()
    with ExitStack() as stack:
        ended = stack.enter_context(_end_signals())
        report = stack.enter_context(_event_writer(settings.events, clock))
        engine = engines.load(settings.engine)(settings.interfaces, clock)
        stack.callback(engine.close)
        if settings.short_cut:
            engine.take_short_cuts()
        director = Director(
            method=settings.method,
            scheduler=settings.scheduler,
            conn_tab_bits=settings.conn_tab_bits,
            conn_limit=settings.conn_limit,
            sysctls=settings.sysctls,
            timeouts=settings.timeouts,
            mtu_of=engine.mtu_of,
            is_local=engine.is_local,
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
        }
        listener = _listen(settings.socket, Answers(director, engine, clock, about))
        stack.callback(listener.close)
        listener.register(selector)
        selector.register(ended, EVENT_READ, None)
        gc.freeze()  # what lives until now lives on: no need to look at it again
        _loop(selector, director, engine, listener, clock)


def seconds_since_the_epoch() -> Callable[[], float]:
    """A clock that starts with the time of day and only grows, even when that is set back."""
    offset = time.time() - time.monotonic()
    return lambda: offset + time.monotonic()


def _loop(
    selector: DefaultSelector,
    director: Director,
    engine: Engine,
    listener: Listener,
    clock: Callable[[], float],
) -> None:
    """Serve whatever is ready, and the clock, until the descriptor without a function is."""
    due = clock()
    while True:
        for key, _ in selector.select(max(0.0, due - clock())):
            if key.data is None:
                return
            key.data()
        now = clock()
        if now >= due:
            due = now + _TICK
            engine.prepare()
            director.tick(now)
            engine.tick(now)
            listener.expire()


def _listen(path: str, answers: Answers) -> Listener:
    try:
        return Listener(path, answers)
    except OSError as error:
        raise CannotRun(
            f"The control socket {path} can't be made ({error.strerror or error}): name another --socket."
        ) from None


@contextlib.contextmanager
def _event_writer(path: Path | None, clock: Callable[[], float]) -> Iterator[Callable[[Event], None] | None]:
    """What to call with each event; None where none are wanted."""
    if path is None:
        yield None
        return
    try:
        file = EventFile(path, clock)
    except OSError as error:
        raise CannotRun(f"The events can't be written to {path}: {error.strerror}.") from None
    with file:
        yield file.write


@contextlib.contextmanager
def _end_signals() -> Iterator[socket.socket]:
    """A socket that turns readable on SIGTERM and SIGINT, so that no packet is left half done."""
    ours, kernels = socket.socketpair()
    kernels.setblocking(False)
    signals: Sequence[signal.Signals] = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, lambda *_: None) for number in signals}
    earlier = signal.set_wakeup_fd(kernels.fileno())
    try:
        yield ours
    finally:
        signal.set_wakeup_fd(earlier)
        for number, handler in before.items():
            signal.signal(number, handler)
        ours.close()
        kernels.close()
