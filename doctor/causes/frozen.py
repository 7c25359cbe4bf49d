"""A real server's program, or the director, is stopped by a signal: it has its sockets, and does nothing."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.queries import takeover_of
from doctor.state import SERVER, HostState, LabState, Listener, Process

TITLE = "a process is stopped (SIGSTOP)"
EXPLAINS = ("director_down",)


def find(state: LabState) -> Iterator[Cause]:
    for host in state.by_role(SERVER):
        stopped = [listener for listener in host.listeners if listener.protocol == "TCP" and listener.stopped]
        if stopped:
            yield _server(host, stopped)
        yield from (
            _tunnel(host, process) for process in host.processes if process.tunnel and process.stopped
        )
    for host, _, director in state.directors:
        beside = takeover_of(host) if state.pair else []
        halted = [process for process in (director, *beside) if process and process.stopped]
        if halted:
            yield _director(host, halted)


def _director(host: HostState, stopped: list[Process]) -> Cause:
    states = ", ".join(
        f"process {process.pid}, {process.command}, is in state {process.state}" for process in stopped
    )
    return Cause(
        "frozen",
        host.name,
        f"{states}: stopped",
        "A stopped process gets no processor time until SIGCONT. The director handles no packet and "
        "answers no command; only connections that an engine forwards in the kernel go on. A "
        "second director beside it is not a repair.",
        "\n".join(f"kill -CONT {process.pid}" for process in stopped),
    )


def _tunnel(host: HostState, process: Process) -> Cause:
    return Cause(
        "frozen",
        host.name,
        f"process {process.pid}, the program behind tunl0, is in state {process.state}: stopped",
        "The packets of the tunnel arrive, and nothing unpacks them: a stopped process does nothing until "
        "SIGCONT.",
        f"kill -CONT {process.pid}",
    )


def _server(host: HostState, stopped: list[Listener]) -> Cause:
    processes = {listener.pid: listener.program for listener in stopped}
    ports = ", ".join(str(port) for port in sorted({listener.port for listener in stopped}))
    named = ", ".join(f"{program} (process {pid})" for pid, program in processes.items())
    return Cause(
        "frozen",
        host.name,
        f"{named}, which listens on port {ports}, is in state {stopped[0].process_state}: stopped",
        "Its socket still listens, so the kernel completes the handshake and the client believes that it "
        "is connected. But a stopped process accepts nothing and answers nothing until SIGCONT: the "
        "request waits.",
        "\n".join(f"kill -CONT {pid}" for pid in processes),
    )
