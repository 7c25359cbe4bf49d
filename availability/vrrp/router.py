"""A virtual router's state machine: BACKUP, MASTER or FAULT (RFC 3768, RFC 5798), as keepalived runs it.

No I/O and no clock: the caller passes the time in seconds, and carries out the actions that are returned, in
order: a new master first advertises, then adds the addresses, then sends gratuitous ARP.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from ipaddress import ip_address

OWNER = 255  # the priority of the router that owns the addresses
RESIGN = 0  # the priority of one that stops


class State(Enum):
    BACKUP = "BACKUP"
    MASTER = "MASTER"
    FAULT = "FAULT"


class Action(Enum):
    """What the process must do."""

    ADVERTISE = auto()
    RESIGN = auto()  # advertise priority 0
    ADD_ADDRESSES = auto()
    REMOVE_ADDRESSES = auto()
    ANNOUNCE = auto()  # gratuitous ARP, as often as for a new master
    REFRESH = auto()  # ... from time to time
    CONTRADICT = auto()  # ... because a router of lower priority may have sent its own


@dataclass(frozen=True, slots=True)
class Settings:
    """A vrrp_instance. Times in seconds; 0 in `announce_again` or `refresh` means no repetition."""

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
        """Whether its addresses are of IPv6: then advertisements go over IPv6, too."""
        return ":" in self.group


@dataclass(frozen=True, slots=True)
class Advertisement:
    """The advertisement of another router; `interval` in seconds."""

    source: str
    priority: int
    interval: float


@dataclass(slots=True)
class Router:
    """The state machine; `address` is the router's own, which decides between equal priorities."""

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
        """Seconds; the higher the priority, the shorter, so that the best backup takes over."""
        unit = self._master_interval if self.settings.version == 3 else 1.0
        return (256 - self.priority) * unit / 256

    @property
    def master_down(self) -> float:
        """Seconds without an advertisement after which the master counts as dead."""
        return self.settings.missed * self._master_interval + self.skew

    # ---- input ----

    def start(self, now: float) -> list[Action]:
        """The interface works: at the start, or again after a fault."""
        if self._is_owner and self.settings.first_master:
            return self._become_master(now)
        self.state = State.BACKUP
        self._preempt_after = None
        self.due = now + self.master_down
        return []

    def set_priority(self, priority: int) -> None:
        """The next advertisement has the new priority; a backup's timer changes with its skew."""
        before = self.skew
        self.priority = priority
        self.due += self.skew - before if self.state is State.BACKUP else 0.0

    def fail(self) -> list[Action]:
        """The interface has failed."""
        was_master = self.state is State.MASTER
        self.state = State.FAULT
        return [Action.REMOVE_ADDRESSES] if was_master else []

    def stop(self) -> list[Action]:
        """Resign, so that the backups need not wait until the master counts as dead."""
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
        """The actions that are due."""
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

    def receive(self, found: Advertisement, now: float) -> list[Action]:
        """Process an advertisement of another router for this virtual router."""
        if self.state is State.MASTER:
            return self._receive_as_master(found, now)
        if self.state is State.BACKUP:
            self._receive_as_backup(found, now)
        return []

    def _receive_as_backup(self, found: Advertisement, now: float) -> None:
        if found.priority == RESIGN:
            self.due = now + self.skew
            return
        if self.settings.preempt and found.priority < self.priority:
            if self._preempt_after is None:
                self._preempt_after = now + self.settings.preempt_delay
            if now >= self._preempt_after:
                return  # the timer runs on: this router takes over
        else:
            self._preempt_after = None
        if self.settings.version == 3:
            self._master_interval = found.interval
        self.due = now + self.master_down

    def _receive_as_master(self, found: Advertisement, now: float) -> list[Action]:
        if found.priority == RESIGN:
            self.due = now + self.settings.interval
            return [Action.ADVERTISE]
        own = self.priority, int(ip_address(self.address))
        if (found.priority, int(ip_address(found.source))) > own:
            if self.settings.version == 3:
                self._master_interval = found.interval
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
        """Repeat the announcement after `again` seconds; if that is 0, with the next refresh."""
        refresh = self.settings.refresh
        self._announce_at = now + again if again else now + refresh if refresh else None
        self._announce_as = action if again else Action.REFRESH

    def _become_backup(self, now: float) -> list[Action]:
        self.state = State.BACKUP
        self._preempt_after = None
        self.due = now + self.master_down
        return [Action.REMOVE_ADDRESSES]
