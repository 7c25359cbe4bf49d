"""Packets of known connections: found, followed through the states, and sent on.

A request goes to the real server that its connection has, a reply (only VS-NAT's comes this
way) to the client as if the VIP had sent it. Which server a new connection gets is decided in
arrivals.py.
"""

from __future__ import annotations

from director.core.connections import Connection, Lifecycle, Table
from director.core.decision import Decision, Drop, Forward
from director.core.events import Trace
from director.core.ftp import Session
from director.core.ftp_helper import FtpHelper
from director.core.packet import ANY_PORT, SYN, TCP, Endpoint, Packet
from director.core.real_server import Method
from director.core.refusals import Refusals
from director.core.rules import Rules
from director.core.states import Direction, State

_OVER = (State.TIME_WAIT, State.CLOSE)  # a client may use its port again
_REUSE_FIN_WAIT = 2  # the bit of conn_reuse_mode
_SPOILT = "ftp: a packet of the control connection with a wrong checksum"


class Known:
    def __init__(
        self,
        rules: Rules,
        connections: Table,
        life: Lifecycle,
        refusals: Refusals,
        trace: Trace,
        *,
        ftp_helper: bool,
    ) -> None:
        self._rules = rules
        self._connections = connections
        self._life = life
        self._refusals = refusals
        self._trace = trace
        self._ftp = FtpHelper(self._expect)
        self._helps_ftp = ftp_helper
        self._leaving: Connection | None = None

    # ---- finding ----

    def requested_by(self, packet: Packet) -> Connection | None:
        """The connection of a client's packet, or the one that ftp has announced for it.

        One that is over makes way when the client opens another from the same port; so does one
        whose server is gone, with expire_nodest_conn.
        """
        known = self._connections.find_in(packet.protocol, packet.source, packet.destination)
        opens = packet.protocol == TCP and packet.flags & SYN
        announced = None
        if opens and self._connections.expectations and (known is None or known.state in _OVER):
            anyone = Endpoint(packet.source.address, ANY_PORT)
            announced = self._connections.find_in(TCP, anyone, packet.destination)
        if known is not None and (announced is not None or self._makes_way(known, opens=bool(opens))):
            self._connections.remove(known)
            self._leaving = known
            known = None
        if announced is not None:
            self._connections.fill_client_port(announced, packet.source)
            return announced
        return known

    def let_go(self, now: float) -> None:
        """What has made way is counted until the connection that it made way for has its server."""
        if self._leaving is not None:
            self._life.ended(self._leaving, now)
            self._leaving = None

    def _makes_way(self, known: Connection, *, opens: bool) -> bool:
        sysctls, server = self._rules.sysctls, known.server
        if sysctls.expire_nodest_conn and not server.configured:
            return True
        if not opens or not sysctls.conn_reuse_mode:
            return False
        if sysctls.expire_nodest_conn and not server.weight:
            return True
        if known.control is not None:
            return False
        half_closed = known.state is State.FIN_WAIT and known.method is not Method.NAT
        return known.state in _OVER or (half_closed and bool(sysctls.conn_reuse_mode & _REUSE_FIN_WAIT))

    def replied_by(self, packet: Packet) -> Connection | None:
        """The connection to which a VS-NAT real server's packet belongs."""
        known = self._connections.find_out(packet.protocol, packet.source, packet.destination)
        return known if known is not None and known.method is Method.NAT else None

    # ---- sending on ----

    def request(
        self, connection: Connection, packet: Packet, now: float, reasons: tuple[str, ...]
    ) -> Decision:
        """What becomes of a client's packet, which moves its connection to another state."""
        server = connection.server
        if not server.configured:
            why = f"real server {server.address} was deleted; the connection waits for it"
            return self._trace.drop(packet, now, why)
        nat = connection.method is Method.NAT
        self._life.advance(connection, packet, Direction.INPUT if nat else Direction.INPUT_ONLY, now)
        begins = packet.flags & SYN and connection.state is State.SYN_RECV
        if nat and begins and self._helps_ftp and connection.is_ftp_control:
            connection.ftp = Session()
        return self.onward(connection, packet, now, reasons)

    def onward(
        self, connection: Connection, packet: Packet, now: float, reasons: tuple[str, ...]
    ) -> Decision:
        """What becomes of a client's packet, without a look at the state of its connection."""
        connection.packets += 1
        connection.count_in(packet.length)
        to, pmtu_disc = connection.server_endpoint, bool(self._rules.sysctls.pmtu_disc)
        refusal = self._refusals.of(packet, to.address, connection.method, pmtu_disc=pmtu_disc)
        if refusal is not None:
            return self._trace.reject(packet, now, refusal)
        acknowledged = 0
        if connection.ftp is not None:
            dropped = self._ftp_from_client(connection, connection.ftp, packet, now)
            if dropped is not None:
                return dropped
            acknowledged = connection.ftp.edits.for_acknowledgement(packet.acknowledgement)
        return Forward(
            connection.method,
            packet.source,
            to if connection.method is Method.NAT else packet.destination,
            to.address,
            connection,
            (*reasons, f"{connection.state.value} at {to}"),
            acknowledgement_delta=acknowledged,
            may_fragment=not pmtu_disc,
            without_sack=connection.ftp is not None and bool(packet.flags & SYN),
        )

    def reply(self, connection: Connection, packet: Packet, now: float) -> Decision:
        """What becomes of a real server's packet."""
        if connection.ftp is not None and packet.bad_checksum():
            return self._trace.drop(packet, now, _SPOILT)
        self._life.advance(connection, packet, Direction.OUTPUT, now)
        connection.count_out(packet.length)
        refusal = self._refusals.of(packet, connection.client.address, Method.NAT, pmtu_disc=True)
        if refusal is not None:
            return self._trace.reject(packet, now, refusal)
        said, payload = 0, None
        if connection.ftp is not None:
            dropped = self._ftp_from_server(connection, connection.ftp, packet, now)
            if dropped is not None:
                return dropped
            said, payload = connection.ftp.rewritten(packet)
        return Forward(
            Method.NAT,
            connection.vip,
            packet.destination,
            packet.destination.address,
            connection,
            ("reply of a known connection", connection.state.value),
            sequence_delta=said,
            payload=payload,
        )

    # ---- ftp ----

    def _ftp_from_client(
        self, control: Connection, session: Session, packet: Packet, now: float
    ) -> Drop | None:
        why_not = _SPOILT if packet.bad_checksum() else self._ftp.from_client(control, session, packet, now)
        return self._trace.drop(packet, now, why_not) if why_not else None

    def _ftp_from_server(
        self, control: Connection, session: Session, packet: Packet, now: float
    ) -> Drop | None:
        why_not = self._ftp.from_server(control, session, packet, now)
        return self._trace.drop(packet, now, why_not) if why_not else None

    def _expect(
        self, control: Connection, client: Endpoint, vip: Endpoint, server_endpoint: Endpoint, now: float
    ) -> None:
        """Let a data connection in that the ftp helper has read about; `client` may have ANY_PORT."""
        known = self._connections.find_in(TCP, client, vip)
        if known is not None and known.server_endpoint == server_endpoint:
            self._life.set_state(known, State.LISTEN, now)
            return
        if known is not None:
            self._life.end(known, now)
        connection = Connection(TCP, client, vip, server_endpoint, control.server, control.service, control)
        connection.method, connection.state = control.method, State.LISTEN
        self._life.open(connection, now, "announced by ftp")
