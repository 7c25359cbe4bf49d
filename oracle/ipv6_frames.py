"""IPv6 on kernel IPVS: what it answers to a list of frames, and which real servers its hashes choose.

Scenarios have addresses of IPv4 only; this is a recording of its own, in recorded/. The director has the
clients on one cable and the real servers on another:

    2001:db8:1::/48 behind the clients' cable ── 2001:db8::1, VIP 2001:db8::80 ── fd00::1 ── fd00::2 to ::5
                                                                              192.0.2.1 ── 192.0.2.3

Inside `unshare --net --mount` as root, `python -m oracle.ipv6_frames` sends them to this kernel and prints a
new recording as JSON.
"""

from __future__ import annotations

import json
import os
import random
import select
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from ipaddress import IPv6Address
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from oracle import json_xz, packets

FILE = Path(__file__).with_name("recorded") / "ipv6.json.xz"
VIP, CLIENT = "2001:db8::80", "2001:db8:1::65"
CLIENTS, SERVERS = "c", "s"  # the cables
MACS = {CLIENTS: "02:00:00:00:00:01", SERVERS: "02:00:00:00:00:09"}  # the director's
NEIGHBOURS = {CLIENTS: "02:00:00:00:00:02", SERVERS: "02:00:00:00:00:03"}
ADDRESSES = {CLIENTS: ("2001:db8::1/64", f"{VIP}/128"), SERVERS: ("fd00::1/64", "192.0.2.1/24")}
_NEXT = {"fd00::2", "fd00::3", "fd00::4", "fd00::5"}
_HASHES = ("sh", "sh -b sh-port", "sh -b sh-fallback", "dh", "mh", "mh -b mh-port")  # from port 80 on
_TCP, _UDP, _FRAGMENT, _ICMP, _OPTIONS = 6, 17, 44, 58, 60
_SYN, _ACK = 0x02, 0x10
_ETHERTYPES = {4: b"\x08\x00", 6: b"\x86\xdd"}
_QUIET = 0.4  # seconds without a frame, after which the kernel has sent all

# kernel, saved, frames (name, sent, and what came out of it), connections
Recording = json_xz.Recording


def read(file: Path = FILE) -> Recording:
    recording: Recording = json_xz.read(file)
    return recording


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
    name: str
    side: str
    packets: Sequence[bytes]


def sent() -> Iterator[Sent]:
    """In this order: first the packets whose answers are compared, then many new clients."""
    for method, port in (("nat", 90), ("dr", 91), ("6in6", 92), ("6in4", 93)):
        yield Sent(f"{method} syn", CLIENTS, [_tcp(CLIENT, VIP, 5000, port, _SYN, traffic_class=0x2B)])
        yield Sent(f"{method} ack", CLIENTS, [_tcp(CLIENT, VIP, 5000, port, _ACK, b"data")])
        yield Sent(f"{method} udp", CLIENTS, [_udp(CLIENT, VIP, 5000, port, b"data")])
        for size in (1400, 1440):
            data = bytes(size)
            yield Sent(f"{method} {size}", CLIENTS, [_tcp(CLIENT, VIP, 5000, port, _ACK, data)])
        yield Sent(f"{method} hop limit", CLIENTS, [_tcp(CLIENT, VIP, 5000, port, _ACK, hop_limit=1)])
        options = struct.pack("!BBBB4x", _TCP, 0, 1, 4)
        later = _tcp(CLIENT, VIP, 5000, port, _ACK)[40:]
        yield Sent(f"{method} options", CLIENTS, [_ip(CLIENT, VIP, _OPTIONS, options + later)])
        if method in ("nat", "dr"):  # differs in tunnels: atomic-fragments
            yield Sent(f"{method} atomic", CLIENTS, [_fragment(_TCP, 0, later, more=False)])
        whole = _udp(CLIENT, VIP, 5000, port, bytes(range(200)) * 10)[40:]
        parts = [_fragment(_UDP, 0, whole[:1200], more=True), _fragment(_UDP, 1200, whole[1200:], more=False)]
        if method != "6in4":  # the kernel keeps where they were cut, if the outer header leaves room for that
            yield Sent(f"{method} fragments", CLIENTS, parts)
            yield Sent(f"{method} fragments, last first", CLIENTS, parts[::-1])
        overlapping = [parts[0], _fragment(_UDP, 800, whole[800:], more=False)]
        yield Sent(f"{method} overlapping", CLIENTS, overlapping)
    reply = _tcp("fd00::2", CLIENT, 8000, 5000, _SYN | _ACK)
    yield Sent("reply", SERVERS, [reply])
    quoted = _tcp(CLIENT, "fd00::2", 5000, 8000, _ACK, bytes(1200))
    for kind, code, number in ((1, 1, 0), (1, 4, 0), (2, 0, 1400), (3, 0, 0), (4, 1, 40)):
        yield Sent(f"error {kind} {code}", SERVERS, [_error("fd00::9", CLIENT, kind, code, number, quoted)])
    ours = _tcp(VIP, CLIENT, 90, 5000, _ACK, b"page")
    yield Sent("error about a reply", CLIENTS, [_error("2001:db8:1::9", VIP, 2, 0, 1300, ours)])
    yield Sent("no server", CLIENTS, [_tcp(CLIENT, VIP, 5000, 95, _SYN)])
    chance = random.Random(6)
    network = int(IPv6Address("2001:db8:1::"))
    for _ in range(48):
        client = str(IPv6Address(network | chance.getrandbits(80)))
        ports = range(80, 80 + len(_HASHES))
        many = [_tcp(client, VIP, chance.randrange(1024, 65536), port, _SYN) for port in ports]
        yield Sent("clients", CLIENTS, many)


