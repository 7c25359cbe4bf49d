"""What happens to a packet: the director's decisions, in the order in which they are taken.

    a standby director (backup_only)                -> everything to the director's own kernel
    a fragment                                      -> held until its packet is complete
    IP options that are wrong, or a source route    -> rejected or dropped
    an ICMP error about a known connection          -> to the end it concerns (icmp.py)
    a client's packet of a known connection         -> to that connection's real server
    a real server's packet of a known connection    -> to the client, from the VIP (VS-NAT only)
    the first packet of a new connection            -> to the real server that is chosen now
    anything else                                   -> to the director's own kernel

Read it top to bottom. Source: Linux, ip_vs_in, ip_vs_out and ip_vs_schedule; paper, section 2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from director.core import icmp, ip_options
from director.core.connections import Connection, Lifecycle, Tables
from director.core.decision import Decision, Drop, Forward, Pass, Reject
from director.core.errors import SchedulerFailed
from director.core.events import Trace
from director.core.family import IPV4, IPV6, family_of, is_martian
from director.core.ftp import CONTROL_PORT, DATA_PORT, Session
from director.core.ftp_helper import FtpHelper
from director.core.overload import SCAN_LIMIT, Overload, pick_victim
from director.core.packet import ANY_PORT, DESTINATION_OPTIONS, RST, SYN, TCP, UDP, Endpoint, Packet
from director.core.persistence import Template, key_for
from director.core.real_server import Method, RealServer
from director.core.rules import Rules
from director.core.service import VirtualService
from director.core.states import Direction, State

if TYPE_CHECKING:
    from director.core.sync import Sender

_OVER = (State.TIME_WAIT, State.CLOSE)  # the client may use its port again
_REUSE_FIN_WAIT = 2  # this bit of conn_reuse_mode adds FIN_WAIT
_BAD_CHECKSUM = "ftp: wrong checksum in the control connection"

Choice = tuple[RealServer, Endpoint, str, Template | None]  # server, its endpoint, why, the template used


class Forwarding:
    """Decides about packets by the rules and the tables, and keeps the tables up to date.

    `mtu_of` gives the MTU in bytes of the path to an address, `is_own` tells whether an address is one of the
    director's own or a broadcast address. `sender` sends connections to another director, if there is one;
    while `stands_by` is set, nothing is forwarded.
    """

    def __init__(
        self,
        rules: Rules,
        tables: Tables,
        lifecycle: Lifecycle,
        overload: Overload,
        trace: Trace,
        mtu_of: Callable[[str], int],
        is_own: Callable[[str], bool],
        *,
        ftp_helper: bool,
    ) -> None:
        self._rules = rules
        self._connections, self._templates = tables
        self._lifecycle = lifecycle
        self._overload = overload
        self._trace = trace
        self.mtu_of, self.is_own = mtu_of, is_own
        self._ftp = FtpHelper(self._expect)
        self._ftp_enabled = ftp_helper
        self._replaced: Connection | None = None
        self.sender: Sender | None = None
        self.stands_by = False

    def decide(self, packet: Packet, now: float) -> Decision:
        """The decision about `packet`; never raises, whatever the packet contains."""
        if self.stands_by:
            return Pass(("backup_only: this director is a backup",))
        if packet.protocol not in (TCP, UDP):
            return self._decide_other(packet, now)
        if packet.fragment_offset or packet.more_fragments:
            return self._decide_fragment(packet)
        if packet.options:
            refusal = self._check_options(packet, now)
            if refusal is not None:
                return refusal
        connection = self._find_in(packet)
        if connection is not None:
            self._count_replaced(now)
            return self._forward_request(connection, packet, now, ("known connection",))
        connection = self._find_out(packet)
        if connection is not None:
            return self._forward_reply(connection, packet, now)
        decision = self._decide_new(packet, now)
        self._count_replaced(now)
        return decision

    # ---- fragments, IP options, ICMP ----

    def _decide_other(self, packet: Packet, now: float) -> Decision:
        """Neither TCP nor UDP; but in a fragment of IPv6, another header may come before them."""
        if packet.is_icmp:
            return self._decide_icmp(packet, now)
        fragment = packet.fragment_offset or packet.more_fragments
        if fragment and packet.protocol == DESTINATION_OPTIONS and packet.family is IPV6:
            return self._decide_fragment(packet)
        return Pass(("not TCP, UDP or ICMP",))

    def _decide_fragment(self, packet: Packet) -> Decision:
        """Hold a fragment for a virtual service: only the complete packet has the ports."""
        if self._is_ours(packet):
            return Drop(("fragment: held until its packet is complete",), awaits_reassembly=True)
        return Pass(("fragment, not for a virtual service",))

    def _check_options(self, packet: Packet, now: float) -> Decision | None:
        """What the kernel refuses before it looks for a service.

        An ICMP error may come from anywhere, and a known connection's reply from a server that was deleted.
        """
        known = packet.is_icmp or self._find_out(packet) is not None
        if not (known or self._is_ours(packet)):
            return None
        try:
            if ip_options.check(packet.options):
                return None
        except ip_options.InvalidOption as error:
            if packet.is_icmp or not self._rules.is_vip(packet.destination.address):
                return self._trace.drop(packet, now, str(error))  # the host's kernel gets it too, and answers
            rejection = Reject(icmp.PARAMETER_PROBLEM, 0, (str(error),), pointer=error.pointer)
            return self._trace.reject(packet, now, rejection)
        return self._trace.drop(packet, now, "IP source route (accept_source_route is 0)")

    def _is_ours(self, packet: Packet) -> bool:
        """Whether it is to a VIP or from a VS-NAT real server, as far as its addresses tell."""
        rules = self._rules
        return rules.is_vip(packet.destination.address) or rules.has_server(packet.source.address)

    def _decide_icmp(self, packet: Packet, now: float) -> Decision:
        decision = icmp.decide(packet, self._connections)
        if packet.options and not isinstance(decision, Pass):
            return self._check_options(packet, now) or decision
        return decision

    # ---- known connections: finding ----

    def _find_in(self, packet: Packet) -> Connection | None:
        """The connection of a client's packet, or the one that the ftp helper expects.

        A connection that is over is replaced when its client opens another from the same port; with
        expire_nodest_conn, so is one whose server was deleted.
        """
        known = self._connections.find_in(packet.protocol, packet.source, packet.destination)
        opens = packet.protocol == TCP and packet.flags & SYN
        expected = None
        if opens and self._connections.expectations and (known is None or known.state in _OVER):
            any_port = Endpoint(packet.source.address, ANY_PORT)
            expected = self._connections.find_in(TCP, any_port, packet.destination)
        if known is not None and (expected is not None or self._is_replaced(known, opens=bool(opens))):
            self._connections.remove(known)
            self._replaced = known
            known = None
        if expected is not None:
            self._connections.fill_client_port(expected, packet.source)
            return expected
        return known

    def _is_replaced(self, known: Connection, *, opens: bool) -> bool:
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

    def _count_replaced(self, now: float) -> None:
        """A replaced connection counts as its server's load until the new one has its server."""
        if self._replaced is not None:
            self._lifecycle.count_end(self._replaced, now)
            self._replaced = None

    def _find_out(self, packet: Packet) -> Connection | None:
        """The connection of a VS-NAT real server's packet."""
        known = self._connections.find_out(packet.protocol, packet.source, packet.destination)
        return known if known is not None and known.method is Method.NAT else None

    # ---- known connections: forwarding ----

    def _forward_request(
        self, connection: Connection, packet: Packet, now: float, reasons: tuple[str, ...]
    ) -> Decision:
        """A client's packet, which moves its connection to another state."""
        server = connection.server
        if not server.configured:
            reason = f"real server {server.address} was deleted; connection kept until it returns or expires"
            return self._trace.drop(packet, now, reason)
        nat = connection.method is Method.NAT
        self._lifecycle.advance(connection, packet, Direction.INPUT if nat else Direction.INPUT_ONLY, now)
        begins = packet.flags & SYN and connection.state is State.SYN_RECV
        if nat and begins and self._ftp_enabled and connection.is_ftp_control:
            connection.ftp = Session()
        return self._send_to_server(connection, packet, now, reasons)

    def _send_to_server(
        self, connection: Connection, packet: Packet, now: float, reasons: tuple[str, ...]
    ) -> Decision:
        """A client's packet, whatever the state of its connection."""
        connection.packets += 1
        connection.count_in(packet.length)
        to, pmtu_disc = connection.server_endpoint, bool(self._rules.sysctls.pmtu_disc)
        refusal = self._check_ttl_and_mtu(packet, to.address, connection.method, now, pmtu_disc=pmtu_disc)
        if refusal is not None:
            return refusal
        acknowledgement_delta, session = 0, connection.ftp
        if session is not None:
            reason = _BAD_CHECKSUM if packet.bad_checksum() else None
            reason = reason or self._ftp.from_client(connection, session, packet, now)
            if reason is not None:
                return self._trace.drop(packet, now, reason)
            acknowledgement_delta = session.edits.for_acknowledgement(packet.acknowledgement)
        self._connections.store(connection)
        if self.sender is not None:
            self.sender.offer(connection, now)
        return Forward(
            connection.method,
            packet.source,
            to if connection.method is Method.NAT else packet.destination,
            to.address,
            connection.vip.address,
            (*reasons, f"{connection.state.value} at {to}"),
            acknowledgement_delta=acknowledgement_delta,
            may_fragment=not pmtu_disc,
            without_sack=session is not None and bool(packet.flags & SYN),
        )

    def _forward_reply(self, connection: Connection, packet: Packet, now: float) -> Decision:
        """A VS-NAT real server's packet, which moves its connection to another state."""
        session = connection.ftp
        if session is not None and packet.bad_checksum():
            return self._trace.drop(packet, now, _BAD_CHECKSUM)
        self._lifecycle.advance(connection, packet, Direction.OUTPUT, now)
        connection.count_out(packet.length)
        refusal = self._check_ttl_and_mtu(packet, connection.client.address, Method.NAT, now, pmtu_disc=True)
        if refusal is not None:
            return refusal
        sequence_delta, payload = 0, None
        if session is not None:
            reason = self._ftp.from_server(connection, session, packet, now)
            if reason is not None:
                return self._trace.drop(packet, now, reason)
            sequence_delta, payload = session.rewritten(packet)
        self._connections.store(connection)
        return Forward(
            Method.NAT,
            connection.vip,
            packet.destination,
            packet.destination.address,
            connection.vip.address,
            ("reply of a known connection", connection.state.value),
            sequence_delta=sequence_delta,
            payload=payload,
        )

    def _check_ttl_and_mtu(
        self, packet: Packet, to: str, method: Method, now: float, *, pmtu_disc: bool
    ) -> Decision | None:
        """The refusal of a packet that can't be forwarded to the address `to`, or None.

        Without `pmtu_disc`, a tunnel fragments what its sender has forbidden to fragment, except for IPv6.
        Source: RFC 1812, 5.3.1, for the time to live; RFC 1191 and 8201 for the length; RFC 2003 and 2473
        for a tunnel's.
        """
        if method is Method.LOCAL:
            return None
        if packet.ttl <= 1:
            expired = Reject(*packet.family.ttl_expired, (f"TTL {packet.ttl}: expired in transit",))
            return self._trace.reject(packet, now, expired)
        tunnel = method is Method.TUN
        if not (packet.dont_fragment or tunnel):
            return None
        mtu = self.mtu_of(to)
        if tunnel:
            inner, outer = packet.family, family_of(to)
            mtu -= outer.header
            narrow = icmp.too_narrow(inner, outer, mtu)
            if narrow:
                return self._trace.drop(packet, now, f"real server {to}: {narrow}")
            if not packet.dont_fragment or (inner is IPV4 and not pmtu_disc):
                return None
        largest = packet.largest_fragment or packet.length
        if largest <= mtu:
            return None
        fixed = "with DF set" if packet.family is IPV4 else "that may not be fragmented"
        reason = f"{largest} bytes {fixed}, but the path MTU to {to} is {mtu}"
        return self._trace.reject(packet, now, Reject(*packet.family.too_long, (reason,), mtu))

    def _expect(
        self, control: Connection, client: Endpoint, vip: Endpoint, server_endpoint: Endpoint, now: float
    ) -> None:
        """Expect a data connection that the ftp helper has read about; `client` may have ANY_PORT."""
        known = self._connections.find_in(TCP, client, vip)
        if known is not None and known.server_endpoint == server_endpoint:
            self._lifecycle.set_state(known, State.LISTEN, now)
            return
        if known is not None:
            self._lifecycle.end(known, now)
        connection = Connection(TCP, client, vip, server_endpoint, control.server, control.service, control)
        connection.method, connection.state = control.method, State.LISTEN
        self._lifecycle.open(connection, now, "expected by the ftp helper")

    # ---- new connections: which service ----

    def _decide_new(self, packet: Packet, now: float) -> Decision:
        """A packet that belongs to no connection."""
        decision = self._decide_unsolicited(packet, now)
        if decision is not None:
            return decision
        service = self._rules.find(packet)
        if service is None:
            return Pass((f"no virtual service at {packet.destination}",))
        source = packet.source.address
        if is_martian(source) or source in self._rules.service_addresses or self._is_own(packet):
            return self._trace.drop(packet, now, f"martian source {source}: no client has that address")
        if self._overload.drops_packet():
            return self._trace.drop(packet, now, f"drop_packet: 1 in {self._overload.drop_rate} is dropped")
        policy, key = service.policy, service.key
        if not (policy.persistent or key.mark or packet.destination == key.address):
            return _pass_other_port(service, packet)
        try:
            choice = self._choose(service, packet, now)
        except SchedulerFailed as error:
            return self._reject_unreachable(packet, now, str(error))
        if choice is not None:
            return self._open(service, choice, packet, now)
        if key.address.port == CONTROL_PORT != packet.destination.port:
            return _pass_other_port(service, packet)
        return self._reject_unreachable(packet, now, f"service {service} has no real server available")

    def _is_own(self, packet: Packet) -> bool:
        """Whether its source is this host's own: IPv6 does not check that (Linux: ip6_rcv_core)."""
        return packet.family is IPV4 and self.is_own(packet.source.address)

    def _decide_unsolicited(self, packet: Packet, now: float) -> Decision | None:
        """The decision about a packet that can't open a connection; None for one that can."""
        sysctls = self._rules.sysctls
        tcp, flags = packet.protocol == TCP, packet.flags
        rejects = sysctls.nat_icmp_send and not (tcp and flags & RST)
        if rejects and self._rules.serves(packet.protocol, packet.source):
            reason = "nat_icmp_send: from a real server, but of no known connection"
            return self._reject_unreachable(packet, now, reason)
        if tcp and (flags & RST or not (flags & SYN or sysctls.sloppy_tcp)):
            return Pass(("no known connection, and only a SYN opens one",))
        if packet.source.port == DATA_PORT:
            return Pass(("connections from port 20 are never scheduled",))
        return None

    def _reject_unreachable(self, packet: Packet, now: float, reason: str) -> Decision:
        return self._trace.reject(packet, now, Reject(*packet.family.port_unreachable, (reason,)))

    # ---- new connections: which real server ----

    def _choose(self, service: VirtualService, packet: Packet, now: float) -> Choice | None:
        if service.policy.persistent:
            return self._choose_by_template(service, packet, now)
        picked = service.scheduler.pick(service.servers, packet, now)
        if picked is None:
            return None
        server, reason = picked
        return server, _endpoint(server, server.address.port or packet.destination.port), reason, None

    def _choose_by_template(self, service: VirtualService, packet: Packet, now: float) -> Choice | None:
        """The server of the client's template, or the scheduler's choice with a new template."""
        key = key_for(service, packet)
        template = self._templates.find(key)
        quiesced_too = not self._rules.sysctls.expire_quiescent_template
        reason = f"persistent: {key.network} already has this real server"
        if template is not None and not template.usable(quiesced_too=quiesced_too):
            self._templates.invalidate(template)
            template = None
        if template is None:
            picked = service.scheduler.pick(service.servers, packet, now)
            if picked is None:
                return None
            server, reason = picked
            endpoint = _endpoint(server, server.address.port if key.vip.port else 0)
            template = Template(key, service, server, endpoint, service.policy.persistent)
        own_port = packet.destination.port == service.key.address.port
        server = template.server
        port = server.address.port if own_port and server.address.port else packet.destination.port
        return server, _endpoint(server, port), reason, template

    # ---- new connections: opening ----

    def _open(self, service: VirtualService, choice: Choice, packet: Packet, now: float) -> Decision:
        server, endpoint, reason, template = choice
        own = service.key.address
        vip = own if packet.destination == own else packet.destination  # thousands share one object
        connection = Connection(packet.protocol, packet.source, vip, endpoint, server, service, template)
        one_packet = service.policy.one_packet and packet.protocol == UDP
        reasons = (f"service {service} matched", reason)
        if not one_packet and not self._make_room(now):
            return self._trace.drop(packet, now, f"connection table full ({self._overload.limit} entries)")
        server.stats.connections += 1
        service.stats.connections += 1
        if template is not None:
            self._use_template(template, now)
        if one_packet:
            return self._send_to_server(connection, packet, now, (*reasons, "one-packet scheduling"))
        self._lifecycle.open(connection, now, "; ".join(reasons))
        return self._forward_request(connection, packet, now, reasons)

    def _use_template(self, template: Template, now: float) -> None:
        if self._templates.find(template.key) is template:
            self._templates.renew(template, now)
        else:
            self._templates.add(template, now)

    def _make_room(self, now: float) -> bool:
        """Whether the table has a free entry, if need be after evicting a connection that matters less."""
        if len(self._connections) + len(self._templates) < self._overload.limit:
            return True
        victim = pick_victim(self._connections.scan(SCAN_LIMIT))
        if victim is None:
            return False
        self._lifecycle.evict(victim, now)
        return True


def _endpoint(server: RealServer, port: int) -> Endpoint:
    """A server's endpoint of a connection; thousands share one object."""
    return server.address if server.address.port == port else Endpoint(server.address.address, port)


def _pass_other_port(service: VirtualService, packet: Packet) -> Pass:
    return Pass((f"no virtual service at {packet.destination}; {service} serves its own port only",))
