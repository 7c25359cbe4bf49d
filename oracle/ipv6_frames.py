"""IPv6 on kernel IPVS: its answers to a list of frames, and the real servers that its hashes choose.

Scenarios have IPv4 addresses only, so this has a recording of its own, in recorded/. The director has the
clients on one cable and the real servers on another:

    2001:db8:1::/48 behind the clients' cable ── 2001:db8::1, VIP 2001:db8::80 ── fd00::1 ── fd00::2 to ::5
                                                                              192.0.2.1 ── 192.0.2.3

Inside `unshare --net --mount` as root, `python -m oracle.ipv6_frames` sends them to this kernel and prints a
new recording as JSON.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import select
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from ipaddress import IPv6Address
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from labs.wait import patient
from oracle import ipv6_packets, json_xz
from oracle.ipv6_packets import (
    HOP_BY_HOP,
    ICMP,
    OPTIONS,
    behind,
    error,
    fragment,
    fragments,
    ip,
    is_for_hosts,
    tcp,
    udp,
    with_checksum,
)

FILE = Path(__file__).with_name("recorded") / "ipv6.json.xz"
VIP, CLIENT = "2001:db8::80", "2001:db8:1::65"
CLIENTS, SERVERS = "c", "s"  # the cables
MACS = {CLIENTS: "02:00:00:00:00:01", SERVERS: "02:00:00:00:00:09"}  # the director's
NEIGHBOURS = {CLIENTS: "02:00:00:00:00:02", SERVERS: "02:00:00:00:00:03"}
ADDRESSES = {CLIENTS: ("2001:db8::1/64", f"{VIP}/128"), SERVERS: ("fd00::1/64", "192.0.2.1/24")}
_NEXT = {"fd00::2", "fd00::3", "fd00::4", "fd00::5"}
_HASHES = ("sh", "sh -b sh-port", "sh -b sh-fallback", "dh", "mh", "mh -b mh-port")  # from port 80 on
_SYN, _ACK = 0x02, 0x10
_ROUTING = 43
_PADDING = b"\0\0\1\4\0\0\0\0"  # an extension header without meaning
_PINGS = {CLIENTS: ("2001:db8::1", CLIENT), SERVERS: ("fd00::1", "fd00::9")}  # to, and from

_DIFFERS = {
    "payload length too short for TCP": "impossible-headers",
    "TCP header of 4 words": "impossible-headers",
    "TCP header of 15 words": "impossible-headers",
    "UDP length too long": "impossible-headers",
    "UDP length too short": "impossible-headers",
    "ragged fragment": "ragged-fragments",
}

# kernel, saved, frames (name, sent, and what came out), connections
Recording = json_xz.Recording


def read(file: Path = FILE) -> Recording:
    recording: Recording = json_xz.read(file)
    return recording


def player() -> str:
    """A hash of the rules and all frames sent: when it changes, the recording is out of date."""
    frames = b"".join(framed(probe.side, packet) for probe in sent() for packet in probe.packets)
    return hashlib.sha256("".join(lines()).encode() + frames).hexdigest()[:16]


def holds(recording: Recording, kernel: str) -> bool:
    """Whether it was made with these frames and rules, on this kernel."""
    return (recording.get("player", ""), recording["kernel"]) == (player(), kernel)


def write(recording: Recording, file: Path = FILE) -> None:
    json_xz.write(recording, file)


def lines() -> Iterator[str]:
    """The rules, as lines of ipvsadm."""
    for port, scheduler in enumerate(_HASHES, start=80):
        yield f"-A -t [{VIP}]:{port} -s {scheduler}"
        for weight, server in enumerate(sorted(_NEXT), start=1):
            yield f"-a -t [{VIP}]:{port} -r [{server}]:8000 -m -w {weight}"
    for port, server, forwarding in (
        (90, "[fd00::2]:8000", "-m"),
        (91, "[fd00::3]:91", "-g"),
        (92, "[fd00::3]:92", "-i"),
        (93, "192.0.2.3:93", "-i"),
    ):
        for letter in "tu":
            yield f"-A -{letter} [{VIP}]:{port} -s rr"
            yield f"-a -{letter} [{VIP}]:{port} -r {server} {forwarding}"
    yield f"-A -t [{VIP}]:94 -s rr -p 360 -M 64"
    yield f"-a -t [{VIP}]:94 -r [fd00::2]:94 -m"
    yield f"-a -t [{VIP}]:94 -r [2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff]:94 -m -w 2"
    yield f"-A -t [{VIP}]:95"
    yield f"-A -u {VIP} -p"
    yield "-A -f 7 -6 -s rr -p 60 -M 32"
    yield "-a -f 7 -6 -r [fd00::2]:0 -m"
    yield "-A -f 7 -s rr"


class Sent(NamedTuple):
    """`differs` names the difference that it shows (docs/differences.md), at least in some methods."""

    name: str
    side: str
    packets: Sequence[bytes]
    differs: str = ""


def sent() -> Iterator[Sent]:
    """All packets, in order: first those whose answers are compared, then many new clients."""
    for method, port in (("nat", 90), ("dr", 91), ("6in6", 92), ("6in4", 93)):
        yield Sent(f"{method} syn", CLIENTS, [tcp(CLIENT, VIP, 5000, port, _SYN, traffic_class=0x2B)])
        yield Sent(f"{method} ack", CLIENTS, [_ack(port, b"data")])
        yield Sent(f"{method} udp", CLIENTS, [udp(CLIENT, VIP, 5000, port, b"data")])
        for size in (1400, 1440):
            yield Sent(f"{method} {size}", CLIENTS, [_ack(port, bytes(size))])
        yield Sent(f"{method} hop limit", CLIENTS, [_ack(port, hop_limit=1)])
        yield Sent(f"{method} options", CLIENTS, [behind(_PADDING, OPTIONS, _ack(port))])
        if method in ("nat", "dr"):  # differs in tunnels: atomic-fragments
            yield Sent(f"{method} atomic", CLIENTS, [fragment(_ack(port), 0, 20)])
        whole = udp(CLIENT, VIP, 5000, port, bytes(range(200)) * 10)
        parts = fragments(whole, 1200)
        yield Sent(f"{method} fragments", CLIENTS, parts)
        yield Sent(f"{method} fragments, last first", CLIENTS, parts[::-1])
        yield Sent(f"{method} overlapping", CLIENTS, [parts[0], fragment(whole, 800, 2008)])
        for name, several in _odd(port):
            yield Sent(f"{method} {name}", CLIENTS, several, _DIFFERS.get(name, ""))
    reply = tcp("fd00::2", CLIENT, 8000, 5000, _SYN | _ACK)
    yield Sent("reply", SERVERS, [reply])
    quoted = tcp(CLIENT, "fd00::2", 5000, 8000, _ACK, bytes(1200))
    for kind, code, number in ((1, 1, 0), (1, 4, 0), (2, 0, 1400), (3, 0, 0), (4, 1, 40)):
        yield Sent(f"error {kind} {code}", SERVERS, [error("fd00::9", CLIENT, kind, code, number, quoted)])
    ours = tcp(VIP, CLIENT, 90, 5000, _ACK, b"page")
    about_reply = error("2001:db8:1::9", VIP, 2, 0, 1300, ours)
    yield Sent("error about a reply", CLIENTS, [about_reply])
    yield from _odd_errors(ours, about_reply, quoted)
    yield Sent("no server", CLIENTS, [tcp(CLIENT, VIP, 5000, 95, _SYN)])
    chance = random.Random(6)
    network = int(IPv6Address("2001:db8:1::"))
    for _ in range(48):
        client = str(IPv6Address(network | chance.getrandbits(80)))
        ports = range(80, 80 + len(_HASHES))
        many = [tcp(client, VIP, chance.randrange(1024, 65536), port, _SYN) for port in ports]
        yield Sent("clients", CLIENTS, many)


def _ack(port: int, data: bytes = b"", hop_limit: int = 64) -> bytes:
    return tcp(CLIENT, VIP, 5000, port, _ACK, data, hop_limit=hop_limit)


def _odd(port: int) -> Iterator[tuple[str, Sequence[bytes]]]:
    """Extension headers, wrong lengths, and fragments, of the connection to a port."""
    plain = _ack(port, b"data")
    yield "hop-by-hop options", [behind(_PADDING, HOP_BY_HOP, plain)]
    yield "unknown option", [behind(b"\0\0\x80\x04\0\0\0\0", OPTIONS, plain)]
    yield "routing header, done", [behind(b"\0\0\0\0\0\0\0\0", _ROUTING, plain)]
    chain = plain
    for _ in range(6):
        chain = behind(_PADDING, OPTIONS, chain)
    yield "chain", [behind(_PADDING, HOP_BY_HOP, chain)]
    yield "options that end beyond the packet", [behind(b"\0\xff\1\4\0\0\0\0", OPTIONS, plain)]
    yield "no next header", [plain[:6] + b"\x3b" + plain[7:]]
    yield "payload length too long", [_with_length(plain, 25)]
    yield "payload length too short for TCP", [_with_length(plain, 12)]
    yield "payload length shorter than the frame", [_with_length(_ack(port), 20) + bytes(6)]
    yield "payload length 0", [_with_length(plain, 0)]
    yield "cut off in the header", [plain[:30]]
    yield "cut off in the ports", [_with_length(plain[:42], 2)]
    yield "TCP header of 4 words", [plain[:52] + b"\x40" + plain[53:]]
    yield "TCP header of 15 words", [plain[:52] + b"\xf0" + plain[53:]]
    datagram = udp(CLIENT, VIP, 5000, port, b"data")
    yield "UDP length too long", [datagram[:44] + b"\0\x0d" + datagram[46:]]
    yield "UDP length too short", [datagram[:44] + b"\0\x07" + datagram[46:]]
    yield "UDP without a checksum", [datagram[:46] + b"\0\0" + datagram[48:]]
    whole = udp(CLIENT, VIP, 5000, port, bytes(range(200)) * 5)
    yield "fragments, one twice", [fragment(whole, 0, 504, 78)] * 2
    large = udp(CLIENT, VIP, 5000, port, bytes(range(200)) * 7)
    yield "uneven fragments", [fragment(large, 0, 104, 83), fragment(large, 104, 1408, 83)]
    yield "three fragments", [fragment(large, start, start + 504, 84) for start in (0, 504, 1008)]
    yield "ragged fragment", [fragment(whole, 0, 501, 79), fragment(whole, 504, 1008, 79)]
    yield "fragment beyond 65535", [fragment(whole, 0, 504, 80), _at_the_end(fragment(whole, 504, 1008, 80))]
    yield "first fragment without ports", [fragment(behind(_PADDING, OPTIONS, whole), 0, 8, 81)]
    yield (
        "inner overlap",
        [
            fragment(whole, 0, 504, 82),
            fragment(whole, 104, 208, 82),
            fragment(whole, 504, 1008, 82),
        ],
    )


def _odd_errors(reply: bytes, about_reply: bytes, request: bytes) -> Iterator[Sent]:
    """ICMPv6 errors that only just match the VS-NAT connection, or do not."""
    router = "2001:db8:1::9"
    for name, quoted in (
        ("quotes the ports only", reply[:48]),
        ("quotes half of the ports", reply[:42]),
        ("quotes half a header", reply[:20]),
        ("quotes nothing", b""),
        ("quotes extension headers", behind(_PADDING, OPTIONS, reply)),
        ("quotes a fragment", fragment(reply, 0, 16)),
        ("quotes a later fragment", fragment(reply, 16, 24)),
        ("quotes an error", about_reply),
        ("quotes an endless chain", behind(b"\0\xff\1\4\0\0\0\0", OPTIONS, reply)),
        ("quotes IPv4", b"\x45" + reply[1:]),
    ):
        yield Sent(f"error {name}", CLIENTS, [error(router, VIP, 1, 0, 0, quoted)])
    yield Sent("error with a code", CLIENTS, [error(router, VIP, 2, 7, 1300, reply)])
    yield Sent("error of an unknown type", CLIENTS, [error(router, VIP, 100, 0, 0, reply)])
    yield Sent("error with hop limit 1", CLIENTS, [about_reply[:7] + b"\1" + about_reply[8:]])
    yield Sent("error behind options", CLIENTS, [behind(_PADDING, OPTIONS, about_reply)])
    wrong = about_reply[:42] + b"\xab\xcd" + about_reply[44:]
    yield Sent("error with a wrong checksum", CLIENTS, [wrong])
    narrow = error("fd00::9", CLIENT, 2, 0, 1000, request)
    yield Sent("error with an MTU below 1280", SERVERS, [narrow])


def _with_length(packet: bytes, length: int) -> bytes:
    return packet[:4] + struct.pack("!H", length) + packet[6:]


def _at_the_end(later: bytes) -> bytes:
    """The fragment, at the highest possible offset."""
    return later[:42] + b"\xff\xf8" + later[44:]


def framed(side: str, packet: bytes) -> bytes:
    return ipv6_packets.framed(MACS[side], NEIGHBOURS[side], packet)


# ---- the kernel ----


def record() -> Recording:
    """Record this kernel's answers, between two cables of this network namespace."""
    cables = build(forwarding=1)
    _run("ipvsadm", "-R", text="".join(f"{line}\n" for line in lines()))
    saved = _run("ipvsadm", "-Sn")
    listed = _run("ipvsadm", "-Ln")
    frames = []
    for number, probe in enumerate(sent()):
        for packet in probe.packets:
            cables[probe.side].send(framed(probe.side, packet))
        if probe.name != "clients":
            out = [[side, frame.hex()] for side, frame in _received(cables, probe.side, number)]
            frames.append({"name": probe.name, "out": out})
    table = Path("/proc/net/ip_vs_conn").read_text().splitlines()[1:]
    chosen = [_ends(line.split()) for line in table if line.startswith("TCP")]
    return {
        "kernel": os.uname().release,
        "player": player(),
        "saved": saved,
        "listed": listed,
        "frames": frames,
        "connections": sorted(ends for ends in chosen if ends[1] < 80 + len(_HASHES)),
    }


