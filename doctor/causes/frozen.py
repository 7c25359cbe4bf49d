"""A real server's program, or the director, is stopped by a signal: it has its sockets, and does nothing."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.state import DIRECTOR, SERVER, HostState, LabState, Listener, Process

TITLE = "a process is stopped (SIGSTOP)"
EXPLAINS = ("director_down",)


def find(state: LabState) -> Iterator[Cause]:
    for host in state.by_role(SERVER):
        stopped = [one for one in host.listeners if one.protocol == "TCP" and one.stopped]
        if stopped:
            yield _server(host, stopped)
        yield from (_tunnel(host, one) for one in host.processes if one.tunnel and one.stopped)
    process = state.director_process
    if process and process.stopped:
        host = next((one for one in state.by_role(DIRECTOR)), state.director_host)
        yield Cause(
            "frozen",
            host.name,
            f"process {process.pid}, {process.command}, is in state {process.state}: stopped",
            "A stopped process gets no processor time until SIGCONT. The director decides about no packet "
            "and answers no command; only connections that an engine forwards in the kernel go on. A "
            "second director beside it is no repair.",
            f"kill -CONT {process.pid}",
        )


def _tunnel(host: HostState, process: Process) -> Cause:
    return Cause(
        "frozen",
        host.name,
        f"process {process.pid}, the program behind tunl0, is in state {process.state}: stopped",
        "The packets of the tunnel arrive, and nobody unpacks them: a stopped process does nothing until "
        "SIGCONT.",
        f"kill -CONT {process.pid}",
    )


def _server(host: HostState, stopped: list[Listener]) -> Cause:
    processes = {one.pid: one.program for one in stopped}
    ports = ", ".join(str(port) for port in sorted({one.port for one in stopped}))
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