def framed(side: str, packet: bytes) -> bytes:
    macs = (MACS[side] + NEIGHBOURS[side]).replace(":", "")
    return bytes.fromhex(macs) + _ETHERTYPES[packet[0] >> 4] + packet


def comparable(frame: bytes) -> str:
    """Without what a director chooses: a tunnel's or fragment's identification, an error's flow label.

    An error's quotation shows the hop limit, which the kernel has already decremented (quoted-ttl).
    """
    data = bytearray(frame)
    if data[12:14] == _ETHERTYPES[4]:
        data[18:20] = data[24:26] = bytes(2)
    elif data[20] == _FRAGMENT:
        data[58:62] = bytes(4)
    elif data[20] == _ICMP and data[54] < 128:
        data[15] &= 0xF0
        data[16:18] = data[56:58] = bytes(2)
        data[69] = 0
    return data.hex()


# ---- packets (RFC 8200, 4443, 9293) ----


def _ip(
    source: str, dest: str, protocol: int, body: bytes, hop_limit: int = 64, traffic_class: int = 0
) -> bytes:
    start = struct.pack("!IHBB", 6 << 28 | traffic_class << 20 | 0x12345, len(body), protocol, hop_limit)
    return start + _packed(source) + _packed(dest) + body


def _packed(address: str) -> bytes:
    return IPv6Address(address).packed


def _with_checksum(source: str, dest: str, protocol: int, body: bytes, at: int) -> bytes:
    covered = _packed(source) + _packed(dest) + struct.pack("!IHBB", len(body), 0, 0, protocol) + body
    return body[:at] + struct.pack("!H", packets.checksum(covered)) + body[at + 2 :]


def _tcp(
    source: str, dest: str, sport: int, dport: int, flags: int, data: bytes = b"", **header: int
) -> bytes:
    body = struct.pack("!HHIIBBHHH", sport, dport, 1, 0, 5 << 4, flags, 65535, 0, 0) + data
    return _ip(source, dest, _TCP, _with_checksum(source, dest, _TCP, body, 16), **header)


def _udp(source: str, dest: str, sport: int, dport: int, data: bytes) -> bytes:
    body = struct.pack("!HHHH", sport, dport, 8 + len(data), 0) + data
    return _ip(source, dest, _UDP, _with_checksum(source, dest, _UDP, body, 6))


def _fragment(protocol: int, offset: int, data: bytes, *, more: bool) -> bytes:
    return _ip(CLIENT, VIP, _FRAGMENT, struct.pack("!BBHI", protocol, 0, offset | more, 77) + data)


def _error(source: str, dest: str, kind: int, code: int, number: int, quoted: bytes) -> bytes:
    body = struct.pack("!BBHI", kind, code, 0, number) + quoted[:1232]
    return _ip(source, dest, _ICMP, _with_checksum(source, dest, _ICMP, body, 2))


# ---- the kernel ----


def record() -> Recording:
    """On the kernel of this network namespace, between two cables whose other ends are in another."""
    cables = build(forwarding=1)
    _run("ipvsadm", "-R", text="".join(f"{line}\n" for line in lines()))
    saved = _run("ipvsadm", "-Sn")
    listed = _run("ipvsadm", "-Ln")
    frames = []
    for one in sent():
        for packet in one.packets:
            cables[one.side].send(framed(one.side, packet))
        if one.name != "clients":
            out = [[side, frame.hex()] for side, frame in _received(cables)]
            frames.append({"name": one.name, "out": out})
    table = Path("/proc/net/ip_vs_conn").read_text().splitlines()[1:]
    chosen = [_ends(line.split()) for line in table if line.startswith("TCP")]
    return {
        "kernel": os.uname().release,
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
    """The cables of this namespace's kernel, which itself forwards IP packets or not.

    The other ends are in this namespace as well: frames that go in there reach no IP address.
    """
    _run("sysctl", "-qw", f"net.ipv6.conf.all.forwarding={forwarding}", f"net.ipv4.ip_forward={forwarding}")
    cables = {}
    for side, mac in MACS.items():
        ours, theirs = f"{side}-far", f"d-{side}"
        _run("ip", "link", "add", theirs, "address", mac, "type", "veth", "peer", "name", ours)
        _run("sysctl", "-qw", f"net.ipv6.conf.{ours}.disable_ipv6=1", f"net.ipv6.conf.{theirs}.accept_dad=0")
        _run("ip", "link", "set", ours, "address", NEIGHBOURS[side], "up")
        _run("ip", "link", "set", theirs, "up")
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


def _received(cables: dict[str, socket.socket]) -> Iterator[tuple[str, bytes]]:
    """What the director has sent, without neighbour discovery and the like."""
    sides = {cable: side for side, cable in cables.items()}
    until = monotonic() + _QUIET
    while (left := until - monotonic()) > 0:
        for cable in select.select(list(sides), [], [], left)[0]:
            frame, (_, _, kind, *_) = cable.recvfrom(65536)
            if kind != socket.PACKET_OUTGOING and is_answer(frame):
                yield sides[cable], frame
                until = monotonic() + _QUIET


def is_answer(frame: bytes) -> bool:
    """Whether it is no neighbour discovery and the like."""
    if frame[12:14] == _ETHERTYPES[6]:  # hop-by-hop options announce the groups that an address belongs to
        return not (frame[20] == 0 or (frame[20] == _ICMP and frame[54] >= 130))
    return frame[12:14] in _ETHERTYPES.values()


def _run(*command: str, text: str | None = None) -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode or done.stderr:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


if __name__ == "__main__":
    json.dump(record(), sys.stdout)
