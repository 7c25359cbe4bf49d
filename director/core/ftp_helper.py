"""The ftp helper of VS-NAT: reads control connections and lets the data connections through.

An active data connection comes from the port below the real server's control port and has to
look as if the VIP had opened it; a passive one goes to a port that only the real server knows
until it says so, with its private address, in a 227 reply, which is rewritten.

A command or reply may be cut into several segments. They are read in their order; one that
comes too early, or that has a part of an unfinished 227 in it, is dropped: its sender sends it
again, and by then the director knows what to write.
"""

from __future__ import annotations

from typing import Protocol

from director.core import ftp
from director.core.connections import Connection
from director.core.packet import ANY_PORT, FIN, RST, Endpoint, Packet
from director.core.states import State
from director.core.tcp_stream import Line, data_start, distance

_EARLY = "ftp: a piece of the control connection is missing before this one"
_UNFINISHED = "ftp: the end of a 227 reply has to come first"


class Expect(Protocol):
    """How a data connection is announced; `client` has ANY_PORT where it is not known yet."""

    def __call__(
        self, control: Connection, client: Endpoint, vip: Endpoint, server_endpoint: Endpoint, now: float
    ) -> None: ...


class FtpHelper:
    """Both methods return why a packet has to be dropped, or None."""

    def __init__(self, expect: Expect) -> None:
        self._expect = expect

    def from_client(
        self, control: Connection, session: ftp.Session, packet: Packet, now: float
    ) -> str | None:
        """Learn from PORT or EPRT where the client listens.

        Only the client's own address counts: nobody may have the server connect elsewhere.
        """
        lines = [] if packet.flags & RST else session.commands.read(packet)
        if lines is None:
            return _EARLY
        for line in lines:
            there = ftp.active(line.text)
            if there is not None and there.address == control.client.address:
                vip = Endpoint(control.vip.address, control.vip.port - 1)
                server_endpoint = Endpoint(control.server_endpoint.address, control.server_endpoint.port - 1)
                self._announce(control, there, vip, server_endpoint, now)
        return None

    def from_server(
        self, control: Connection, session: ftp.Session, packet: Packet, now: float
    ) -> str | None:
        """Learn from 227 and 229 replies where the server listens, and note what a 227 has to become."""
        if packet.flags & RST:
            return None
        lines = session.replies.read(packet)
        if lines is None:
            return _EARLY
        for line in lines:
            self._heed(control, session, line, now)
        return self._hold(session, packet)

    def _heed(self, control: Connection, session: ftp.Session, line: Line, now: float) -> None:
        server, anyone = control.server_endpoint.address, Endpoint(control.client.address, ANY_PORT)
        port = ftp.extended_passive(line.text)
        found = ftp.passive(line.text)
        if found is not None and found.endpoint.address == server:
            port = found.endpoint.port
            text = ftp.six_numbers(Endpoint(control.vip.address, port))
            session.edits.replace((line.start + found.start) % (1 << 32), found.end - found.start, text)
        if port is not None:
            vip = Endpoint(control.vip.address, port)
            self._announce(control, anyone, vip, Endpoint(server, port), now)

    def _announce(
        self, control: Connection, client: Endpoint, vip: Endpoint, server_endpoint: Endpoint, now: float
    ) -> None:
        if control.state is State.ESTABLISHED:
            self._expect(control, client, vip, server_endpoint, now)

    @staticmethod
    def _hold(session: ftp.Session, packet: Packet) -> str | None:
        """Text goes on in its order, and no part of a 227 before all of it is known."""
        if not (packet.payload or packet.flags & FIN):
            return None
        begin = data_start(packet)
        if session.sent is None:
            session.sent = begin
        if distance(session.sent, begin) > 0:
            return _EARLY
        end = (begin + len(packet.payload)) % (1 << 32)
        replies = session.replies
        if ftp.begins_address(replies.unfinished) and distance(replies.start, end) > 0:
            return _UNFINISHED
        if distance(session.sent, end) > 0:
            session.sent = end
        return None