def _ends(words: list[str]) -> tuple[str, int, str]:
    """The client, the VIP's port and the real server of a line of /proc/net/ip_vs_conn."""
    client, server = (str(IPv6Address(word)) if ":" in word else word for word in (words[1], words[5]))
    return f"[{client}]:{int(words[2], 16)}", int(words[4], 16), server


def build(forwarding: int) -> dict[str, socket.socket]:
    """The cables of this namespace's kernel; `forwarding` is whether it forwards IP packets itself.

    The other ends are in this namespace as well, without IP addresses.
    """
    _run("sysctl", "-qw", f"net.ipv6.conf.all.forwarding={forwarding}", f"net.ipv4.ip_forward={forwarding}")
    cables = {}
    for side, mac in MACS.items():
        ours, theirs = f"{side}-far", f"d-{side}"
        _run("ip", "link", "add", theirs, "address", mac, "type", "veth", "peer", "name", ours)
        _run("sysctl", "-qw", f"net.ipv6.conf.{ours}.disable_ipv6=1", f"net.ipv6.conf.{theirs}.accept_dad=0")
        _run("ip", "link", "set", ours, "address", NEIGHBOURS[side], "up")
        _run("ip", "link", "set", theirs, "up")
        _run("ethtool", "-K", theirs, "tx", "off")
        for address in ADDRESSES[side]:
            _run("ip", "addr", "add", address, "dev", theirs)
        cables[side] = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        cables[side].bind((ours, 3))
    _run("ip", "route", "add", "2001:db8:1::/48", "dev", f"d-{CLIENTS}")
    for address in (CLIENT, "2001:db8:1::9"):
        _permanent(address, CLIENTS)
    for address in (*_NEXT, "fd00::9", "192.0.2.3"):
        _permanent(address, SERVERS)
    return cables


