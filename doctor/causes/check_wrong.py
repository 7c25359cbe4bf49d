"""A health check takes a working real server out of service."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.state import LabState, Paired
from labs.run.takeover import CONFIGURATION, RELOAD_CHECKS

TITLE = "a health check takes out a real server that serves"
EXPLAINS = ("no_service", "quiesced")

_PATH = "/name"  # of the plan's checks


def find(state: LabState) -> Iterator[Cause]:
    serving = {
        (trial.address, trial.port): trial.wanted for trial in state.trials if trial.wanted and trial.served
    }
    for director in state.pair:
        wrong = [server for server in director.down if (server.address, server.port) in serving]
        if wrong:
            names = ", ".join(serving[server.address, server.port] for server in wrong)
            yield Cause(
                "check_wrong",
                director.name,
                f"its checks say of {names}: {wrong[0].why}; tried from the director, {names} answered. "
                f"They ask for {director.asked or 'nothing'}",
                "The check asks for something other than the clients do, so it fails where nothing is wrong. "
                "Real servers leave the rules one by one, and with the last one the service is gone.",
                "\n".join(_repair(director)),
            )


def _repair(director: Paired) -> Iterator[str]:
    """The commands that restore its planned configuration, and make the checks reload it."""
    if any(path != _PATH for path in director.path.split()):
        yield f"sed -i 's|^\\( *path \\).*|\\1{_PATH}|' {CONFIGURATION}"
    for port in director.other_ports:
        yield f"sed -i '/^ *connect_port {port}$/d' {CONFIGURATION}"
    yield RELOAD_CHECKS.format(director=director.name)
