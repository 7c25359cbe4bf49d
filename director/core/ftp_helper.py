"""The ftp helper of VS-NAT: reads control connections and lets data connections in.

An active data connection comes from the port below the real server's control port and must look as if the
VIP had opened it. A passive one goes to a port that only the real server knows until it announces it, with
its private address, in a 227 reply, which is rewritten.

A command or reply may be split over several segments. They are read in order; a segment that comes too early,
or that contains part of an unfinished 227, is dropped: its sender sends it again, and by then the director
knows what to write. The kernel's counterpart is the module ip_vs_ftp.
"""

from __future__ import annotations

from typing import Protocol

from director.core import ftp
from director.core.connections import Connection
from director.core.packet import ANY_PORT, FIN, RST, Endpoint, Packet
from director.core.states import State
from director.core.tcp_stream import Line, data_start, distance

_EARLY = "ftp: an earlier segment of the control connection is missing"
_UNFINISHED = "ftp: the rest of a 227 reply must come first"


class Expect(Protocol):
    """Called when a data connection is announced; `client` has ANY_PORT where its port is not known yet."""

    def __call__(
        self, control: Connection, client: Endpoint, vip: Endpoint, server_endpoint: Endpoint, now: float
    ) -> None: ...


class FtpHelper:
    """Both public methods return why the packet must be dropped, or None."""

    def __init__(self, expect: Expect) -> None:
        self._expect = expect

    def from_client(
        self, control: Connection, session: ftp.Session, packet: Packet, now: float
    ) -> str | None:
        """Learn from PORT or EPRT where the client listens.

        Only the client's own address counts: the server must not be made to connect elsewhere.
        """
        lines = [] if packet.flags & RST else session.commands.read(packet)
        if lines is None:
            return _EARLY
        for line in lines:
            client = ftp.active(line.text)
            if client is not None and client.address == control.client.address:
                vip = Endpoint(control.vip.address, control.vip.port - 1)
                server = Endpoint(control.server_endpoint.address, control.server_endpoint.port - 1)
                self._announce(control, client, vip, server, now)
        return None

    def from_server(
        self, control: Connection, session: ftp.Session, packet: Packet, now: float
    ) -> str | None:
        """Learn from 227 and 229 replies where the server listens, and note how to rewrite a 227."""
        if packet.flags & RST:
            return None
        lines = session.replies.read(packet)
        if lines is None:
            return _EARLY
        for line in lines:
            self._read_reply(control, session, line, now)
        return self._check_order(session, packet)

    def _read_reply(self, control: Connection, session: ftp.Session, line: Line, now: float) -> None:
        server = control.server_endpoint.address
        port = ftp.extended_passive(line.text)
        passive = ftp.passive(line.text)
        if passive is not None and passive.endpoint.address == server:
            port = passive.endpoint.port
            text = ftp.six_numbers(Endpoint(control.vip.address, port))
            start = (line.start + passive.start) % (1 << 32)
            session.edits.replace(start, passive.end - passive.start, text)
        if port is not None:
            client, vip = Endpoint(control.client.address, ANY_PORT), Endpoint(control.vip.address, port)
            self._announce(control, client, vip, Endpoint(server, port), now)

    def _announce(
        self, control: Connection, client: Endpoint, vip: Endpoint, server_endpoint: Endpoint, now: float
    ) -> None:
        if control.state is State.ESTABLISHED:
            self._expect(control, client, vip, server_endpoint, now)

    @staticmethod
    def _check_order(session: ftp.Session, packet: Packet) -> str | None:
        """Text is forwarded in order, and no part of a 227 before all of it is known."""
        if not (packet.payload or packet.flags & FIN):
            return None
        start = data_start(packet)
        if session.sent is None:
            session.sent = start
        if distance(session.sent, start) > 0:
            return _EARLY
        end = (start + len(packet.payload)) % (1 << 32)
        replies = session.replies
        if ftp.begins_address(replies.unfinished) and distance(replies.start, end) > 0:
            return _UNFINISHED
        if distance(session.sent, end) > 0:
            session.sent = end
        return None
