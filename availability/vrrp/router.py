"""A virtual router's state machine: BACKUP, MASTER or FAULT (RFC 3768, RFC 5798), as keepalived runs it.

No I/O and no clock: the time is passed in, in seconds, and what is to be done comes back as a list of actions
in their order: on becoming master the advertisement first, then the addresses, then gratuitous ARP.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from ipaddress import ip_address

OWNER = 255  # the priority of the router that has the addresses as its own
RESIGN = 0  # the priority of one that stops


class State(Enum):
    BACKUP = "BACKUP"
    MASTER = "MASTER"
    FAULT = "FAULT"


class Action(Enum):
    """What the process is to do."""

    ADVERTISE = auto()
    RESIGN = auto()  # advertise priority 0
    ADD_ADDRESSES = auto()
    REMOVE_ADDRESSES = auto()
    ANNOUNCE = auto()  # gratuitous ARP, as often as for a new master
    REFRESH = auto()  # ... from time to time
    CONTRADICT = auto()  # ... because a router of lower priority may have sent its own


@dataclass(frozen=True, slots=True)
class Settings:
    """A vrrp_instance. Times in seconds; `announce_again` is 0 for no repetition, `refresh` for none."""

    name: str
    interface: str
    vrid: int
    version: int = 2
    priority: int = 100
    interval: float = 1.0
    first_master: bool = False
    preempt: bool = True
    preempt_delay: float = 0.0
    missed: int = 3  # advertisements before a master counts as dead
    addresses: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()  # not advertised
    source: str = ""
    group: str = "224.0.0.18"
    password: str | None = None
    announce_again: float = 5.0
    announce_times: int = 5
    refresh: float = 0.0
    refresh_times: int = 1
    contradict_again: float = 5.0  # after an advertisement of lower priority; 0 for no repetition
    contradict_times: int = 5

    @property
    def is_ipv6(self) -> bool:
        """Whether its advertisements go over IPv6: its addresses are of that family."""
        return ":" in self.group


@dataclass(frozen=True, slots=True)
class Advertisement:
    """What another router says of itself; `interval` in seconds."""

    source: str
    priority: int
    interval: float


@dataclass(slots=True)
class Router:
    """`address` is its own one, which decides between equal priorities."""

    settings: Settings
    address: str
    priority: int = field(init=False)  # that of the settings, changed by what is tracked
    state: State = State.FAULT
    due: float = 0.0  # when `tick` has something to do
    _master_interval: float = 0.0
    _announce_at: float | None = None
    _announce_as: Action = Action.ANNOUNCE
    _preempt_after: float | None = None
    _is_owner: bool = field(init=False)

    def __post_init__(self) -> None:
        self.priority = self.settings.priority
        self._is_owner = self.priority == OWNER
        self._master_interval = self.settings.interval

    # ---- times ----

    @property
    def skew(self) -> float:
        """The higher the priority, the shorter: so the best backup is first."""
        unit = self._master_interval if self.settings.version == 3 else 1.0
        return (256 - self.priority) * unit / 256

    @property
    def master_down(self) -> float:
        """Silence after which the master counts as dead."""
        return self.settings.missed * self._master_interval + self.skew

    # ---- what happens ----

    def start(self, now: float) -> list[Action]:
        """The interface works, at the start or again."""
        if self._is_owner and self.settings.first_master:
            return self._become_master(now)
        self.state = State.BACKUP
        self._preempt_after = None
        self.due = now + self.master_down
        return []

    def set_priority(self, priority: int) -> None:
        """The next advertisement has it; a backup's patience changes with its skew."""
        before = self.skew
        self.priority = priority
        self.due += self.skew - before if self.state is State.BACKUP else 0.0

    def fail(self) -> list[Action]:
        """The interface has failed."""
        was_master = self.state is State.MASTER
        self.state = State.FAULT
        return [Action.REMOVE_ADDRESSES] if was_master else []

    def stop(self) -> list[Action]:
        """The end, in order: the backups need not wait."""
        was_master = self.state is State.MASTER
        self.state = State.FAULT
        return [Action.RESIGN, Action.REMOVE_ADDRESSES] if was_master else []

    def yield_to(self, now: float) -> list[Action]:
        """Become backup because another router of the sync group has."""
        return self._become_backup(now) if self.state is State.MASTER else []

    def take_over(self, now: float) -> list[Action]:
        """Become master because another router of the sync group has."""
        return self._become_master(now) if self.state is State.BACKUP else []

    def tick(self, now: float) -> list[Action]:
        """Whatever is due."""
        if self.state is State.BACKUP and now >= self.due:
            return self._become_master(now)
        actions: list[Action] = []
        if self.state is State.MASTER and now >= self.due:
            actions.append(Action.ADVERTISE)
            self.due = max(self.due + self.settings.interval, now)
        if self.state is State.MASTER and self._announce_at is not None and now >= self._announce_at:
            actions.append(self._announce_as)
            self._announce_next(0, now, Action.REFRESH)
        return actions

    @property
    def next(self) -> float | None:
        """When to call `tick`; None in FAULT."""
        if self.state is State.FAULT:
            return None
        announce = self._announce_at if self.state is State.MASTER else None
        return self.due if announce is None else min(self.due, announce)

    def receive(self, heard: Advertisement, now: float) -> list[Action]:
        """An advertisement for this virtual router."""
        if self.state is State.MASTER:
            return self._hear_as_master(heard, now)
        if self.state is State.BACKUP:
            self._hear_as_backup(heard, now)
        return []

    def _hear_as_backup(self, heard: Advertisement, now: float) -> None:
        if heard.priority == RESIGN:
            self.due = now + self.skew
            return
        if self.settings.preempt and heard.priority < self.priority:
            if self._preempt_after is None:
                self._preempt_after = now + self.settings.preempt_delay
            if now >= self._preempt_after:
                return  # the timer runs on: this router takes over
        else:
            self._preempt_after = None
        if self.settings.version == 3:
            self._master_interval = heard.interval
        self.due = now + self.master_down

    def _hear_as_master(self, heard: Advertisement, now: float) -> list[Action]:
        if heard.priority == RESIGN:
            self.due = now + self.settings.interval
            return [Action.ADVERTISE]
        mine = self.priority, int(ip_address(self.address))
        if (heard.priority, int(ip_address(heard.source))) > mine:
            if self.settings.version == 3:
                self._master_interval = heard.interval
            return self._become_backup(now)
        self.due = now + self.settings.interval
        self._announce_next(self.settings.contradict_again, now, Action.CONTRADICT)
        return [Action.ADVERTISE, Action.CONTRADICT]

    def _become_master(self, now: float) -> list[Action]:
        self.state = State.MASTER
        self._preempt_after = None
        self._master_interval = self.settings.interval
        self.due = now + self.settings.interval
        self._announce_next(self.settings.announce_again, now, Action.ANNOUNCE)
        return [Action.ADVERTISE, Action.ADD_ADDRESSES, Action.ANNOUNCE]

    def _announce_next(self, again: float, now: float, action: Action) -> None:
        """Once more after `again` seconds; if that is 0, with the next refresh."""
        refresh = self.settings.refresh
        self._announce_at = now + again if again else now + refresh if refresh else None
        self._announce_as = action if again else Action.REFRESH

    def _become_backup(self, now: float) -> list[Action]:
        self.state = State.BACKUP
        self._preempt_after = None
        self.due = now + self.master_down
        return [Action.REMOVE_ADDRESSES]
