"""`./inv view`: a run in the browser or as one HTML file, and the wall of running exercises."""

from __future__ import annotations

import os
import secrets
import select
import signal
import threading
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from socket import gethostname, socket
from typing import Any

from labs.errors import BadRequest, Unable
from labs.hosts.environment import user_name
from labs.terminal.exits import os_error_text
from labs.terminal.screen import busy, make_console, print_wrapped
from view import run, story
from view.log import Log

MOST_SIGHTINGS = 300_000  # captured frames: above that, a replay samples packets
RATE = 100.0  # packets a second that sampling shows
_PACKAGES = ("starlette", "uvicorn")
HIGHEST_PORT = 65_535


def view(name: str, *, html: str = "", wall: bool = False, host: str = "127.0.0.1", port: int = 0) -> int:
    """Replay a run in the browser until Ctrl-C, or write it into one file. Raises LabError."""
    if wall and (name or html):
        raise BadRequest("--wall shows all running exercises: leave out the run and --html.")
    if wall:
        return _wall(host, port)
    folder = run.find(name)
    _require_shown(folder)
    if html:
        from view.single_file import write

        return write(folder, Path(html))
    return _replay(folder, host, port)


def _require_shown(folder: Path) -> None:
    """Raises BadRequest for an exercise whose questions the view would answer."""
    from classroom import catalogue

    exercise = run.exercise_of(folder)
    if exercise in catalogue.names() and not catalogue.load(exercise).view:
        raise BadRequest(f"{exercise} has no view, which would answer its questions: see its text.")


def _replay(folder: Path, host: str, port: int) -> int:
    opened = open_socket(host, port)
    from view import server

    document = run.document(folder)
    log = Log()
    with busy(f"reading {folder.name}"):
        log.add(items_of(folder, document))
    secret = new_secret()
    site = server.Site(secret, lambda: document, log, host=host)
    announce(opened, f"{secret}/")
    return _serve(site, opened, document["incomplete"])


def _wall(host: str, port: int) -> int:
    opened = open_socket(host, port)
    from view import server
    from view.wall import examine, tiles

    secret = new_secret()
    site = server.Site(secret, dict, Log(), host=host, wall=tiles, act=examine)
    announce(opened, f"{secret}/page/wall.html")
    return _serve(site, opened)


def _serve(site: Any, opened: socket, incomplete: str | None = None) -> int:
    """Serve until Ctrl-C, the normal end of this command."""
    from view import server

    console = make_console()
    if incomplete:
        print_wrapped(console, incomplete)
    console.print("Ctrl-C ends it.")
    caller = pidfd_of_caller()
    if caller is not None:
        threading.Thread(target=_end_with, args=(caller,), daemon=True).start()
    with suppress(KeyboardInterrupt):
        server.serve(site.app, opened)
    return 0


def pidfd_of_caller() -> int | None:
    """A descriptor that becomes readable when the shell or program that started this one ends.

    None under nohup, which wants the program to outlive its caller, and where the kernel has no
    pidfd_open(2). Raises Unable if the caller has ended already.
    """
    caller = _caller()
    if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN or caller <= 1:
        return None
    try:
        opened = os.pidfd_open(caller)
    except ProcessLookupError:
        opened = None
    except OSError:
        return None
    if os.getppid() != caller:  # another process may have its number by now
        raise Unable("The shell or program that started this has ended: to outlive it, start it with nohup.")
    return opened


def _caller() -> int:
    """The process that called ./inv, as ./inv passes it on: our own parent may have changed since."""
    own, _, caller = os.environ.get("LVS_CALLER", "").partition(" ")
    is_ours = own == str(os.getpid()) and caller.isdecimal()  # not set by an ./inv that runs us indirectly
    return int(caller) if is_ours else os.getppid()


def wait_for(descriptor: int | None) -> None:
    """Block until the descriptor is readable; for ever if it is None."""
    poll = select.poll()
    if descriptor is not None:
        poll.register(descriptor, select.POLLIN)
    poll.poll()


def _end_with(caller: int) -> None:
    wait_for(caller)
    os.kill(os.getpid(), signal.SIGTERM)


def items_of(folder: Path, document: dict[str, Any], rate: float | None = None) -> list[story.Item]:
    """All items of a finished run; too many packets for a page are sampled at `rate` a second."""
    if rate is None and run.sightings(folder) > MOST_SIGHTINGS:
        rate = RATE
    replay = story.Story(folder, document, rate)
    return [*replay.more(), *replay.end()]


def new_secret() -> str:
    return secrets.token_urlsafe(18)


def open_socket(host: str, port: int) -> socket:
    """The listening socket. Raises BadRequest for a bad port, Unable if it cannot be opened."""
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise Unable(f"The live view needs {' and '.join(missing)}: ./inv installs what is missing.")
    from view.server import listen

    if not 0 <= port <= HIGHEST_PORT:
        raise BadRequest(f"--view-port {port}: expected 0 to {HIGHEST_PORT} (0: any free one).")
    try:
        return listen(host, port)
    except OSError as error:
        why = os_error_text(error)
        raise Unable(f"Can't listen on {host} port {port} ({why}): choose another.") from None


def address_lines(opened: socket, path: str) -> list[str]:
    """The page's address, and how to reach it from another computer."""
    host, port = opened.getsockname()[:2]
    shown = {"0.0.0.0": gethostname(), "::": gethostname()}.get(host, f"[{host}]" if ":" in host else host)
    lines = [f"Live view: http://{shown}:{port}/{path}"]
    if host in ("127.0.0.1", "::1"):
        lines.append(f"  from another computer: ssh -L {port}:127.0.0.1:{port} {user_name()}@{gethostname()}")
    return lines


def announce(opened: socket, path: str) -> None:
    """Print the page's address; a line is never wrapped, so that it can be copied."""
    console = make_console()
    for line in address_lines(opened, path):
        console.print(line, soft_wrap=True, markup=False, highlight=False)
