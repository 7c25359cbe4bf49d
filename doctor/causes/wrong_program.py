"""A program other than the httpd has the port of the requests."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.queries import listening_program, restore_httpd, served_port, start_httpd
from doctor.state import SERVER, LabState
from realserver_setup.httpd import PROGRAM

TITLE = "another program listens on the service's port"


def find(state: LabState) -> Iterator[Cause]:
    failed = {trial.wanted for trial in state.trials if trial.wanted and not trial.served}
    for host in state.by_role(SERVER):
        program = listening_program(state, host)
        server = next((server for server in state.servers if server.name == host.name), None)
        if server and host.name in failed and program not in ("", PROGRAM):
            port = served_port(state, server)
            listener = host.listener(host.main.address, port)
            pid = listener.pid if listener else 0
            yield Cause(
                "wrong_program",
                host.name,
                f"process {pid}, {program}, listens on port {port}; the httpd of {host.name} is {PROGRAM}",
                "A port belongs to the program that was first to bind it. Connections are accepted, but what "
                "answers, if anything does, is not the site that clients ask for.",
                "\n".join(
                    [
                        f"kill -KILL {pid}; while [ -e /proc/{pid}/exe ]; do sleep 0.1; done",
                        *restore_httpd(host),
                        *start_httpd(host),
                    ]
                ),
            )
