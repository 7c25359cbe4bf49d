"""One capture of a whole lab for Wireshark: `lab.pcapng`, merged from the captures of all interfaces.

`describe` writes, beside the captures, what they do not contain: the hosts' names and the interfaces'
descriptions. `merge` needs only that folder, so it works during a run, after it, and on another machine. The
format is pcapng (draft-ietf-opsawg-pcapng): one section with the names, a description of each interface, and
the packets in chronological order. A packet appears once for each interface that it crosses, so the interface
column shows its path; packets of the packet table have their row's name as a comment.

Written here because mergecap keeps neither names nor comments, and is not installed with the labs.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from ipaddress import ip_address
from itertools import starmap
from pathlib import Path
from typing import Any, NamedTuple

from labs.network.addresses import link_local
from labs.network.topology import INTERNET, LAN, PRIVATE, Role, Topology
from labs.run.packet_table import Hop, Place, link_type, locate, records

FILE, ABOUT, TABLE = "lab.pcapng", "about.json", "packet-table.json"
_PROGRAM = "lvs-lab"
_SECTION, _INTERFACE, _NAMES, _PACKET = 0x0A0D0D0A, 1, 4, 6  # block types
_BYTE_ORDER = 0x1A2B3C4D
_COMMENT = 1  # an option of any block
_APPLICATION = 4  # of a section
_IF_NAME, _IF_DESCRIPTION, _IF_MAC = 2, 3, 6  # of an interface
_NAME_RECORDS = {4: 1, 6: 2}  # of the block of names, by IP version
SWITCHES = {INTERNET: "the Internet", LAN: "the director's LAN", PRIVATE: "the private network"}

Options = Sequence[tuple[int, str | bytes]]


@dataclass(frozen=True, slots=True)
class About:
    """What the captures of a run do not contain; `interfaces` maps names to (description, MAC)."""

    title: str
    names: Mapping[str, str]  # address: name
    interfaces: Mapping[str, tuple[str, str]]


class Network(NamedTuple):
    """A lab's network in one IP version; `tunnel`: the tunnel device of the real servers, if any."""

    topology: Topology
    vip: str
    tunnel: str = ""


def describe(pcaps: Path, title: str, networks: Sequence[Network]) -> None:
    """Write what `merge` needs beside the captures; `networks` has one entry per IP version of the lab."""
    names = dict(entry for network in networks for entry in _names(network))
    interfaces = dict(_interfaces(networks))
    (pcaps / ABOUT).write_text(json.dumps(asdict(About(title, names, interfaces)), indent=1) + "\n")


def _names(network: Network) -> Iterator[tuple[str, str]]:
    """(address, name); in IPv6 also link-local addresses, which neighbour discovery uses."""
    for interface in network.topology.interfaces:
        yield interface.address, interface.node
        if ":" in network.vip:
            yield link_local(interface.mac), interface.node
    yield network.vip, "VIP"


def _interfaces(networks: Sequence[Network]) -> Iterator[tuple[str, tuple[str, str]]]:
    for nodes in zip(*(network.topology.nodes for network in networks), strict=True):
        node = nodes[0]
        for plugs in zip(*(twin.interfaces for twin in nodes), strict=True):
            first, addresses = plugs[0], " and ".join(plug.address for plug in plugs)
            where = SWITCHES.get(first.switch, f"switch {first.switch}")
            yield first.name, (f"{node.role.value} {node.name}, {addresses}, on {where}", first.mac)
        for network in networks:
            if network.tunnel and node.role is Role.SERVER:
                device = f"{node.name}-{network.tunnel}"
                yield device, (f"{node.role.value} {node.name}, what comes out of the tunnel", "")


def mark(pcaps: Path, hops: Sequence[Hop], client_port: int, macs: Mapping[str, str]) -> None:
    """Record where the packets of the packet table are, for their comments in the merged capture.

    The marks of an earlier table are kept.
    """
    places = locate(pcaps, hops, client_port, macs)
    found = [
        [*place, hop.expected.packet] for hop, place in zip(hops, places, strict=True) if place is not None
    ]
    (pcaps / TABLE).write_text(json.dumps(_marks(pcaps / TABLE) + found) + "\n")


def merge(pcaps: Path, target: Path) -> tuple[int, int]:
    """Merge the captures of a folder; returns the numbers of interfaces and of packets.

    Raises OSError if a file cannot be read or written, ValueError or TypeError if a description is damaged.
    """
    about = About(**json.loads((pcaps / ABOUT).read_text()))
    files = {name: pcaps / f"{name}.pcap" for name in about.interfaces}
    captures = {name: file.read_bytes() for name, file in files.items() if file.exists()}
    part = target.with_suffix(".part")  # Wireshark may have an earlier merge open
    count = 0
    with part.open("wb") as file:
        for block in blocks(about, captures, _comments(pcaps / TABLE)):
            file.write(block)
            count += 1
    part.replace(target)
    return len(captures), count - len(captures) - 2


def _comments(table: Path) -> dict[Place, str]:
    return {(interface, at): f"packet table: {packet}" for interface, at, packet in _marks(table)}


def _marks(table: Path) -> list[Any]:
    found: list[Any] = json.loads(table.read_text()) if table.exists() else []
    return found


# ---- the format ----


def blocks(about: About, captures: Mapping[str, bytes], comments: Mapping[Place, str]) -> Iterator[bytes]:
    """The blocks of the file: the section, the names, one for each interface, one for each packet.

    `captures` has pcap files by interface.
    """
    head = struct.pack("<IHHq", _BYTE_ORDER, 1, 0, -1)
    yield _block(_SECTION, head, [(_COMMENT, about.title), (_APPLICATION, _PROGRAM)])
    yield _block(_NAMES, b"".join(starmap(_name_record, about.names.items())) + bytes(4))
    found = []
    for number, (name, content) in enumerate(captures.items()):
        described, mac = about.interfaces[name]
        head = struct.pack("<HHI", link_type(content), 0, 0)  # no snap length: each record has its own
        card = bytes.fromhex(mac.replace(":", ""))
        options: Options = [(_IF_NAME, name), (_IF_DESCRIPTION, described), (_IF_MAC, card)]
        yield _block(_INTERFACE, head, options)
        found += [(time, number, *record) for time, *record in records(content)]
    found.sort()
    names, contents = list(captures), list(captures.values())
    for time, number, at, start, captured, length in found:
        head = struct.pack("<IIIII", number, time >> 32, time & 0xFFFFFFFF, captured, length)
        data = contents[number][start : start + captured]
        comment = comments.get((names[number], at))
        yield _block(_PACKET, head + _padded(data), [(_COMMENT, comment)] if comment else [])


def _block(kind: int, body: bytes, options: Options = ()) -> bytes:
    """A block has its length at both ends."""
    if options:
        body += b"".join(_option(code, value) for code, value in options if value) + bytes(4)
    length = struct.pack("<I", len(body) + 12)
    return b"".join((struct.pack("<I", kind), length, body, length))


def _name_record(address: str, name: str) -> bytes:
    value = ip_address(address)
    return _option(_NAME_RECORDS[value.version], value.packed + f"{name}\0".encode())


def _option(code: int, value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<HH", code, len(data)) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
