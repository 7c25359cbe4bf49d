"""What the director would do with a packet, and why.

The decision is a dry run of the code that forwards, on copies of the tables: an explanation changes nothing
and never differs from what happens.

    {"do": "explain", "packet": {"protocol": "TCP", "source": "198.51.100.101:40000",
                                 "destination": "203.0.113.1:80", "flags": "S"}}
    {"do": "explain", "ip": "4500003c..."}                      the bytes of an IP packet, in hex
    {"do": "packet_table", "client": "198.51.100.101:40000"}    the packet table of its connections
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from director.core.connections import Connection
from director.core.decision import Decision, Forward, Pass, Reject
from director.core.family import family_of
from director.core.packet import (
    ACK,
    FIN,
    PROTOCOL_NAMES,
    PROTOCOLS,
    PSH,
    RST,
    SYN,
    TCP,
    UDP,
    URG,
    Endpoint,
    Packet,
    check_endpoint,
)
from director.core.real_server import Method
from director.formats.command_json import read_endpoint

if TYPE_CHECKING:
    from director.control.channel import Message
    from director.core.director import Director
    from director.engines.engine import Engine

_FLAGS = {"F": FIN, "S": SYN, "R": RST, "P": PSH, "A": ACK, "U": URG}
_LENGTH = 40  # bytes of an IP packet with a TCP header and no data

Row = dict[str, str]


class Explainer:
    """Answers "explain" and "packet_table"; `clock` gives the core's seconds."""

    def __init__(self, director: Director, engine: Engine, clock: Callable[[], float]) -> None:
        self._director = director
        self._engine = engine
        self._clock = clock

    def explain(self, request: Message) -> Message:
        """The decision about one packet. Raises ValueError."""
        packet = _requested_packet(request)
        now = self._clock()
        connection = self._connection_of(packet)
        service = connection.service if connection else self._director.rules.find(packet)
        decision, events = self._director.dry_run(packet, now)
        if isinstance(decision, Pass):
            service = None
        return {
            "packet": _describe(packet),
            "connection": connection.as_dict(now) if connection else None,
            "service": service.as_dict() if service else None,
            "events": [event.as_dict() for event in events],
            **self._in_words(packet, decision),
        }

    def _connection_of(self, packet: Packet) -> Connection | None:
        table = self._director.connections
        flow = packet.protocol, packet.source, packet.destination
        return table.find_in(*flow) or table.find_out(*flow)

    def _in_words(self, packet: Packet, decision: Decision) -> Message:
        words: Message = {"decision": type(decision).__name__.lower(), "reasons": list(decision.reasons)}
        if isinstance(decision, Reject):
            words |= {"icmp_type": decision.icmp_type, "icmp_code": decision.icmp_code, "mtu": decision.mtu}
        if isinstance(decision, Forward):
            route = self._route_of(decision)
            received = {
                "packet": "as received",
                "source": str(packet.source),
                "dest": str(packet.destination),
            }
            words |= {
                "method": decision.method.name,
                "next_hop": decision.next_hop,
                "way": route,
                "rows": [received, {"packet": "as forwarded", **_addresses(decision, route)}],
            }
        return words

    def _route_of(self, forward: Forward) -> Row:
        return {} if forward.method is Method.LOCAL else dict(self._engine.route_to(forward.next_hop))

    def packet_table(self, request: Message) -> Message:
        """The packet table of each connection of a client's address and port. Raises ValueError."""
        client = read_endpoint("client", request.get("client"))
        table, now = self._director.connections, self._clock()
        found = [*table.by_client(TCP, client), *table.by_client(UDP, client)]
        if not found:
            raise ValueError(f"client: {client} has no connection; ipvsadm -Lcn lists all connections.")
        return {
            "connections": [
                {**connection.as_dict(now), "rows": list(self._rows(connection, now))} for connection in found
            ]
        }

    def _rows(self, connection: Connection, now: float) -> Iterator[Row]:
        """A request and its reply, each as received and as forwarded by the director."""
        method, client, server = connection.method, connection.client, connection.server_endpoint
        yield {"packet": "request", "source": str(client), "dest": str(connection.vip)}
        forward = self._dry_run(connection, client, connection.vip, now)
        if forward is None:
            return
        yield {"packet": _FORWARDED_REQUEST[method], **_addresses(forward, self._route_of(forward))}
        if method is not Method.NAT:
            yield {
                "packet": _DIRECT_REPLY[method],
                "source": str(connection.vip),
                "dest": str(connection.client),
            }
            return
        server, client = connection.server_endpoint, connection.client
        yield {"packet": "reply to load balancer", "source": str(server), "dest": str(client)}
        reply = self._dry_run(connection, server, client, now)
        if reply is not None:
            yield {"packet": "outbound rewriting", **_addresses(reply, self._route_of(reply))}

    def _dry_run(self, connection: Connection, source: Endpoint, to: Endpoint, now: float) -> Forward | None:
        packet = Packet(connection.protocol, source, to, _LENGTH, flags=ACK)
        decision, _ = self._director.dry_run(packet, now)
        return decision if isinstance(decision, Forward) else None


