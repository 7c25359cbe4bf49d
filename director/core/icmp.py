"""ICMP errors: which end of a known connection an error concerns, and how it must be rewritten.

An error quotes the packet that it is about, as the director had rewritten it. The end that gets the error
must recognise the packet as it sent it. An error counts as a packet of its connection, unless it is about a
tunnel. Source: RFC 792 and 4443; RFC 5508 for address translators; Linux, ip_vs_in_icmp and ip_vs_out_icmp,
for the counters. Types and codes are in family.py.
"""

from __future__ import annotations

from director.core.connections import Connection, Table
from director.core.decision import Decision, Drop, Forward, Pass, PathMtu, Reject
from director.core.family import IPV6, TUNNELS, Family
from director.core.packet import Endpoint, Packet
from director.core.real_server import Method

PARAMETER_PROBLEM = 12  # type, of IPv4
_DAMAGED = Drop(("ICMP error about a known connection, but with a wrong checksum",))


def decide(packet: Packet, connections: Table) -> Decision:
    """The decision about an ICMP packet; a ping of the VIP is for the director itself."""
    quoted = packet.embedded
    if packet.icmp_type not in packet.family.errors or quoted is None:
        return Pass(("ICMP, but not an error about a connection",))
    if packet.fragment_offset or packet.more_fragments:
        return Pass(("fragment of an ICMP error",))
    if quoted.protocol in TUNNELS:
        return _about_tunnel(packet, quoted, connections)
    connection = connections.find_in(quoted.protocol, quoted.destination, quoted.source)
    if connection is not None:
        return _DAMAGED if packet.bad_checksum() else _to_server(connection, packet, connections)
    connection = connections.find_out(quoted.protocol, quoted.destination, quoted.source)
    if connection is not None and connection.method is Method.NAT:
        return _DAMAGED if packet.bad_checksum() else _to_client(connection, packet, connections)
    return Pass(("ICMP error about no known connection",))


def _about_tunnel(packet: Packet, quoted: Packet, connections: Table) -> Decision:
    """A router on the path to a real server could not forward a tunnel's packet.

    It tells the director, which has sent that packet; the director tells the client. What fits into a tunnel
    is shorter by the tunnel's own header (RFC 2003, section 4). Anybody can send such an error: it changes
    nothing unless it is about a tunnel that carries a known connection, and it never lowers the path MTU
    below the minimum of the family. The tunnel and the packet inside may be of different families.
    """
    inner = quoted.embedded
    connection = connections.find_in(inner.protocol, inner.source, inner.destination) if inner else None
    server = connection.server_endpoint.address if connection else ""
    if inner is None or connection is None or connection.method is not Method.TUN:
        return Pass(("ICMP error about a tunnel, but about no known connection",))
    if quoted.destination.address != server:
        return Pass((f"ICMP error about a tunnel, but the connection's tunnel leads to {server}",))
    if packet.bad_checksum():
        return _DAMAGED
    reason = f"ICMP error from the tunnel to {server}"
    outer, about = packet.family, (packet.icmp_type, packet.icmp_code)
    if about != outer.too_long:
        about = about if inner.family is outer else inner.family.host_unreachable
        return Reject(*about, (reason,), tunnelled=True)
    path_mtu = PathMtu(server, max(outer.min_path_mtu, packet.mtu))
    if not inner.dont_fragment:
        return Drop((f"{reason}: path MTU noted, as the packet may be fragmented",), path_mtu)
    mtu = path_mtu.mtu - outer.header
    narrow = too_narrow(inner.family, outer, mtu)
    if narrow:
        return Drop((f"{reason}: {narrow}",), path_mtu)
    return Reject(*inner.family.too_long, (reason,), mtu, tunnelled=True, path_mtu=path_mtu)


def too_narrow(inner: Family, outer: Family, mtu: int) -> str:
    """Why a tunnel with room for `mtu` bytes can't be used; empty if it can.

    No packet of IPv6 has to be shorter than 1280 bytes, so no ICMP error can ask for shorter ones; and the
    kernel uses no tunnel over IPv6 that has less room (Linux: __ip_vs_get_out_rt_v6).
    """
    if IPV6 in (inner, outer) and mtu < IPV6.min_path_mtu:
        return f"the tunnel has room for {mtu} bytes, but IPv6 needs {IPV6.min_path_mtu} (RFC 8200, 5)"
    return ""


def _to_server(connection: Connection, packet: Packet, connections: Table) -> Decision:
    """A reply could not be delivered: its sender, the real server, gets the error."""
    if connection.server.configured:
        connection.count_in(packet.length)
    if connection.method is Method.LOCAL:
        return Pass(("ICMP error about a reply of the local node",))
    if packet.ttl <= 1:
        return _ttl_expired(packet)
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
    """A request could not be delivered to a VS-NAT real server: the client gets the error."""
    if packet.ttl <= 1:
        return _ttl_expired(packet)
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


def _ttl_expired(packet: Packet) -> Drop:
    return Drop((f"TTL {packet.ttl}: an ICMP error that expires is not answered",))
