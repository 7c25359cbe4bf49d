"""The life of a connection: it begins, its states follow each other, it ends; each time is counted.

Which server it goes to, and what becomes of its packets, is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable

from director.core.connection import Connection
from director.core.events import Event
from director.core.packet import Packet
from director.core.states import State, Timeouts, View, follow
from director.core.table import ConnectionTable


class Lifecycle:
    """Keeps the table, the counters of the real servers and the trace of events in step."""

    def __init__(
        self, connections: ConnectionTable, timeouts: Timeouts, on_event: Callable[[Event], None]
    ) -> None:
        self._connections = connections
        self._timeouts = timeouts.by_state()
        self._on_event = on_event

    def begin(self, connection: Connection, now: float, why: str) -> None:
        """A new connection, in whatever state it is."""
        connection.server.count(active=connection.active, by=1)
        if connection.control is not None:
            connection.control.children += 1
        self._connections.add(connection, now + self._timeouts[connection.state])
        self._on_event(Event("new", now, {**connection.as_dict(now), "why": why}))

    def follow(self, connection: Connection, packet: Packet, view: View, now: float) -> None:
        """Move the connection to the state that the packet leads to."""
        self.become(connection, follow(connection.protocol, connection.state, view, packet.flags), now)

    def become(self, connection: Connection, after: State, now: float) -> None:
        """The counters move with the state, and its time starts anew."""
        before = connection.state
        if after is not before:
            connection.server.count(active=connection.active, by=-1)
            connection.state = after
            connection.server.count(active=connection.active, by=1)
            self._on_event(Event("state", now, {**connection.as_dict(now), "before": before.value}))
        self._connections.keep(connection, now + self._timeouts[after])

    def end(self, connection: Connection, now: float) -> None:
        """End a connection before its time."""
        self._connections.remove(connection)
        self._ended(connection, now)

    def expire(self, now: float) -> int:
        """End all connections whose time has come; how many they were."""
        ended = 0
        for connection in self._connections.expired(now):
            self._ended(connection, now)
            ended += 1
        return ended

    def _ended(self, connection: Connection, now: float) -> None:
        connection.server.count(active=connection.active, by=-1)
        if connection.control is not None:
            connection.control.children -= 1
        self._on_event(Event("expired", now, connection.as_dict(now)))