_FORWARDED_REQUEST = {
    Method.NAT: "inbound rewriting",
    Method.TUN: "encapsulated",
    Method.DR: "forwarded",
    Method.LOCAL: "to the director's own kernel",
}
_DIRECT_REPLY = {
    Method.TUN: "reply, past the director",
    Method.DR: "reply, past the director",
    Method.LOCAL: "reply of the director's own kernel",
}


def _addresses(forward: Forward, route: Row) -> Row:
    """The addresses of a forwarded packet that its method shows."""
    row = {"source": str(forward.source), "dest": str(forward.destination)}
    if forward.method is Method.TUN:
        row |= {"outer_source": route.get("source", "?"), "outer_dest": forward.next_hop}
    if forward.method is Method.DR:
        row |= {"source_mac": route.get("source_mac", "?"), "dest_mac": route.get("dest_mac") or "?"}
    return row


def _describe(packet: Packet) -> Message:
    flags = "".join(letter for letter, flag in _FLAGS.items() if packet.flags & flag)
    return {
        "protocol": PROTOCOL_NAMES.get(packet.protocol, str(packet.protocol)),
        "source": str(packet.source),
        "destination": str(packet.destination),
        "flags": flags,
        "length": packet.length,
    }


def _requested_packet(request: Message) -> Packet:
    if "ip" in request:
        return _parse(request["ip"])
    fields = request.get("packet")
    if not isinstance(fields, dict):
        raise ValueError(f"packet: expected an object, got {fields!r}.")
    protocol = PROTOCOLS.get(str(fields.get("protocol", "TCP")))
    if protocol not in (TCP, UDP):
        raise ValueError(f"protocol: expected TCP or UDP, got {fields.get('protocol')!r}.")
    source = read_endpoint("source", fields.get("source"))
    destination = read_endpoint("destination", fields.get("destination"))
    check_endpoint("source", source)
    check_endpoint("destination", destination)
    if family_of(source.address) is not family_of(destination.address):
        raise ValueError(
            f"destination: expected an address of the source's family, got {destination.address!r}."
        )
    length = fields.get("length", _LENGTH)
    if type(length) is not int or not 20 <= length <= 65535:
        raise ValueError(f"length: expected 20 to 65535 bytes, got {length!r}.")
    return Packet(
        protocol,
        source,
        destination,
        length,
        flags=_flags(fields.get("flags", "S" if protocol == TCP else "")),
        dont_fragment=True,
    )


def _flags(letters: Any) -> int:
    if not isinstance(letters, str) or any(letter not in _FLAGS for letter in letters):
        raise ValueError(f"flags: expected letters of {''.join(_FLAGS)}, got {letters!r}.")
    return sum(_FLAGS[letter] for letter in set(letters))


def _parse(text: Any) -> Packet:
    """An IP packet in hexadecimal, parsed by the Scapy engine's code, whichever engine runs."""
    from director.engines.scapy.datagram import Datagram, parse
    from director.engines.scapy.ipv6 import Malformed

    try:
        return parse(Datagram(bytes.fromhex(text)))
    except (TypeError, ValueError, Malformed) as error:
        raise ValueError(f"ip: expected an IP packet in hexadecimal ({error}).") from None
