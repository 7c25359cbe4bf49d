"""Which of two nodes holds which resources: heartbeat's rules, with deadtime, initdead and auto_failback.

No I/O and no clock: the caller passes the time in seconds, and carries out the actions that are returned, in
order. A group of resources, a line of haresources, belongs to the node that the line names, as long
as that node is alive; with auto_failback off it stays where it is until its holder dies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

KEEPALIVE, DEADTIME = 2.0, 30.0  # seconds


class Peer(Enum):
    """The state of the other node."""

    UNKNOWN = "unknown"  # no heartbeat yet, and initdead has not passed
    ACTIVE = "active"
    DEAD = "dead"


class Do(Enum):
    BEAT = auto()  # send a heartbeat
    SAY_GOODBYE = auto()  # send the last one
    ACQUIRE = auto()
    RELEASE = auto()
    ANNOUNCE = auto()  # gratuitous ARP once more
    WARN = auto()  # a heartbeat is late


@dataclass(frozen=True, slots=True)
class Action:
    """What to do; `group` is set for ACQUIRE, RELEASE and ANNOUNCE."""

    do: Do
    group: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """From ha.cf and haresources. Times in seconds; `preferred` has the node of each group, in order."""

    node: str
    peer: str
    preferred: Mapping[str, str]
    keepalive: float = KEEPALIVE  # between two heartbeats
    deadtime: float = DEADTIME  # silence after which the peer counts as dead
    warntime: float = 10.0  # ... as late
    initdead: float = 60.0  # ... as dead at the start, while networks come up
    auto_failback: bool = True


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A node's message. `age` orders its messages, those of earlier starts included."""

    node: str
    age: tuple[int, int]  # when it started, and the number of the message since then
    held: frozenset[str] = frozenset()
    is_last: bool = False


@dataclass(slots=True)
class Node:
    """The state of this node, and its view of the peer."""

    settings: Settings
    peer: Peer = Peer.UNKNOWN
    held: set[str] = field(default_factory=set)
    _peer_holds: frozenset[str] = frozenset()
    _last: tuple[int, int] = (0, 0)
    _beat_at: float = 0.0
    _warn_at: float | None = None
    _dead_at: float = 0.0

    def start(self, now: float) -> list[Action]:
        """Begin; the node holds nothing until a heartbeat comes, or the peer counts as dead."""
        self._dead_at = now + self.settings.initdead
        self._beat_at = now + self.settings.keepalive
        return [Action(Do.BEAT)]

    def stop(self) -> list[Action]:
        """Release everything and say goodbye, so that the peer need not wait for deadtime."""
        return [*(self._release(group) for group in list(self.held)), Action(Do.SAY_GOODBYE)]

    def receive(self, beat: Heartbeat, now: float) -> list[Action]:
        """Process a heartbeat; ignores other nodes, and one that has already come by another medium."""
        if beat.node != self.settings.peer or beat.age <= self._last:
            return []
        self._last = beat.age
        self._peer_holds = beat.held
        if beat.is_last:
            return self._bury()
        self.peer = Peer.ACTIVE
        self._warn_at = now + self.settings.warntime
        self._dead_at = now + self.settings.deadtime
        return self._decide()

    def tick(self, now: float) -> list[Action]:
        """The actions that are due."""
        actions: list[Action] = []
        if now >= self._beat_at:
            actions.append(Action(Do.BEAT))
            self._beat_at = max(self._beat_at + self.settings.keepalive, now)
        if self.peer is Peer.DEAD:
            return actions
        if now >= self._dead_at:
            return [*actions, *self._bury()]
        if self._warn_at is not None and now >= self._warn_at:
            self._warn_at = None
            actions.append(Action(Do.WARN))
        return actions

    @property
    def next(self) -> float:
        """When to call `tick`."""
        waits = [self._beat_at, *([self._warn_at] if self._warn_at is not None else [])]
        return min(waits if self.peer is Peer.DEAD else [*waits, self._dead_at])

    def _bury(self) -> list[Action]:
        self.peer = Peer.DEAD
        self._peer_holds = frozenset()
        self._last = (0, 0)  # its clock may be wrong when it comes back
        self._warn_at = None
        return self._decide()

    # ---- who holds what ----

    def _decide(self) -> list[Action]:
        """The changes of ownership, and a heartbeat so that the peer learns of them at once."""
        actions = [action for group in self.settings.preferred for action in self._decide_about(group)]
        changed = any(action.do is not Do.ANNOUNCE for action in actions)
        return [*actions, Action(Do.BEAT)] if changed else actions

    def _decide_about(self, group: str) -> list[Action]:
        is_ours = self.settings.preferred[group] == self.settings.node
        peer_holds = group in self._peer_holds
        if group not in self.held:
            if self.peer is Peer.DEAD or (is_ours and not peer_holds):
                self.held.add(group)
                return [Action(Do.ACQUIRE, group)]
        elif peer_holds and is_ours:
            # The peer will release it, but its gratuitous ARP was the last.
            return [Action(Do.ANNOUNCE, group)]
        elif self.peer is Peer.ACTIVE and not is_ours and (peer_holds or self.settings.auto_failback):
            return [self._release(group)]
        return []

    def _release(self, group: str) -> Action:
        self.held.remove(group)
        return Action(Do.RELEASE, group)
