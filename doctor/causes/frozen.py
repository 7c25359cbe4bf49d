"""A real server's program, or the director, is stopped by a signal: its sockets stay open, unserved."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.queries import checks_of, program_of, takeover_of
from doctor.state import SERVER, HostState, LabState, Listener, Process

TITLE = "a process is stopped (SIGSTOP)"
EXPLAINS = ("director_down",)

_DIRECTOR = (
    "The director handles no packet and answers no command; only connections that an engine forwards in the "
    "kernel go on. A second director beside it is not a repair."
)
_TAKEOVER = (
    "This one tells the other director that {} is alive: without that the other takes over, and as long as "
    "nothing gives the VIP up here, both have it."
)
_CHECKS = (
    "This one checks the real servers: a server that dies now keeps its rule, and its share of the clients."
)


def find(state: LabState) -> Iterator[Cause]:
    for host in state.by_role(SERVER):
        stopped = [listener for listener in host.listeners if listener.protocol == "TCP" and listener.stopped]
        if stopped:
            yield _server(host, stopped)
        yield from (
            _tunnel(host, process) for process in host.processes if process.tunnel and process.stopped
        )
    for host, _, director in state.directors:
        if director and director.stopped:
            yield _process(host, director, _DIRECTOR)
        for process in takeover_of(host) if state.pair else ():
            if process.stopped:
                yield _process(host, process, _TAKEOVER.format(host.name))
        for process in checks_of(host) if state.pair else ():
            if process.stopped:
                yield _process(host, process, _CHECKS)


def _process(host: HostState, process: Process, why: str) -> Cause:
    return Cause(
        "frozen",
        host.name,
        f"process {process.pid}, {program_of(process)}, is in state {process.state}: stopped",
        f"A stopped process gets no processor time until SIGCONT. {why}",
        f"kill -CONT {process.pid}",
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
