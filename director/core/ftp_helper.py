"""The ftp helper of VS-NAT: reads control connections and lets the data connections through.

An active data connection comes from the port below the real server's control port and has to
look as if the VIP had opened it; a passive one goes to a port that only the real server knows
until it says so, with its private address, in a 227 reply, which is rewritten.
"""

from __future__ import annotations

from typing import Protocol

from director.core import ftp
from director.core.connection import Connection
from director.core.decision import Method
from director.core.packet import Endpoint, Packet
from director.core.sequence import Shift
from director.core.service import VirtualService
from director.core.states import State


class Expect(Protocol):
    """How a data connection is announced; `client` has port 0 where it is not known yet."""

    def __call__(
        self, control: Connection, client: Endpoint, vip: Endpoint, server_end: Endpoint, now: float
    ) -> None: ...


class FtpHelper:
    def __init__(self, expect: Expect) -> None:
        self._expect = expect

    @staticmethod
    def is_control(service: VirtualService) -> bool:
        """Whether a service is ftp's control port."""
        return service.key.address.port == ftp.CONTROL_PORT

    def from_client(self, control: Connection, packet: Packet, now: float) -> None:
        """Learn from PORT or EPRT where the client listens, also if it came in pieces.

        Only the client's own address counts: nobody may have the server connect elsewhere.
        """
        if not self._reads(control, packet):
            return
        text = self._with_tail(control, packet)
        there = ftp.active(text)
        if there is not None and there.address == control.client.address:
            vip = Endpoint(control.vip.address, control.vip.port - 1)
            server_end = Endpoint(control.server_end.address, control.server_end.port - 1)
            self._expect(control, there, vip, server_end, now)

    def from_server(self, control: Connection, packet: Packet, now: float) -> bytes | None:
        """Learn from a 227 or 229 reply where the server listens; the rewritten payload of a 227."""
        if not self._reads(control, packet):
            return None
        port = ftp.extended_passive(packet.payload)
        there = ftp.passive(packet.payload)
        if there is not None and there.address == control.server_end.address:
            port = there.port
        if port is None:
            return None
        vip = Endpoint(control.vip.address, port)
        server_end = Endpoint(control.server_end.address, port)
        self._expect(control, Endpoint(control.client.address, 0), vip, server_end, now)
        return self._rewritten(control, packet, vip) if there is not None else None

    def _reads(self, control: Connection, packet: Packet) -> bool:
        """Only an established control connection of VS-NAT that has something to say."""
        return (
            bool(packet.payload)
            and control.vip.port == ftp.CONTROL_PORT
            and self.is_control(control.service)
            and control.state is State.ESTABLISHED
            and control.method is Method.NAT
        )

    @staticmethod
    def _with_tail(control: Connection, packet: Packet) -> bytes:
        """The payload behind the piece of a line that came before it, if it is the next segment."""
        expected, tail = control.tail or (packet.sequence, b"")
        text = tail + packet.payload if expected == packet.sequence else packet.payload
        following = (packet.sequence + len(packet.payload)) % (1 << 32)
        control.tail = following, ftp.unfinished(text)
        return text

    @staticmethod
    def _rewritten(control: Connection, packet: Packet, vip: Endpoint) -> bytes:
        payload = ftp.with_passive(packet.payload, vip)
        difference = len(payload) - len(packet.payload)
        if difference:
            control.shift_out = control.shift_out or Shift(packet.sequence)
            control.shift_out.changed(packet.sequence, difference)
        return payload
