"""The whole lab: all hosts, one or two directors, the trials, and questions that combine them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from director.formats.dataclass_json import load
from doctor.state.director import DirectorState, Paired
from doctor.state.host import CLIENT, DIRECTOR, SERVER, HostState, Process
from doctor.state.network import Plug
from doctor.state.trial import Trial


@dataclass(frozen=True, slots=True)
class PlannedServer:
    """A real server in the lab's plan, with all ports of its httpd."""

    name: str
    address: str
    ports: tuple[int, ...]
    weight: int
    ftp: bool = False


@dataclass(frozen=True, slots=True)
class LabState:
    """`method` is nat, tun or dr. With a `pair`, `director` is the active one, on host `active`.

    The addresses in `moving` belong to the active director as well. `failed_at_first` counts the trials that
    were not served before all of them were tried again.
    """

    lab: str
    method: str
    vip: str
    dip: str
    servers: tuple[PlannedServer, ...]
    hosts: tuple[HostState, ...]
    director: DirectorState = field(default_factory=DirectorState)
    trials: tuple[Trial, ...] = ()
    director_process: Process | None = None
    pair: tuple[Paired, ...] = ()
    active: str = ""
    moving: tuple[str, ...] = ()
    failed_at_first: int = 0

    @property
    def version(self) -> int:
        """The IP version."""
        return 6 if ":" in self.vip else 4

    @property
    def whole(self) -> int:
        """The prefix length of a single address."""
        return 128 if self.version == 6 else 32

    def by_role(self, *roles: str) -> Iterator[HostState]:
        """The hosts with these roles that could be read."""
        return (host for host in self.hosts if host.role in roles and not host.error)

    @property
    def director_host(self) -> HostState:
        directors = [host for host in self.hosts if host.role == DIRECTOR]
        return next((host for host in directors if host.name == self.active), directors[0])

    @property
    def directors(self) -> tuple[tuple[HostState, DirectorState, Process | None], ...]:
        """Each director with its host, its report and its process."""
        if not self.pair:
            return ((self.director_host, self.director, self.director_process),)
        found = ((self.host(director.name), director) for director in self.pair)
        return tuple((host, director.director, director.process) for host, director in found if host)

    @property
    def vip_owners(self) -> tuple[str, ...]:
        """The directors that have the VIP."""
        return tuple(host.name for host, _, _ in self.directors if host.has(self.vip))

    @property
    def clients(self) -> tuple[Plug, ...]:
        """The interfaces of the clients."""
        return tuple(host.main for host in self.hosts if host.role == CLIENT)

    @property
    def client_trials(self) -> tuple[Trial, ...]:
        """The clients' trials of the VIP."""
        return tuple(trial for trial in self.trials if not trial.wanted)

    @property
    def failures(self) -> tuple[Trial, ...]:
        """The clients' trials that were not served."""
        return tuple(trial for trial in self.client_trials if not trial.served)

    @property
    def resent(self) -> tuple[Trial, ...]:
        """The trials that were served only after a retransmission: packets get lost."""
        return tuple(trial for trial in self.trials if trial.served and trial.resent)

    @property
    def troubled(self) -> tuple[Trial, ...]:
        """The trials that failed or needed a retransmission; direct ones only if all clients were served."""
        return (*(self.failures or self.silent_servers), *self.resent)

    @property
    def silent_servers(self) -> tuple[Trial, ...]:
        """Failed direct trials of real servers that get connections, and served no client."""
        served = {trial.server for trial in self.client_trials if trial.served}
        used = {
            target.address
            for service in self.director.services
            for target in service.targets
            if target.weight > 0
        }
        return tuple(
            trial
            for trial in self.trials
            if trial.wanted and not trial.served and trial.wanted not in served and trial.address in used
        )

    def host(self, name: str) -> HostState | None:
        return next((host for host in self.hosts if host.name == name), None)

    def on_switch(self, switch: str) -> Iterator[tuple[HostState, Plug]]:
        """The hosts that are plugged into a switch, each with its plug."""
        for host in self.hosts:
            yield from ((host, plug) for plug in host.plugs if plug.switch == switch)

    def owners(self, switch: str, address: str) -> list[tuple[HostState, Plug]]:
        """The hosts of a segment with a usable `address`, whether or not they answer ARP for it."""
        return [(host, plug) for host, plug in self.on_switch(switch) if host.has(address)]

    def owner_of_mac(self, switch: str, mac: str) -> tuple[HostState, Plug] | None:
        """The host of a segment that receives frames for `mac`."""
        found = ((host, plug) for host, plug in self.on_switch(switch) if mac in host.macs(plug.interface))
        return next(found, None)

    def server_name(self, address: str) -> str:
        """The name of the real server with this RIP, or the address itself."""
        return next((server.name for server in self.servers if server.address == address), address)

    def servers_on_director_segment(self) -> Iterator[HostState]:
        """The real servers on the director's segment that have the VIP."""
        if self.method != "nat":
            switch = self.director_host.main.switch
            for host in self.by_role(SERVER):
                if host.main.switch == switch and host.has(self.vip):
                    yield host

    def as_dict(self) -> dict[str, Any]:
        """The state as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, form: Mapping[str, Any]) -> LabState:
        """The state from JSON values. Raises ValueError if they are not one."""
        return load(cls, form)


def states_of(answer: Mapping[str, Any]) -> list[LabState]:
    """The states in the answer of a lab's control socket, one per IP version. Raises ValueError."""
    return [LabState.from_dict(form) for form in (answer["state"], *answer.get("more", ()))]
