"""The ends of a scenario's connections: what each sends next depends on what it has received."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from oracle import packets
from oracle.packets import Ends, Header
from oracle.scenario import Step
from oracle.site import (
    CLIENTS,
    DIRECTOR_MACS,
    GATEWAY,
    GATEWAY_MAC,
    SERVERS,
    Place,
    is_server,
    mac_of,
)

Frame = tuple[str, bytes]  # the side it is on, and the Ethernet frame


@dataclass
class _End:
    """The state of one end: its next sequence number, what it has to acknowledge, what it received last."""

    sequence: int
    acknowledgement: int = 0
    got: bytes = b""


@dataclass
class _Talk:
    """A connection as its client sees it; `server` is the real server's address and port, once known."""

    ends: Ends
    udp: bool
    client: _End
    server_end: _End
    server: tuple[str, int] | None = None
    sent: int = 0


@dataclass
class Talks:
    """All connections of one scenario."""

    place: Place
    _talks: dict[int, _Talk] = field(default_factory=dict)

    def frames(self, step: Step) -> list[Frame]:
        """The frames sent at this step: one, or the fragments of a packet."""
        talk = self._talk(step)
        packet = self._error(talk, step) if "icmp" in step.options else self._packet(talk, step)
        if packet is None:
            return []
        cut = int(step.options.get("cut", 0))
        pieces = packets.fragments(packet, cut) if cut else (packet,)
        source = packets.ends_of(packet).source
        if step.kind == "c":
            return [(CLIENTS, _frame(CLIENTS, GATEWAY_MAC, piece)) for piece in pieces]
        mac = mac_of(source) if is_server(source) else mac_of("172.16.0.254")
        return [(SERVERS, _frame(SERVERS, mac, piece)) for piece in pieces]

    def heard(self, step: Step, out: list[Frame]) -> None:
        """Update the other end with what has arrived there."""
        talk = self._talks[step.number]
        there = SERVERS if step.kind == "c" else CLIENTS
        for side, frame in out:
            packet = frame[14:]
            if side != there:  # the director's own answer to the sender
                continue
            if packet[9] == packets.IPIP:
                talk.server = packets.ends_of(packet).dest, talk.ends.dport
                talk.server_end.got = packet
                continue
            if packet[9] not in (packets.TCP, packets.UDP) or int.from_bytes(packet[6:8], "big") & 0x1FFF:
                continue
            ends = packets.ends_of(packet)
            here = talk.server_end if side == SERVERS else talk.client
            if side == SERVERS:
                nat = is_server(ends.dest)
                talk.server = (ends.dest, ends.dport) if nat else (_address_of(frame[:6]), ends.dport)
            here.got = packet
            if packet[9] == packets.TCP:
                sequence = int.from_bytes(packet[24:28], "big")
                here.acknowledgement = (sequence + packets.tcp_length(packet)) % 2**32

    def _talk(self, step: Step) -> _Talk:
        talk, options, number = self._talks.get(step.number), step.options, step.number
        if talk is None or "at" in options or "port" in options or "to" in options:
            source = self.place.client(int(options.get("at", 1 + number % 250)))
            sport = int(options.get("port", 10000 + number))
            before = talk.ends.dport if talk else 80
            ends = Ends(source, sport, self.place.vip, int(options.get("to", before)))
            udp = "udp" in options or bool(talk and talk.udp)
            talk = _Talk(ends, udp, _End(1000 * number), _End(5000 * number))
            self._talks[number] = talk
        if "server" in options:
            address, _, port = options["server"].partition(":")
            talk.server = self.place.words("nat").get(address, address), int(port)
        return talk

    def _packet(self, talk: _Talk, step: Step) -> bytes | None:
        here = talk.client if step.kind == "c" else talk.server_end
        ends = talk.ends
        if step.kind == "s":
            if talk.server is None:
                return None
            ends = Ends(*talk.server, talk.ends.source, talk.ends.sport)
        options, talk.sent = step.options, talk.sent + 1
        data = _data(options, str(self.place.number))
        fragment = packets.DONT_FRAGMENT if "df" in options else 0
        identification = int(options.get("id", (step.number * 100 + talk.sent) % 65536))
        header = Header(identification, int(options.get("ttl", 64)), int(options.get("tos", 0)), fragment)
        if talk.udp:
            return packets.udp(ends, header, data)
        flags = sum(packets.FLAGS.get(letter, 0) for word in step.words for letter in word)
        sequence = (here.sequence if "seq" not in options else int(options["seq"])) % 2**32
        acknowledgement = here.acknowledgement if flags & packets.FLAGS["A"] else 0
        acknowledgement = int(options.get("ack", acknowledgement))
        extra = bytes.fromhex(options.get("opt", ""))
        packet = packets.tcp(ends, header, flags, sequence, acknowledgement, extra, data)
        if "seq" not in options:
            here.sequence = (sequence + packets.tcp_length(packet)) % 2**32
        return packet

    def _error(self, talk: _Talk, step: Step) -> bytes | None:
        """An ICMP error about what its sender received last; for a client of TUN or DR, one is made up."""
        options = step.options
        kind, _, code = options["icmp"].partition("/")
        quote, mtu = int(options.get("quote", 28)), int(options.get("mtu", 0))
        got = (talk.client if step.kind == "c" else talk.server_end).got
        if step.kind == "c" and not got:
            make = packets.udp if talk.udp else _some_tcp
            got = make(talk.ends.back(), Header(), b"reply")
        if not got:
            return None
        by = options.get("by", packets.ends_of(got).dest)
        by = GATEWAY if by == "gateway" else by
        return packets.icmp_error(by, packets.ends_of(got).source, int(kind), int(code), mtu, got[:quote])


def _some_tcp(ends: Ends, header: Header, data: bytes) -> bytes:
    return packets.tcp(ends, header, packets.FLAGS["A"], 1, 1, b"", data)


def _data(options: Mapping[str, str], net: str) -> bytes:
    if "data" in options:
        return options["data"].replace("NET", net).encode().decode("unicode_escape").encode()
    return bytes(i % 251 for i in range(int(options.get("len", 0))))


def _frame(side: str, source: str, packet: bytes) -> bytes:
    ethernet = bytes.fromhex(DIRECTOR_MACS[side].replace(":", "") + source.replace(":", ""))
    return ethernet + b"\x08\x00" + packet


def _address_of(mac: bytes) -> str:
    """The real server that a frame was sent to."""
    return f"172.16.0.{mac[5]}"
