"""ICMP errors: which end of a known connection has to hear of one, and how it has to read.

An error quotes the packet that it is about. Its sender saw that packet as the director had
rewritten it, and whoever gets the error has to recognise the packet that it sent itself. It counts as
a packet of the connection, one about a tunnel excepted. Source: RFC 792; RFC 5508 for address
translators; Linux, ip_vs_in_icmp and ip_vs_out_icmp, for what is counted.
"""

from __future__ import annotations

from director.core.connections import Connection, Table
from director.core.decision import Decision, Drop, Forward, Pass, PathMtu, Reject
from director.core.packet import IPIP, Endpoint, Packet
from director.core.real_server import Method

UNREACHABLE, SOURCE_QUENCH, TIME_EXCEEDED, PARAMETER_PROBLEM = 3, 4, 11, 12  # types
PORT_UNREACHABLE, FRAGMENTATION_NEEDED = 3, 4  # codes of UNREACHABLE
NOT_REASSEMBLED = 1  # code of TIME_EXCEEDED
IPIP_HEADER = 20  # bytes that a tunnel adds
SMALLEST_MTU = 552  # bytes that any way is believed to pass
_ERRORS = (UNREACHABLE, SOURCE_QUENCH, TIME_EXCEEDED)


def decide(packet: Packet, connections: Table) -> Decision:
    """What becomes of an ICMP packet; a ping of the VIP is for the director itself."""
    about = packet.embedded
    if packet.icmp_type not in _ERRORS or about is None:
        return Pass(("ICMP, and no error about a connection",))
    if packet.fragment_offset or packet.more_fragments:
        return Pass(("a fragment of an ICMP error",))
    if about.protocol == IPIP:
        return _about_tunnel(packet, about, connections)
    connection = connections.find_in(about.protocol, about.destination, about.source)
    if connection is not None:
        return _to_server(connection, packet, connections)
    connection = connections.find_out(about.protocol, about.destination, about.source)
    if connection is not None and connection.method is Method.NAT:
        return _to_client(connection, packet, connections)
    return Pass(("ICMP error about no known connection",))


def _about_tunnel(packet: Packet, about: Packet, connections: Table) -> Decision:
    """A router on the way to a real server could not pass on what a tunnel has carried.

    It tells the director, which has sent the packet; the director tells the client. What fits
    into a tunnel is shorter by the tunnel's own header. RFC 2003, section 4. Anybody can send such an
    error: it teaches nothing unless it is about a tunnel that carries a known connection, and never
    less than Linux believes (route/min_pmtu).
    """
    inner = about.embedded
    connection = connections.find_in(inner.protocol, inner.source, inner.destination) if inner else None
    server = connection.server_endpoint.address if connection else ""
    if inner is None or connection is None or connection.method is not Method.TUN:
        return Pass(("ICMP error about a tunnel, and about no known connection",))
    if about.destination.address != server:
        return Pass((f"ICMP error about a tunnel, and the connection's is that to {server}",))
    reason = f"ICMP error from the tunnel to {server}"
    if (packet.icmp_type, packet.icmp_code) != (UNREACHABLE, FRAGMENTATION_NEEDED):
        return Reject(packet.icmp_type, packet.icmp_code, (reason,), tunnelled=True)
    learnt = PathMtu(server, max(SMALLEST_MTU, packet.mtu))
    if not inner.dont_fragment:
        return Drop((f"{reason}, of a packet that may be fragmented: learnt",), learnt)
    mtu = learnt.mtu - IPIP_HEADER
    return Reject(packet.icmp_type, packet.icmp_code, (reason,), mtu, tunnelled=True, path_mtu=learnt)


def _to_server(connection: Connection, packet: Packet, connections: Table) -> Decision:
    """Somebody on the client's side could not deliver a reply: its sender has to hear of it."""
    if connection.server.configured:
        connection.count_in(packet.length)
    if connection.method is Method.LOCAL:
        return Pass(("ICMP error about a reply of the local node",))
    if packet.ttl <= 1:
        return _too_old(packet)
    nat = connection.method is Method.NAT
    connections.store(connection)
    server = Endpoint(connection.server_endpoint.address, 0)
    return Forward(
        connection.method,
        packet.source,
        server if nat else packet.destination,
        server.address,
        connection.vip.address,
        ("ICMP error about a reply of a known connection",),
        embedded_source=connection.server_endpoint if nat else None,
    )


def _to_client(connection: Connection, packet: Packet, connections: Table) -> Decision:
    """Somebody on the real servers' side could not deliver a request: the client has to hear of it."""
    if packet.ttl <= 1:
        return _too_old(packet)
    if connection.server.configured:
        connection.count_out(packet.length)
    connections.store(connection)
    client = Endpoint(connection.client.address, 0)
    return Forward(
        Method.NAT,
        Endpoint(connection.vip.address, 0),
        client,
        client.address,
        connection.vip.address,
        ("ICMP error about a request of a known connection",),
        embedded_destination=connection.vip,
    )


def _too_old(packet: Packet) -> Drop:
    return Drop((f"an ICMP error with TTL {packet.ttl}, of which nobody is told",))
