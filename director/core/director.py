"""The heart of the virtual server: a packet, the time and the tables go in, a decision comes out.

In the order in which a packet meets it:

    a packet of a known connection from the client  -> to that connection's real server
    a packet of a known connection from the server  -> to the client, as if the VIP had sent it
    an ICMP error about a known connection          -> to the end that has to hear of it
    the first packet of a new connection            -> to the real server that the scheduler picks
    anything else                                   -> to the director's own kernel

No socket, no clock: the time is passed in, in seconds that only ever grow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from director.core.commands import Command
from director.core.connection import Connection
from director.core.decision import Answer, Decision, Drop, Forward, Local, Method
from director.core.events import Event
from director.core.ftp_helper import FtpHelper
from director.core.packet import FIN, ICMP, RST, SYN, TCP, UDP, Endpoint, Packet
from director.core.persistence import Templates
from director.core.rules import Rules
from director.core.service import RealServer, VirtualService
from director.core.states import TIMEOUTS, State, View, follow
from director.core.table import DEFAULT_BITS, ConnectionTable

UNREACHABLE, TIME_EXCEEDED = 3, 11  # ICMP types (RFC 792)
PORT_UNREACHABLE, FRAGMENTATION_NEEDED = 3, 4  # codes of UNREACHABLE
_ERRORS = (UNREACHABLE, 4, TIME_EXCEEDED)  # types that speak about another packet
_IPIP_HEADER = 20  # bytes that a tunnel adds
_OVER = (State.TIME_WAIT, State.CLOSE)  # a client may use its port again
_FTP_DATA = 20


class Director:
    """The tables of one director, and what it decides by them.

    `method` and `scheduler` hold for rules that name none, as in 1999, when both were compiled
    into the kernel. `mtu_of` gives the MTU in bytes on the way to an address.
    """

    def __init__(
        self,
        *,
        method: Method = Method.NAT,
        scheduler: str = "wrr",
        conn_tab_bits: int = DEFAULT_BITS,
        mtu_of: Callable[[str], int] = lambda _address: 1500,
        on_event: Callable[[Event], None] = lambda _event: None,
    ) -> None:
        self.services = Rules(method, scheduler)
        self.connections = ConnectionTable(conn_tab_bits)
        self._templates = Templates()
        self._ftp = FtpHelper(self._expect)
        self._mtu_of = mtu_of
        self._on_event = on_event

    def apply(self, commands: Sequence[Command], now: float) -> None:
        """Change the rules by all of `commands` at once; raises LvsError with nothing changed."""
        self.services.apply(commands)
        for command in commands:
            self._on_event(Event("rules", now, {"command": str(command)}))

    def vips(self) -> set[str]:
        """The addresses that services listen on."""
        return self.services.vips()

    def expire(self, now: float) -> int:
        """End the connections and templates whose time has come; how many connections that were."""
        ended = 0
        for connection in self.connections.expired(now):
            self._uncount(connection)
            self._on_event(Event("expired", now, connection.as_dict(now)))
            ended += 1
        self._templates.expire(now)
        return ended

    def decide(self, packet: Packet, now: float) -> Decision:
        """What becomes of `packet`; never raises, whatever is in it."""
        if packet.protocol == ICMP:
            return self._decide_error(packet)
        if packet.protocol not in (TCP, UDP):
            return Local(("neither TCP, UDP nor ICMP",))
        if packet.fragment_offset or packet.more_fragments:
            return self._decide_fragment(packet)
        connection = self._known_request(packet, now)
        if connection is not None:
            return self._request(connection, packet, now, "known connection")
        connection = self.connections.reply(packet.protocol, packet.source, packet.destination)
        if connection is not None and connection.method is Method.NAT:
            return self._reply(connection, packet, now)
        return self._decide_new(packet, now)

    # ---- packets of known connections ----

    def _known_request(self, packet: Packet, now: float) -> Connection | None:
        """The packet's connection; one that is over makes way for a new one from the same port."""
        find = self.connections.request
        connection = find(packet.protocol, packet.source, packet.destination)
        if connection is None:
            anyone = Endpoint(packet.source.address, 0)
            connection = find(packet.protocol, anyone, packet.destination)
            if connection is not None:
                self.connections.name_client(connection, packet.source)
        elif connection.state in _OVER and packet.flags & (SYN | RST | FIN) == SYN:
            self._end(connection, now)
            return None
        return connection

    def _request(self, connection: Connection, packet: Packet, now: float, why: str) -> Decision:
        server = connection.server
        if not server.listed:
            return self._drop(
                packet, now, f"real server {server.address} was deleted; the connection waits for it"
            )
        self._follow(connection, packet, View.IN if connection.method is Method.NAT else View.HALF, now)
        server.packets_in += 1
        server.bytes_in += packet.length
        refusal = self._refusal(packet, connection.server_end.address, connection.method)
        if refusal is not None:
            return self._answer(packet, now, refusal)
        reasons = (why, f"{connection.state.value} at {connection.server_end}")
        if connection.method is not Method.NAT:
            return Forward(
                connection.method,
                packet.source,
                packet.destination,
                connection.server_end.address,
                connection,
                reasons,
            )
        shift = connection.shift_out
        self._ftp.from_client(connection, packet, now)
        return Forward(
            Method.NAT,
            packet.source,
            connection.server_end,
            connection.server_end.address,
            connection,
            reasons,
            acknowledgement_delta=shift.for_acknowledgement(packet.acknowledgement) if shift else 0,
        )

    def _reply(self, connection: Connection, packet: Packet, now: float) -> Decision:
        self._follow(connection, packet, View.OUT, now)
        connection.server.packets_out += 1
        connection.server.bytes_out += packet.length
        refusal = self._refusal(packet, connection.client.address, Method.NAT)
        if refusal is not None:
            return self._answer(packet, now, refusal)
        payload = self._ftp.from_server(connection, packet, now)
        shift = connection.shift_out
        return Forward(
            Method.NAT,
            connection.vip,
            packet.destination,
            packet.destination.address,
            connection,
            ("reply of a known connection", connection.state.value),
            sequence_delta=shift.for_sequence(packet.sequence) if shift else 0,
            payload=payload,
        )

    # ---- new connections ----

    def _decide_new(self, packet: Packet, now: float) -> Decision:
        service = self.services.find(packet.protocol, packet.destination)
        if packet.protocol == TCP and packet.flags & (SYN | RST) != SYN:
            return Local(("no such connection, and only a SYN opens one",))
        if packet.source.port == _FTP_DATA and packet.protocol == TCP:
            return Local(("a connection from port 20 is never scheduled",))
        if service is None:
            return self._decide_related(packet, now)
        picked = self._pick(service, packet, now)
        if picked is None:
            refusal = Answer(UNREACHABLE, PORT_UNREACHABLE, (f"{service} has no real server available",))
            return self._answer(packet, now, refusal)
        server, why = picked
        return self._open(service, server, packet, now, f"{service} matched; {why}")

    def _decide_related(self, packet: Packet, now: float) -> Decision:
        """A port without a rule: part of an ftp session in VS-TUN and VS-DR, or the kernel's business."""
        template = self._templates.find(packet.source.address, packet.destination.address, now)
        if template is None or packet.protocol != TCP:
            return Local((f"no virtual service at {packet.destination}",))
        why = "the client's ftp session is with this real server"
        return self._open(template.service, template.server, packet, now, why)

    def _pick(self, service: VirtualService, packet: Packet, now: float) -> tuple[RealServer, str] | None:
        """The server of the client's ftp session if there is one, else the scheduler's choice."""
        client, vip = packet.source.address, packet.destination.address
        if self._ftp.is_control(service):
            template = self._templates.find(client, vip, now)
            if template is not None and template.server.available:
                return template.server, "the client's ftp session is with this real server"
        picked = service.scheduler.pick(service.servers, packet)
        if picked and self._ftp.is_control(service) and picked[0].method is not Method.NAT:
            self._templates.add(client, vip, service, picked[0], now)
        return picked

    def _open(
        self, service: VirtualService, server: RealServer, packet: Packet, now: float, why: str
    ) -> Decision:
        port = server.address.port if server.method is Method.NAT else packet.destination.port
        server_end = Endpoint(server.address.address, port)
        connection = Connection(
            packet.protocol, packet.source, packet.destination, server_end, server, service
        )
        self._keep(connection, now)
        self._on_event(Event("new", now, {**connection.as_dict(now), "why": why}))
        return self._request(connection, packet, now, why)

    def _expect(
        self, control: Connection, client: Endpoint, vip: Endpoint, server_end: Endpoint, now: float
    ) -> None:
        """Let a data connection in that the ftp helper has read about; `client` may have port 0."""
        if self.connections.request(TCP, client, vip) is not None:
            return
        connection = Connection(TCP, client, vip, server_end, control.server, control.service)
        connection.state = State.LISTEN
        self._keep(connection, now)
        self._on_event(Event("new", now, {**connection.as_dict(now), "why": "announced by ftp"}))

    # ---- ICMP and fragments ----

    def _decide_error(self, packet: Packet) -> Decision:
        about = packet.embedded
        if packet.icmp_type not in _ERRORS or about is None:
            return Local(("ICMP, and no error about a connection",))
        find = self.connections
        connection = find.request(about.protocol, about.destination, about.source)
        if connection is not None:
            return self._error_to_server(connection, packet)
        connection = find.reply(about.protocol, about.destination, about.source)
        if connection is not None and connection.method is Method.NAT:
            return self._error_to_client(connection)
        return Local(("ICMP error about no known connection",))

    @staticmethod
    def _error_to_server(connection: Connection, packet: Packet) -> Decision:
        """Somebody on the client's side could not deliver a reply: its sender has to hear of it."""
        nat = connection.method is Method.NAT
        server = Endpoint(connection.server_end.address, 0)
        return Forward(
            connection.method,
            packet.source,
            server if nat else packet.destination,
            server.address,
            connection,
            ("ICMP error about a reply of a known connection",),
            embedded_source=connection.server_end if nat else None,
        )

    @staticmethod
    def _error_to_client(connection: Connection) -> Decision:
        """Somebody on the real servers' side could not deliver a request: the client has to hear of it."""
        client = Endpoint(connection.client.address, 0)
        return Forward(
            Method.NAT,
            Endpoint(connection.vip.address, 0),
            client,
            client.address,
            connection,
            ("ICMP error about a request of a known connection",),
            embedded_destination=connection.vip,
        )

    def _decide_fragment(self, packet: Packet) -> Decision:
        if packet.destination.address in self.vips():
            return Drop(("a fragment: only whole packets are balanced",))
        return Local(("a fragment, not for a virtual service",))

    # ---- keeping count ----

    def _follow(self, connection: Connection, packet: Packet, view: View, now: float) -> None:
        """Move the connection to the state that the packet leads to, and its counters with it."""
        before = connection.state
        after = follow(connection.protocol, before, view, packet.flags)
        if after is not before:
            self._uncount(connection)
            connection.state = after
            self._count(connection)
            self._on_event(Event("state", now, {**connection.as_dict(now), "before": before.value}))
        self.connections.keep(connection, now + TIMEOUTS[after])
        self._templates.renew(connection.client.address, connection.vip.address, now)

    def _keep(self, connection: Connection, now: float) -> None:
        connection.server.connections += 1
        self._count(connection)
        self.connections.add(connection, now + TIMEOUTS[connection.state])

    def _end(self, connection: Connection, now: float) -> None:
        self.connections.remove(connection)
        self._uncount(connection)
        self._on_event(Event("expired", now, connection.as_dict(now)))

    @staticmethod
    def _count(connection: Connection) -> None:
        if connection.active:
            connection.server.active += 1
        else:
            connection.server.inactive += 1

    @staticmethod
    def _uncount(connection: Connection) -> None:
        if connection.active:
            connection.server.active -= 1
        else:
            connection.server.inactive -= 1

    # ---- what is not forwarded ----

    def _refusal(self, packet: Packet, to: str, method: Method) -> Answer | None:
        """Why a packet can't go on: it has been on the way too long, or is too long for the way."""
        if packet.ttl <= 1:
            return Answer(TIME_EXCEEDED, 0, (f"TTL {packet.ttl}",))
        mtu = self._mtu_of(to) - (_IPIP_HEADER if method is Method.TUN else 0)
        if packet.dont_fragment and packet.length > mtu:
            reason = f"{packet.length} bytes with DF, and {mtu} fit on the way to {to}"
            return Answer(UNREACHABLE, FRAGMENTATION_NEEDED, (reason,), mtu)
        return None

    def _answer(self, packet: Packet, now: float, answer: Answer) -> Answer:
        self._report("answered", packet, now, answer.reasons)
        return answer

    def _drop(self, packet: Packet, now: float, reason: str) -> Drop:
        self._report("dropped", packet, now, (reason,))
        return Drop((reason,))

    def _report(self, kind: str, packet: Packet, now: float, reasons: tuple[str, ...]) -> None:
        data = {
            "source": str(packet.source),
            "destination": str(packet.destination),
            "why": "; ".join(reasons),
        }
        self._on_event(Event(kind, now, data))
