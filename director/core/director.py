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

from director.core import icmp
from director.core.commands import Command
from director.core.connection import Connection
from director.core.decision import Answer, Decision, Drop, Forward, Local, Method
from director.core.events import Event
from director.core.fragments import Fragments
from director.core.ftp import DATA_PORT
from director.core.ftp_helper import FtpHelper, Session, is_control
from director.core.lifecycle import Lifecycle
from director.core.packet import ACK, FIN, ICMP, RST, SYN, TCP, UDP, Endpoint, Packet
from director.core.persistence import Template, Templates
from director.core.rules import Rules
from director.core.service import RealServer, VirtualService
from director.core.states import State, Timeouts, View
from director.core.table import DEFAULT_BITS, ConnectionTable

DEFAULT_TIMEOUTS = Timeouts()
_IPIP_HEADER = 20  # bytes that a tunnel adds
_OVER = (State.TIME_WAIT, State.CLOSE)  # a client may use its port again
_FIRST_FREE_PORT = 1024  # below are the well-known ones, where no ftp server waits for data
_INSIDE_TCP_HEADER = 1  # a fragment that starts there could change a header (RFC 1858)

Picked = tuple[RealServer, str, Template | None]


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
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        mtu_of: Callable[[str], int] = lambda _address: 1500,
        on_event: Callable[[Event], None] = lambda _event: None,
    ) -> None:
        self.services = Rules(method, scheduler)
        self.connections = ConnectionTable(conn_tab_bits)
        self._life = Lifecycle(self.connections, timeouts, on_event)
        self._templates = Templates()
        self._fragments = Fragments()
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
        ended = self._life.expire(now)
        self._templates.expire(now)
        return ended

    def decide(self, packet: Packet, now: float) -> Decision:
        """What becomes of `packet`; never raises, whatever is in it."""
        if packet.protocol == ICMP:
            return icmp.decide(packet, self.connections)
        if packet.protocol not in (TCP, UDP):
            return Local(("neither TCP, UDP nor ICMP",))
        if packet.fragment_offset or packet.more_fragments:
            return self._decide_fragment(packet, now)
        return self._decide_whole(packet, now)

    def _decide_whole(self, packet: Packet, now: float) -> Decision:
        """What becomes of a packet that shows its ports."""
        connection = self._known_request(packet, now)
        if connection is not None:
            return self._request(connection, packet, now, ("known connection",))
        connection = self.connections.reply(packet.protocol, packet.source, packet.destination)
        if connection is not None and connection.method is Method.NAT:
            return self._reply(connection, packet, now)
        return self._decide_new(packet, now)

    # ---- packets of known connections ----

    def _known_request(self, packet: Packet, now: float) -> Connection | None:
        """The packet's connection, or the one that ftp has announced for it.

        One that is over makes way when the client opens another from the same port.
        """
        find = self.connections.request
        known = find(packet.protocol, packet.source, packet.destination)
        opens = packet.protocol == TCP and packet.flags & (SYN | ACK | RST | FIN) == SYN
        if not opens or (known is not None and known.state not in _OVER):
            return known
        announced = find(TCP, Endpoint(packet.source.address, 0), packet.destination)
        if known is not None:
            if announced is None and known.control is not None:
                return known
            self._life.end(known, now)
        if announced is not None:
            self.connections.name_client(announced, packet.source)
        return announced

    def _request(
        self, connection: Connection, packet: Packet, now: float, reasons: tuple[str, ...]
    ) -> Decision:
        server, nat = connection.server, connection.method is Method.NAT
        if not server.listed:
            why = f"real server {server.address} was deleted; the connection waits for it"
            return self._drop(packet, now, why)
        self._life.follow(connection, packet, View.IN if nat else View.HALF, now)
        if nat and packet.flags & SYN and connection.state is State.SYN_RECV and _is_ftp(connection):
            connection.ftp = Session()
        server.packets_in += 1
        server.bytes_in += packet.length
        to = connection.server_end
        refusal = self._refusal(packet, to.address, connection.method)
        if refusal is not None:
            return self._answer(packet, now, refusal)
        acknowledged = 0
        if connection.ftp is not None:
            why_not = self._ftp_refusal(packet) or self._ftp.from_client(
                connection, connection.ftp, packet, now
            )
            if why_not is not None:
                return self._drop(packet, now, why_not)
            acknowledged = connection.ftp.edits.for_acknowledgement(packet.acknowledgement)
        return Forward(
            connection.method,
            packet.source,
            to if nat else packet.destination,
            to.address,
            connection,
            (*reasons, f"{connection.state.value} at {to}"),
            acknowledgement_delta=acknowledged,
        )

    def _reply(self, connection: Connection, packet: Packet, now: float) -> Decision:
        self._life.follow(connection, packet, View.OUT, now)
        connection.server.packets_out += 1
        connection.server.bytes_out += packet.length
        refusal = self._refusal(packet, connection.client.address, Method.NAT)
        if refusal is not None:
            return self._answer(packet, now, refusal)
        said, payload = 0, None
        if connection.ftp is not None:
            why_not = self._ftp_refusal(packet) or self._ftp.from_server(
                connection, connection.ftp, packet, now
            )
            if why_not is not None:
                return self._drop(packet, now, why_not)
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

    @staticmethod
    def _ftp_refusal(packet: Packet) -> str | None:
        return "ftp: a fragment of the control connection" if packet.more_fragments else None

    # ---- new connections ----

    def _decide_new(self, packet: Packet, now: float) -> Decision:
        if packet.protocol == TCP and packet.flags & (SYN | RST) != SYN:
            return Local(("no such connection, and only a SYN opens one",))
        if packet.source.port == DATA_PORT and packet.protocol == TCP:
            return Local(("a connection from port 20 is never scheduled",))
        service = self.services.find(packet.protocol, packet.destination)
        if service is None:
            return self._decide_related(packet, now)
        picked = self._pick(service, packet, now)
        if picked is None:
            why = f"service {service} has no real server available"
            return self._answer(packet, now, Answer(icmp.UNREACHABLE, icmp.PORT_UNREACHABLE, (why,)))
        server, why, template = picked
        return self._open(service, server, template, packet, now, (f"service {service} matched", why))

    def _decide_related(self, packet: Packet, now: float) -> Decision:
        """A port without a rule: part of an ftp session in VS-TUN and VS-DR, or the kernel's business."""
        port = packet.destination.port
        if packet.protocol == TCP and (port == DATA_PORT or port >= _FIRST_FREE_PORT):
            template = self._templates.find(packet.source.address, packet.destination.address, now)
            if template is not None:
                why = ("the client's ftp session is with this real server",)
                return self._open(template.service, template.server, template, packet, now, why)
        return Local((f"no virtual service at {packet.destination}",))

    def _pick(self, service: VirtualService, packet: Packet, now: float) -> Picked | None:
        """The server of the client's ftp session if there is one, else the scheduler's choice."""
        if not is_control(service):
            picked = service.scheduler.pick(service.servers, packet, now)
            return (*picked, None) if picked else None
        client, vip = packet.source.address, packet.destination.address
        template = self._templates.find(client, vip, now)
        if template is not None:
            return template.server, "the client's ftp session is with this real server", template
        picked = service.scheduler.pick(service.servers, packet, now)
        if picked is None:
            return None
        if picked[0].method is not Method.NAT:
            template = self._templates.add(client, vip, service, picked[0], now)
        return (*picked, template)

    def _open(
        self,
        service: VirtualService,
        server: RealServer,
        template: Template | None,
        packet: Packet,
        now: float,
        reasons: tuple[str, ...],
    ) -> Decision:
        own = service.key.address
        vip = own if packet.destination == own else packet.destination  # thousands share one object
        end = server.address
        if server.method is not Method.NAT and end.port != vip.port:
            end = Endpoint(end.address, vip.port)
        connection = Connection(packet.protocol, packet.source, vip, end, server, service, template)
        server.connections += 1
        self._life.begin(connection, now, "; ".join(reasons))
        return self._request(connection, packet, now, reasons)

    def _expect(
        self, control: Connection, client: Endpoint, vip: Endpoint, server_end: Endpoint, now: float
    ) -> None:
        """Let a data connection in that the ftp helper has read about; `client` may have port 0."""
        known = self.connections.request(TCP, client, vip)
        if known is not None and known.server_end == server_end:
            self._life.become(known, State.LISTEN, now)
            return
        if known is not None:
            self._life.end(known, now)
        connection = Connection(TCP, client, vip, server_end, control.server, control.service, control)
        connection.method, connection.state = control.method, State.LISTEN
        self._life.begin(connection, now, "announced by ftp")

    # ---- fragments ----

    def _decide_fragment(self, packet: Packet, now: float) -> Decision:
        """A first fragment shows its ports; a later one goes where its first has gone."""
        if packet.identification and not packet.fragment_offset:
            decision = self._decide_whole(packet, now)
            if isinstance(decision, Forward):
                self._fragments.remember(packet, decision, now)
            return decision
        if packet.identification and packet.fragment_offset != _INSIDE_TCP_HEADER:
            forward = self._fragments.follow(packet, now)
            if forward is not None:
                return self._refusal(packet, forward.next_hop, forward.method) or forward
        if packet.destination.address in self.vips():
            return self._drop(packet, now, "a fragment, and the first of its packet is not known")
        return Local(("a fragment, not for a virtual service",))

    # ---- what is not forwarded ----

    def _refusal(self, packet: Packet, to: str, method: Method) -> Answer | None:
        """Why a packet can't go on: it has been on the way too long, or is too long for the way."""
        if packet.ttl <= 1:
            return Answer(icmp.TIME_EXCEEDED, 0, (f"TTL {packet.ttl}",))
        if not packet.dont_fragment:
            return None
        mtu = self._mtu_of(to) - (_IPIP_HEADER if method is Method.TUN else 0)
        if packet.length > mtu:
            reason = f"{packet.length} bytes with DF, and {mtu} fit on the way to {to}"
            return Answer(icmp.UNREACHABLE, icmp.FRAGMENTATION_NEEDED, (reason,), mtu)
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


def _is_ftp(connection: Connection) -> bool:
    """Whether the helper reads it: a control connection, and not the data of one."""
    return is_control(connection.service) and connection.vip == connection.service.key.address
