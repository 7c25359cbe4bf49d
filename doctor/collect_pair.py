"""What the doctor also reads of two directors (lab-ha): configurations, sync daemons, events."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from availability.config import ConfigError, config_reader
from availability.vrrp import instances
from director.control.channel import ChannelError, call
from doctor.collect_lab import director_process
from doctor.state import DirectorState, Down, HostState, LabState, Paired, SyncDaemon
from labs.checks.failures import router_sees
from labs.errors import LabError
from labs.run.paired_director import PairedDirector
from labs.run.running import RunningLab
from labs.run.takeover import CONFIGURATION
from labs.wait import patient
from realserver_setup.availability import AvailabilitySetup

_SECONDS = 2
_VRRP = "vrrp"


def pair_of(running: RunningLab) -> tuple[PairedDirector, ...]:
    return tuple(director for director in running.directors if isinstance(director, PairedDirector))


def active(running: RunningLab) -> PairedDirector:
    """The director that owns the VIP; if both do, the one that the router sends to."""
    pair = pair_of(running)
    owners = [director for director in pair if director.owns_vip()]
    if len(owners) == 1:
        return owners[0]
    owner = router_sees(running)
    return next((director for director in owners or pair if director.host.name == owner), (owners or pair)[0])


def with_pair(state: LabState, running: RunningLab, ask: Callable[[str], DirectorState]) -> LabState:
    """The state with both directors; `ask` gets a director's report from its control socket."""
    pair = tuple(_paired(director, state.host(director.host.name), ask) for director in pair_of(running))
    found = next((director for director in pair if director.name == state.active), pair[0])
    moving = {address for setup in running.plan.pair for address, _ in setup.virtual} - {state.vip}
    return replace(state, pair=pair, director_process=found.process, moving=tuple(sorted(moving)))


def _paired(director: PairedDirector, host: HostState | None, ask: Callable[[str], DirectorState]) -> Paired:
    setup = director.setup
    file = director.host.evidence.scripts / setup.name / CONFIGURATION
    settings, asked, error = _configured(file, setup.takeover)
    return Paired(
        name=setup.name,
        director=ask(director.socket),
        process=director_process([host]) if host else None,
        settings=settings,
        planned=_planned(setup) if settings else {},
        error=error,
        daemons=tuple(_daemons(director.socket)),
        sync_on=setup.pair.name if setup.sync else "",
        syncid=setup.vrid,
        down=tuple(_down(director.events)),
        **asked,
    )


def _configured(file: Path, takeover: str) -> tuple[dict[str, str], dict[str, Any], str]:
    """The virtual router's settings, Paired's fields about the checks, and why the file cannot be used."""
    try:
        configuration = config_reader.load(file)
        found, _ = instances.read(configuration)
    except (ConfigError, OSError) as error:
        return {}, {}, str(error)
    servers = [server for virtual in configuration.servers for server in virtual.servers]
    paths = {page.path for server in servers for check in server.checks for page in check.pages}
    ports = {check.port for server in servers for check in server.checks if check.port != server.port}
    asked = {"path": " ".join(sorted(paths)), "other_ports": tuple(sorted(ports))}
    if takeover != _VRRP or not found:
        return {}, asked, ""
    router = found[0].settings
    settings = {
        "virtual_router_id": str(router.vrid),
        "version": str(router.version),
        "advert_int": f"{router.interval:g}",
        "virtual_ipaddress": " ".join(sorted(router.addresses)),
    }
    return settings, asked, ""


def _planned(setup: AvailabilitySetup) -> dict[str, str]:
    return {
        "virtual_router_id": str(setup.vrid),
        "version": "3",
        "advert_int": f"{setup.interval:g}",
        "virtual_ipaddress": " ".join(sorted(address for address, _ in setup.virtual)),
    }


def _daemons(socket: str) -> Iterator[SyncDaemon]:
    try:
        answer = call(socket, {"do": "daemons"}, timeout=patient(_SECONDS))
    except (ChannelError, LabError):
        return
    for daemon in answer.get("daemons", ()):
        yield SyncDaemon(daemon["role"], daemon["interface"], daemon["syncid"])


def _down(events: Path) -> Iterator[Down]:
    """The real servers whose last event is that they went down."""
    last: dict[tuple[str, int], Mapping[str, Any]] = {}
    for line in events.read_text(errors="replace").splitlines() if events.exists() else ():
        if '"kind": "server_' not in line:
            continue
        try:
            event = json.loads(line)
            address, _, port = str(event["server"]).rpartition(":")
            last[address.strip("[]"), int(port)] = event
        except (ValueError, KeyError, TypeError):
            continue
    for (rip, number), event in last.items():
        if event["kind"] == "server_down":
            yield Down(rip, number, str(event.get("why", "")))
