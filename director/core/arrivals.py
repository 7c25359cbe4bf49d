"""The first packet of a connection: which service it asks for, and which real server it gets.

    a service's rule matches      -> the client's template, or the scheduler, names a server
    it matches, but nobody is there  -> the client is told that the port is unreachable
    no rule matches               -> the packet is the director's own kernel's business

Source: Linux, ip_vs_schedule; paper, section 2.
"""

from __future__ import annotations

from director.core.connections import Connection, Lifecycle, Table
from director.core.decision import Decision, Pass, Reject
from director.core.errors import SchedulerFailed
from director.core.events import Trace
from director.core.ftp import CONTROL_PORT, DATA_PORT
from director.core.icmp import PORT_UNREACHABLE, UNREACHABLE
from director.core.known import Known
from director.core.overload import SCAN_LIMIT, Overload, pick_victim
from director.core.packet import RST, SYN, TCP, UDP, Endpoint, Packet
from director.core.persistence import Template, Templates, key_for
from director.core.real_server import RealServer
from director.core.rules import Rules
from director.core.service import VirtualService

Chosen = tuple[RealServer, Endpoint, str, Template | None]  # the server, its end, why, and by which template


class Arrivals:
    def __init__(
        self,
        rules: Rules,
        connections: Table,
        templates: Templates,
        life: Lifecycle,
        known: Known,
        overload: Overload,
        trace: Trace,
    ) -> None:
        self._rules = rules
        self._connections = connections
        self._templates = templates
        self._life = life
        self._known = known
        self._overload = overload
        self._trace = trace

    def decide(self, packet: Packet, now: float) -> Decision:
        """What becomes of a packet that belongs to no connection."""
        stray = self._stray(packet, now)
        if stray is not None:
            return stray
        service = self._rules.find(packet)
        if service is None:
            return Pass((f"no virtual service at {packet.destination}",))
        if self._overload.drops_packet():
            return self._trace.drop(packet, now, "drop_packet: it is this one's turn")
        policy, key = service.policy, service.key
        if not (policy.persistent or key.mark or packet.destination == key.address):
            return self._without_rule(service, packet)
        try:
            chosen = self._choose(service, packet, now)
        except SchedulerFailed as error:
            return self._unreachable(packet, now, str(error))
        if chosen is None:
            return self._nobody(service, packet, now)
        return self._open(service, chosen, packet, now)

    def _stray(self, packet: Packet, now: float) -> Decision | None:
        """What becomes of a packet that can't open a connection."""
        sysctls = self._rules.sysctls
        tcp, flags = packet.protocol == TCP, packet.flags
        told = sysctls.nat_icmp_send and not (tcp and flags & RST)
        if told and self._rules.serves(packet.protocol, packet.source):
            why = "nat_icmp_send: a real server's packet, of no known connection"
            return self._trace.reject(packet, now, Reject(UNREACHABLE, PORT_UNREACHABLE, (why,)))
        if tcp and (flags & RST or not (flags & SYN or sysctls.sloppy_tcp)):
            return Pass(("no such connection, and only a SYN opens one",))
        if packet.source.port == DATA_PORT:
            return Pass(("a connection from port 20 is never scheduled",))
        return None

    # ---- which server ----

    def _choose(self, service: VirtualService, packet: Packet, now: float) -> Chosen | None:
        if service.policy.persistent:
            return self._by_template(service, packet, now)
        picked = service.scheduler.pick(service.servers, packet, now)
        if picked is None:
            return None
        server, why = picked
        return server, _end(server, server.address.port or packet.destination.port), why, None

    def _by_template(self, service: VirtualService, packet: Packet, now: float) -> Chosen | None:
        """The server that the client has had; the scheduler's choice for one that has none becomes it."""
        key = key_for(service, packet)
        template = self._templates.find(key)
        quiescent_too = not self._rules.sysctls.expire_quiescent_template
        why = f"persistent: {key.network} is with this real server"
        if template is not None and not template.usable(quiescent_too=quiescent_too):
            self._templates.invalidate(template)
            template = None
        if template is None:
            picked = service.scheduler.pick(service.servers, packet, now)
            if picked is None:
                return None
            server, why = picked
            end = _end(server, server.address.port if key.vip.port else 0)
            template = Template(key, service, server, end, service.policy.persistent)
        own = packet.destination.port == service.key.address.port
        server = template.server
        port = server.address.port if own and server.address.port else packet.destination.port
        return server, _end(server, port), why, template

    # ---- the connection ----

    def _open(self, service: VirtualService, chosen: Chosen, packet: Packet, now: float) -> Decision:
        server, end, why, template = chosen
        own = service.key.address
        vip = own if packet.destination == own else packet.destination  # thousands share one object
        connection = Connection(packet.protocol, packet.source, vip, end, server, service, template)
        once = service.policy.one_packet and packet.protocol == UDP
        reasons = (f"service {service} matched", why)
        if not once and not self._room(now):
            return self._trace.drop(packet, now, f"all {self._overload.limit} places of the table are taken")
        server.stats.connections += 1
        service.stats.connections += 1
        if template is not None:
            self._keep(template, now)
        if once:
            return self._known.onward(connection, packet, now, (*reasons, "one-packet scheduling"))
        self._life.open(connection, now, "; ".join(reasons))
        return self._known.request(connection, packet, now, reasons)

    def _keep(self, template: Template, now: float) -> None:
        if self._templates.find(template.key) is template:
            self._templates.renew(template, now)
        else:
            self._templates.add(template, now)

    def _room(self, now: float) -> bool:
        """Whether there is a place, if need be that of a connection which matters less."""
        if len(self._connections) + len(self._templates) < self._overload.limit:
            return True
        goes = pick_victim(self._connections.scan(SCAN_LIMIT))
        if goes is None:
            return False
        self._life.evict(goes, now)
        return True

    # ---- nobody ----

    def _nobody(self, service: VirtualService, packet: Packet, now: float) -> Decision:
        if service.key.address.port == CONTROL_PORT != packet.destination.port:
            return self._without_rule(service, packet)
        return self._unreachable(packet, now, f"service {service} has no real server available")

    def _unreachable(self, packet: Packet, now: float, why: str) -> Decision:
        return self._trace.reject(packet, now, Reject(UNREACHABLE, PORT_UNREACHABLE, (why,)))

    @staticmethod
    def _without_rule(service: VirtualService, packet: Packet) -> Decision:
        return Pass((f"no virtual service at {packet.destination}; {service} is only for its own port",))


def _end(server: RealServer, port: int) -> Endpoint:
    """A server's end of a connection; thousands share one object."""
    return server.address if server.address.port == port else Endpoint(server.address.address, port)
