"""The life of a connection: it begins, its states follow each other, it ends; each time is counted.

Which server it goes to, and what becomes of its packets, is decided elsewhere.
"""

from __future__ import annotations

from director.core.connection import Connection
from director.core.events import Trace
from director.core.packet import UDP, Packet
from director.core.persistence import Template, Templates
from director.core.states import ACTIVE, State, Timeouts, View, follow
from director.core.table import Table


class Lifecycle:
    """Keeps the tables, the counters of the real servers and the trace of events in step.

    `secure` chooses the state table that holds under attack (secure_tcp).
    """

    def __init__(self, connections: Table, templates: Templates, timeouts: Timeouts, trace: Trace) -> None:
        self._connections = connections
        self._templates = templates
        self._trace = trace
        self.secure = False
        self.use(timeouts)

    def use(self, timeouts: Timeouts) -> None:
        """From now on: whoever waits already goes on waiting as long as was said before."""
        self._timeouts = timeouts.by_state()

    def begin(self, connection: Connection, now: float, why: str) -> None:
        """A new connection, in whatever state it is."""
        connection.server.count(active=connection.active, by=1)
        if connection.control is not None:
            connection.control.children += 1
        self._connections.add(connection, now + self._timeouts[connection.state])
        self._trace.tell("new", now, lambda: {**connection.as_dict(now), "why": why})

    def follow(self, connection: Connection, packet: Packet, view: View, now: float) -> None:
        """Move the connection to the state that the packet leads to."""
        after = follow(connection.protocol, connection.state, view, packet.flags, secure=self.secure)
        self.become(connection, after, now)
        if connection.protocol == UDP and view is View.OUT:
            self._assure(connection)

    def become(self, connection: Connection, after: State, now: float) -> None:
        """The counters move with the state, and its time starts anew."""
        before = connection.state
        if after is not before:
            self._move(connection, before, after)
            self._trace.tell("state", now, lambda: {**connection.as_dict(now), "before": before.value})
        self._connections.keep(connection, now + self._timeouts[after])

    def idle(self, connection: Connection, now: float) -> float:
        """Seconds since its last packet."""
        return self._timeouts[connection.state] - (connection.expires - now)

    @staticmethod
    def _move(connection: Connection, before: State, after: State) -> None:
        connection.state = after
        if (after in ACTIVE) is not (before in ACTIVE):
            connection.server.moved(active=connection.active)
        if after is State.ESTABLISHED:
            Lifecycle._assure(connection)

    @staticmethod
    def _assure(connection: Connection) -> None:
        """Both ends have spoken: the template that it came by, if any, is one that lasts."""
        if isinstance(connection.control, Template):
            connection.control.assured = True

    def end(self, connection: Connection, now: float) -> None:
        """End a connection before its time."""
        self._connections.remove(connection)
        self.ended(connection, now)

    def displace(self, connection: Connection, now: float) -> None:
        """End one that was never established, and the template that only it has needed."""
        self._connections.remove(connection)
        self.ended(connection, now, "displaced")
        template = connection.control
        if isinstance(template, Template) and not template.children and not template.assured:
            self._templates.remove(template)

    def expire(self, now: float) -> int:
        """End all connections and templates whose time has come; how many connections they were."""
        ended = 0
        for connection in self._connections.expired(now):
            self.ended(connection, now)
            ended += 1
        self._templates.expire(now)
        return ended

    def ended(self, connection: Connection, now: float, kind: str = "expired") -> None:
        """Count and tell the end of one that is in the table no more."""
        connection.server.count(active=connection.active, by=-1)
        if connection.control is not None:
            connection.control.children -= 1
        self._trace.tell(kind, now, lambda: connection.as_dict(now))