def _permanent(address: str, side: str) -> None:
    mac = NEIGHBOURS[side]
    _run("ip", "neigh", "replace", address, "lladdr", mac, "dev", f"d-{side}", "nud", "permanent")


def _received(cables: dict[str, socket.socket], side: str, number: int) -> Iterator[tuple[str, bytes]]:
    """What the director has sent by the time it answers a ping from a side, without neighbour discovery."""
    own, other = _PINGS[side]
    ping = struct.pack("!BBHHH", 128, 0, 0, 0, number)
    message = ip(other, own, ICMP, with_checksum(other, own, ICMP, ping, 2))
    cables[side].send(framed(side, message))
    until = monotonic() + patient(2)
    answered = False
    while not answered and monotonic() < until:
        select.select(list(cables.values()), [], [], until - monotonic())
        for name, cable in cables.items():
            for frame in _waiting(cable):
                if frame[54:56] == b"\x81\0" and frame[60:62] == ping[6:]:
                    answered = True
                elif is_for_hosts(frame):
                    yield name, frame
    if not answered:
        raise RuntimeError(f"no answer to a ping of {own}")


def _waiting(cable: socket.socket) -> Iterator[bytes]:
    """The frames from the director that are waiting to be read."""
    with suppress(BlockingIOError):
        while True:
            frame, (_, _, kind, *_) = cable.recvfrom(65536, socket.MSG_DONTWAIT)
            if kind != socket.PACKET_OUTGOING:
                yield frame


def _run(*command: str, text: str | None = None) -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode or done.stderr:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


if __name__ == "__main__":
    json.dump(record(), sys.stdout)
