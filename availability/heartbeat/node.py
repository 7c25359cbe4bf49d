"""Which of two nodes holds which resources: heartbeat's rules, of deadtime, initdead and auto_failback.

No I/O and no clock: the time is passed in, in seconds, and what is to be done comes back as a list of actions
in their order. A group of resources, a line of haresources, belongs to the node that the line names, as long
as that node is alive; with auto_failback off it stays where it is until its holder dies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

KEEPALIVE, DEADTIME = 2.0, 30.0  # seconds


class Peer(Enum):
    """What is known of the other node."""

    UNKNOWN = "unknown"  # not heard of yet, and initdead has not passed
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
    """`group` is that of ACQUIRE, RELEASE and ANNOUNCE."""

    do: Do
    group: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """Of ha.cf and haresources. Times in seconds; `preferred` has the node of each group, in order."""

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
    """What a node says of itself. `age` orders its messages, of this and of earlier starts."""

    node: str
    age: tuple[int, int]  # when it started, and the number of the message since then
    held: frozenset[str] = frozenset()
    is_last: bool = False


@dataclass(slots=True)
class Node:
    """This node, and what it knows of its peer."""

    settings: Settings
    peer: Peer = Peer.UNKNOWN
    held: set[str] = field(default_factory=set)
    _peer_holds: frozenset[str] = frozenset()
    _last: tuple[int, int] = (0, 0)
    _beat_at: float = 0.0
    _warn_at: float | None = None
    _dead_at: float = 0.0

    def start(self, now: float) -> list[Action]:
        """Nothing is held until the peer has been heard, or is dead."""
        self._dead_at = now + self.settings.initdead
        self._beat_at = now + self.settings.keepalive
        return [Action(Do.BEAT)]

    def stop(self) -> list[Action]:
        """The end, in order: the peer need not wait."""
        return [*(self._release(group) for group in list(self.held)), Action(Do.SAY_GOODBYE)]

    def receive(self, heard: Heartbeat, now: float) -> list[Action]:
        """Take in a heartbeat; one of another node, or one that came by another path already, is ignored."""
        if heard.node != self.settings.peer or heard.age <= self._last:
            return []
        self._last = heard.age
        self._peer_holds = heard.held
        if heard.is_last:
            return self._bury()
        self.peer = Peer.ACTIVE
        self._warn_at = now + self.settings.warntime
        self._dead_at = now + self.settings.deadtime
        return self._decide()

    def tick(self, now: float) -> list[Action]:
        """Whatever is due."""
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
        """What changes; the peer hears of it at once."""
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
            return [
                Action(Do.ANNOUNCE, group)
            ]  # the peer will give it up, but its gratuitous ARP was the last
        elif self.peer is Peer.ACTIVE and not is_ours and (peer_holds or self.settings.auto_failback):
            return [self._release(group)]
        return []

    def _release(self, group: str) -> Action:
        self.held.remove(group)
        return Action(Do.RELEASE, group)
