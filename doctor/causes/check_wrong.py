"""A health check takes a real server out of service that serves."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.state import LabState, Paired
from labs.run.takeover import CONFIGURATION, RELOAD_CHECKS

TITLE = "a health check takes out a real server that serves"
EXPLAINS = ("no_service", "quiesced", "server_deleted")

_PATH = "/name"  # of the plan's checks


def find(state: LabState) -> Iterator[Cause]:
    serving = {(one.address, one.port): one.wanted for one in state.trials if one.wanted and one.served}
    for one in state.pair:
        wrong = [each for each in one.down if (each.address, each.port) in serving]
        if wrong:
            names = ", ".join(serving[each.address, each.port] for each in wrong)
            yield Cause(
                "check_wrong",
                one.name,
                f"its checks say of {names}: {wrong[0].why}; tried from the director, {names} answered. "
                f"They ask for {one.asked or 'nothing'}",
                "The check asks for something other than the clients do, so it fails where nothing is wrong. "
                "Real servers leave the rules one by one, and with the last one the service is gone.",
                "\n".join(_repair(one)),
            )


def _repair(one: Paired) -> Iterator[str]:
    """Its file as planned, which its checks then read again."""
    if any(path != _PATH for path in one.path.split()):
        yield f"sed -i 's|^\\( *path \\).*|\\1{_PATH}|' {CONFIGURATION}"
    for port in one.other_ports:
        yield f"sed -i '/^ *connect_port {port}$/d' {CONFIGURATION}"
    yield RELOAD_CHECKS.format(director=one.name)
