"""The real servers of a virtual server: which are alive, whether that is a quorum, and which rules follow.

No I/O. Methods return changes as a list of `Change`, for events, scripts and mail.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from availability.config.model import Fields, RealServer, VirtualServer
from availability.config.values import Script
from availability.monitor.checker import Checker


@dataclass(frozen=True, slots=True)
class Change:
    """`kind` is server_up, server_down, quorum_up or quorum_down."""

    kind: str
    service: str
    server: str = ""
    check: str = ""
    why: str = ""
    script: Script | None = field(default=None, compare=False)
    mail: bool = field(default=False, compare=False)

    def data(self) -> Fields:
        """The fields of its event, without the kind."""
        texts = {"service": self.service, "server": self.server, "check": self.check, "why": self.why}
        return {name: text for name, text in texts.items() if text}

    def __str__(self) -> str:
        what = {"server_up": "is up", "server_down": "is down", "quorum_up": "has a quorum"}
        why = f" ({self.check}: {self.why})" if self.check else f" ({self.why})" if self.why else ""
        subject = f"{self.server} of {self.service}" if self.server else self.service
        return f"{subject} {what.get(self.kind, 'has lost its quorum')}{why}."


@dataclass(slots=True)
class Member:
    """A real server with the state of its checks."""

    server: RealServer
    checkers: list[Checker]
    alive: bool = True

    def is_alive(self) -> bool:
        return all(checker.up for checker in self.checkers)

    @property
    def weight(self) -> int:
        """The configured one, changed by the programs that ask for another (misc_dynamic)."""
        asked = (checker.weight for checker in self.checkers if checker.weight is not None)
        return max(0, self.server.weight + sum(weight - self.server.weight for weight in asked))


class Pool:
    """A virtual server and the state of its members; `quorum` is whether it has one."""

    def __init__(self, virtual: VirtualServer, members: list[Member], quorum: bool = False) -> None:
        self.virtual = virtual
        self.members = members
        self.quorum = quorum
        for member in members:
            member.alive = member.is_alive()

    def start(self, alive: Mapping[tuple[str, str], bool] | None = None) -> list[Change]:
        """The first changes: the quorum, and after a reload each server whose state differs from `alive`.

        `alive` has the state before the reload, by service and server.
        """
        before = alive or {}
        servers = (
            self._server_change(member, None)
            for member in self.members
            if before.get((self.virtual.name, str(member.server)), member.alive) != member.alive
        )
        return [*servers, *self._quorum_changes()]

    def update(self, member: Member, because: Checker) -> list[Change]:
        """The changes that follow from the new state of a check."""
        changes: list[Change] = []
        if member.alive != member.is_alive():
            member.alive = not member.alive
            changes.append(self._server_change(member, because))
        return [*changes, *self._quorum_changes()]

    def stop(self) -> list[Change]:
        """The changes at the end: with omega, everything that is up goes down."""
        if not self.virtual.omega:
            return []
        changes = [self._server_change(member, None, up=False) for member in self.members if member.alive]
        if self.quorum:
            changes.append(self._quorum_change(False))
        return changes

    def _server_change(self, member: Member, because: Checker | None, up: bool | None = None) -> Change:
        is_up = member.alive if up is None else up
        server = member.server
        return Change(
            kind="server_up" if is_up else "server_down",
            service=self.virtual.name,
            server=str(server),
            check="" if is_up or because is None else str(because.check),
            why="" if is_up or because is None else because.why,
            script=server.notify_up if is_up else server.notify_down,
            mail=server.mail,
        )

    @property
    def weight(self) -> int:
        """The total weight of the live servers."""
        return sum(member.weight for member in self.members if member.alive)

    def _quorum_changes(self) -> Iterator[Change]:
        virtual = self.virtual
        needed = virtual.quorum + (-virtual.hysteresis if self.quorum else virtual.hysteresis)
        if self.quorum != (self.weight >= needed):
            self.quorum = not self.quorum
            yield self._quorum_change(self.quorum)

    def _quorum_change(self, gained: bool) -> Change:
        virtual = self.virtual
        return Change(
            kind="quorum_up" if gained else "quorum_down",
            service=virtual.name,
            why=f"live weight {self.weight}, quorum {virtual.quorum}",
            script=virtual.quorum_up if gained else virtual.quorum_down,
            mail=virtual.mail,
        )

    # ---- the rules ----

    def rules(self) -> Iterator[Fields]:
        """Yield AddService and AddServer for the present state."""
        virtual = self.virtual
        servers = list(self._servers())
        for key in virtual.keys:
            yield {"command": "AddService", "key": key, **virtual.service}
            for server, weight in servers:
                yield rule(key, server, weight)

    def _servers(self) -> Iterator[tuple[RealServer, int]]:
        """The servers that have a rule, and their weights. The sorry server stands in for all others."""
        sorry = self.virtual.sorry
        serving = self.quorum or sorry is None
        for member in self.members:
            if member.alive and serving:
                yield member.server, member.weight
            elif member.server.inhibit:
                yield member.server, 0
        if sorry and not serving:
            yield sorry, sorry.weight
        elif sorry and sorry.inhibit:
            yield sorry, 0

    def names(self) -> Iterator[tuple[Fields, str]]:
        """The key of each service with each server that may have a rule, and with "" for its own."""
        servers = [str(member.server) for member in self.members]
        if self.virtual.sorry:
            servers.append(str(self.virtual.sorry))
        for key in self.virtual.keys:
            yield key, ""
            for server in servers:
                yield key, server


def rule(key: Fields, server: RealServer, weight: int) -> Fields:
    """The command that adds a server."""
    return {
        "command": "AddServer",
        "key": key,
        "server": str(server),
        "method": server.method,
        "weight": weight,
        "upper": server.upper,
        "lower": server.lower,
    }
