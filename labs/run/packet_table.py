"""The packet table each method was published with, made from captures of one connection.

A `Hop` says where a packet of the connection is looked for and what it must look like there;
a `Row` is what was found in the capture of that interface. Frames are recognised by what they
carry (the request's or the reply's first bytes) and never by the addresses that are to be
proven.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from labs.run.frames import Frame, frames_with

REQUEST, REPLY = b"GET /index.html", b"HTTP/1.1 200"


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
        if frame.source_mac and (frame.source_mac == macs[hop.interface]) != hop.leaving:
            continue
        if client_port in (frame.source_port, frame.dest_port):
            return _row(frame, hop.expected)
    return None


def _row(frame: Frame, expected: Row) -> Row:
    """The frame in the columns that `expected` has."""
    source, dest = frame.addresses[-1]
    outer_source, outer_dest = frame.addresses[0] if len(frame.addresses) > 1 else (None, None)
    with_macs = expected.source_mac is not None
    return Row(
        packet=expected.packet,
        source=f"{source}:{frame.source_port}",
        dest=f"{dest}:{frame.dest_port}",
        data=frame.payload.split(b"\r\n")[0].decode("latin-1")[: len(expected.data)],
        outer_source=outer_source,
        outer_dest=outer_dest,
        source_mac=frame.source_mac if with_macs else None,
        dest_mac=frame.dest_mac if with_macs else None,
    )
