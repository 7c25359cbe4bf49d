"""A server process has no file descriptors left."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.queries import HTTP, end_process, start_httpd
from doctor.state import SERVER, HostState, LabState, Process

TITLE = "a server process has no file descriptors left"
EXPLAINS = ("http_error",)

_SPARE = 1  # a connection takes one


def find(state: LabState) -> Iterator[Cause]:
    for host in state.by_role(SERVER):
        listening = {
            listener.pid: listener.port
            for listener in host.listeners
            if listener.protocol == "TCP" and listener.pid
        }
        for process in host.processes:
            if process.pid in listening and _has_none_left(process):
                yield _cause(host, process, listening[process.pid])
    for host, _, director in state.directors:
        if director and _has_none_left(director):
            yield Cause(
                "no_files",
                host.name,
                _evidence(director),
                "The director accepts no connection on its control socket, and may not be able to load rules "
                "into the kernel: what it forwards already goes on, and its tools time out.",
                f"prlimit --pid {director.pid} --nofile=1024",
            )


def _has_none_left(process: Process) -> bool:
    return 0 < process.most < process.files + _SPARE


def _evidence(process: Process) -> str:
    return (
        f"process {process.pid} ({process.command.split()[0]}) has {process.files} open file descriptors and "
        f"may have {process.most}"
    )


def _cause(host: HostState, process: Process, port: int) -> Cause:
    restart = [end_process(process.pid)]
    restart += ["ulimit -n 1024", *start_httpd(host)]
    is_httpd = "nginx" in process.command or port == HTTP
    return Cause(
        "no_files",
        host.name,
        _evidence(process),
        "The kernel completes handshakes for a listening socket by itself. accept() then fails with EMFILE: "
        "connections are established, and no request is answered.",
        "\n".join(restart if is_httpd else [f"prlimit --pid {process.pid} --nofile=1024"]),
    )
