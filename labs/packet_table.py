"""The packet table each method was published with, made from captures of one connection.

A `Hop` says where a packet of the connection is looked for and what it must look like there;
a `Row` is what was found in the capture of that interface. Frames are recognised by what they
carry (the request's or the reply's first bytes) and never by the addresses that are to be
proven.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether
from scapy.packet import Packet as Frame
from scapy.utils import RawPcapReader

REQUEST, REPLY = b"GET /index.html", b"HTTP/1.1 200"
_DLT_ETHERNET = 1


@dataclass(frozen=True, slots=True)
class Row:
    """One packet of the table; endpoints are `address:port`, None where a method has no such column."""

    packet: str
    source: str
    dest: str
    data: str
    outer_source: str | None = None
    outer_dest: str | None = None
    source_mac: str | None = None
    dest_mac: str | None = None

    def as_dict(self) -> dict[str, str]:
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True)
class Hop:
    """The row that a capture of `interface` must hold; `leaving`: sent from there, not received."""

    interface: str
    leaving: bool
    expected: Row

    @property
    def carries(self) -> bytes:
        return REPLY if self.expected.data.startswith("HTTP") else REQUEST


def observe(
    captures: Path, hops: Sequence[Hop], client_port: int, macs: Mapping[str, str]
) -> list[Row | None]:
    """The row that each hop's capture shows, None where it shows none.

    `captures` holds `INTERFACE.pcap` files, `macs` maps an interface to its MAC.
    """
    return [_find(captures / f"{hop.interface}.pcap", hop, client_port, macs) for hop in hops]


def _find(capture: Path, hop: Hop, client_port: int, macs: Mapping[str, str]) -> Row | None:
    for frame in frames_with(capture, hop.carries):
        if Ether in frame and (frame[Ether].src == macs[hop.interface]) != hop.leaving:
            continue
        tcp = frame.getlayer(TCP)
        if tcp is not None and client_port in (tcp.sport, tcp.dport):
            return _row(frame, hop.expected)
    return None


def frames_with(capture: Path, text: bytes) -> Iterator[Frame]:
    """The dissected frames of `capture` that contain `text`."""
    if not capture.exists() or capture.stat().st_size == 0:
        return
    with RawPcapReader(str(capture)) as reader:
        layer = Ether if reader.linktype == _DLT_ETHERNET else IP
        for raw, _ in reader:
            if text in raw:
                yield layer(raw)


def _row(frame: Frame, expected: Row) -> Row:
    """The frame in the columns that `expected` has."""
    outer, tcp = frame[IP], frame[TCP]
    inner = tcp.underlayer
    tunnelled = inner is not outer
    with_macs = expected.source_mac is not None
    return Row(
        packet=expected.packet,
        source=f"{inner.src}:{tcp.sport}",
        dest=f"{inner.dst}:{tcp.dport}",
        data=bytes(tcp.payload).split(b"\r\n")[0].decode("latin-1")[: len(expected.data)],
        outer_source=outer.src if tunnelled else None,
        outer_dest=outer.dst if tunnelled else None,
        source_mac=frame[Ether].src if with_macs else None,
        dest_mac=frame[Ether].dst if with_macs else None,
    )
