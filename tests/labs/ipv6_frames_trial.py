"""The part of test_ipv6_frames_live.py that runs in its own namespaces.

Started as `python ipv6_frames_trial.py ENGINE MORE` inside `unshare`: sends oracle.ipv6_frames to a director
that is a process, then odd and malformed frames, and prints as JSON what came out. MORE malformed frames
follow as fast as possible; the director and one earlier connection only have to survive them. A director with
a program in the kernel is then killed and succeeded by another.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import IPv6Address
from pathlib import Path
from time import monotonic
from typing import Any

from director.control.channel import call
from director.ipvsadm import save_format
from labs.wait import patient, poll_until
from oracle import ipv6_frames, packets
from oracle.ipv6_frames import CLIENT, CLIENTS, MACS, NEIGHBOURS, SERVERS, VIP, framed
from oracle.ipv6_packets import is_for_hosts
from tests.labs.malformed import malformed, malformed_ipv6

SOCKET = "/run/lvs-frames.sock"
SEED, COUNT = 6, 240
_AT_ONCE, _DAMAGED, _ETHERNET, _MTU = 64, 0.7, 14, 1500  # frames, share of them, bytes
_SETTINGS = ("net.ipv6.icmp.ratelimit=0", "net.ipv6.auto_flowlabels=0", "net.ipv4.icmp_ratelimit=0")
_TCP, _UDP, _ICMP, _FRAGMENT, _SOLICITATION = 6, 17, 58, 44, 135
_HOP_BY_HOP, _ROUTING, _AUTHENTICATION, _NOTHING, _OPTIONS, _ESP = 0, 43, 51, 59, 60, 50
_LIMITED = (1, 3, 4)  # types of ICMPv6 errors of which a director sends so many a second
Frame = tuple[str, bytes]
FIRST_PORT = 100
_WITHOUT_A_HASH = ("rr", "wrr", "lc", "wlc", "sed", "nq", "rr -p 300")
SCHEDULERS = (*_WITHOUT_A_HASH, "sh -b sh-fallback,sh-port", "mh -b mh-fallback")


class Trial:
    def __init__(self, engine: str) -> None:
        self._engine = engine
        self._cables = ipv6_frames.build(forwarding=0)
        subprocess.run(["sysctl", "-qw", *_SETTINGS], check=True)
        for cable in self._cables.values():
            cable.setblocking(False)
        self._start()

    def _start(self) -> None:
        Path(SOCKET).unlink(missing_ok=True)
        options = ("--engine", self._engine, "--scheduler", "wlc", "--conn-limit", "4096", "--socket", SOCKET)
        interfaces = [f"d-{side}" for side in MACS]
        self.director = subprocess.Popen([sys.executable, "-m", "director", *options, *interfaces])
        poll_until(lambda: Path(SOCKET).exists() or self.director.poll() is not None, bool, 30)

    def ask(self, what: str, **request: Any) -> dict[str, Any]:
        return dict(call(SOCKET, {"do": what, **request}, timeout=patient(10)))

    def send(self, side: str, frame: bytes) -> None:
        self._cables[side].send(frame)

    def exchange(self, side: str, frame: bytes) -> list[list[str]]:
        """Send a frame, and return what comes out.

        By its answer to a second request, the director's loop has looked at its wires.
        """
        self.send(side, frame)
        out: list[list[str]] = []
        replied = True
        while replied:
            for _ in range(2):
                self.ask("counters")
            received = list(self._received())
            replied = sum(self._reply(*one) for one in received) > 0
            out += [[side, data.hex()] for side, data in received if is_for_hosts(data)]
        return out

    def _received(self) -> Iterator[Frame]:
        for side, cable in self._cables.items():
            try:
                while True:
                    frame, (_, _, kind, *_) = cable.recvfrom(65536)
                    if kind != socket.PACKET_OUTGOING:
                        yield side, frame
            except BlockingIOError:
                pass

    def _reply(self, side: str, frame: bytes) -> bool:
        """As the neighbour that the director looks for."""
        own = bytes.fromhex(NEIGHBOURS[side].replace(":", ""))
        if frame[12:14] == b"\x08\x06" and frame[20:22] == b"\0\1":
            reply = frame[12:20] + b"\0\2" + own + frame[38:42] + frame[22:32]
        elif frame[12:14] == b"\x86\xdd" and frame[20] == _ICMP and frame[54] == _SOLICITATION:
            target, asker = frame[62:78], frame[22:38]
            body = struct.pack("!BBHI", 136, 0, 0, 0x60000000) + target + b"\2\1" + own
            body = body[:2] + checksum(target + asker, _ICMP, body) + body[4:]
            header = struct.pack("!IHBB", 6 << 28, len(body), _ICMP, 255)
            reply = b"\x86\xdd" + header + target + asker + body
        else:
            return False
        self._cables[side].send(frame[6:12] + own + reply)
        return True

    def tables(self) -> dict[str, Any]:
        rows = self.ask("connections")["connections"]
        servers = [
            [service["protocol"], service["port"], server["address"], server["active"], server["inactive"]]
            for service in self.ask("list")["services"]
            for server in service["servers"]
        ]
        ends = [[row[name] for name in ("protocol", "client", "vip", "server", "state")] for row in rows]
        return {"connections": sorted(ends), "servers": servers}

    def succeed(self) -> dict[str, Any]:
        """Kill the director; the program forwards without it, and another director has all that it had."""
        before = self.tables()
        acknowledgement = framed(CLIENTS, tcp(CLIENT, VIP, 5000, 90, 0x10))
        self.director.send_signal(signal.SIGKILL)
        self.director.wait()
        self.send(CLIENTS, acknowledgement)
        meanwhile = poll_until(
            lambda: [[side, data.hex()] for side, data in self._received() if is_for_hosts(data)], bool, 10
        )
        self._start()
        observed = {"before": before, "meanwhile": meanwhile, "after": self.tables()}
        self.ask("apply", commands=save_format.read("-Z"))
        observed["then"] = self.exchange(CLIENTS, acknowledgement)
        services = self.ask("list")["services"]
        observed["packets"] = next(service["packets_in"] for service in services if service["port"] == 90)
        return observed


# ---- odd packets ----


def checksum(addresses: bytes, protocol: int, body: bytes) -> bytes:
    covered = addresses + struct.pack("!IHBB", len(body), 0, 0, protocol) + body
    return struct.pack("!H", packets.checksum(covered))


def packed(source: str, dest: str) -> bytes:
    return IPv6Address(source).packed + IPv6Address(dest).packed


def ip(source: str, dest: str, protocol: int, body: bytes, *, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return struct.pack("!IHBB", 6 << 28, size, protocol, 64) + packed(source, dest) + body


def tcp(source: str, dest: str, sport: int, dport: int, flags: int, data: bytes = b"") -> bytes:
    body = struct.pack("!HHIIBBHHH", sport, dport, 1, 0, 5 << 4, flags, 65535, 0, 0) + data
    body = body[:16] + checksum(packed(source, dest), _TCP, body) + body[18:]
    return ip(source, dest, _TCP, body)


def more_rules() -> Iterator[str]:
    """Services with the other schedulers, and such as the program leaves to the core or to its kernel."""
    for port, scheduler in enumerate(SCHEDULERS, start=FIRST_PORT):
        yield f"-A -t [{VIP}]:{port} -s {scheduler}"
        for weight, server in enumerate(("fd00::2", "fd00::3", "fd00::4"), start=1):
            yield f"-a -t [{VIP}]:{port} -r [{server}]:{port} -{'gm'[port % 2]} -w {weight} -x 9"
    yield f"-A -u [{VIP}]:120 -s rr -o"
    yield f"-a -u [{VIP}]:120 -r [fd00::2]:120 -m"
    yield f"-A -t [{VIP}]:121 -s rr"
    yield f"-a -t [{VIP}]:121 -r [2001:db8::1]:121 -m"  # the local node
    yield f"-a -t [{VIP}]:121 -r 192.0.2.3:121 -i"
    yield f"-a -t [{VIP}]:121 -r [fd00::3]:121 -i"


def scheduled() -> Iterator[Frame]:
    """New connections, every other of which is established, and some of which end."""
    for number in range(9):
        client = f"2001:db8:1:{number // 3}::{number}"
        for port in (*range(FIRST_PORT, FIRST_PORT + len(SCHEDULERS)), 94, 121):
            yield CLIENTS, framed(CLIENTS, tcp(client, VIP, 7000, port, 0x02))
            if number % 2:
                yield CLIENTS, framed(CLIENTS, tcp(client, VIP, 7000, port, 0x10))
        start = struct.pack("!HHH", 7000, 120, 8)
        body = start + checksum(packed(client, VIP), _UDP, start + bytes(2))
        yield CLIENTS, framed(CLIENTS, ip(client, VIP, _UDP, body))


def odd() -> Iterator[Frame]:
    """Chains of extension headers, lengths that lie, fragments, errors about errors, no checksums."""
    syn = tcp(CLIENT, VIP, 6000, 90, 0x02)[40:]
    extension = {  # without the byte that names the next header
        _HOP_BY_HOP: b"\0\1\4\0\0\0\0",
        _ROUTING: b"\0\0\0\0\0\0\0",
        _OPTIONS: b"\1" + b"\1\x0c" + bytes(12),
        _AUTHENTICATION: b"\1" + bytes(10),
        _FRAGMENT: bytes(7),
    }

    def chain(*kinds: int, last: int = _TCP, body: bytes = syn) -> bytes:
        headers = b"".join(
            bytes([after]) + extension[kind] for kind, after in zip(kinds, (*kinds[1:], last), strict=True)
        )
        return ip(CLIENT, VIP, kinds[0], headers + body)

    for kinds in (
        *([kind] for kind in extension),
        [_HOP_BY_HOP, _OPTIONS, _ROUTING],
        [_OPTIONS] * 8,
        [_OPTIONS] * 9,
        [_FRAGMENT, _OPTIONS],
        [_OPTIONS, _FRAGMENT],
        [_FRAGMENT, _FRAGMENT],
    ):
        yield CLIENTS, framed(CLIENTS, chain(*kinds))
    echo = struct.pack("!BBHHH", 128, 0, 0, 1, 1)
    echo = echo[:2] + checksum(packed(CLIENT, VIP), _ICMP, echo) + echo[4:]
    jumbo = bytes([_TCP, 0, 0xC2, 4]) + struct.pack("!I", 70000)
    port_unreachable = struct.pack("!BBHI", 1, 4, 0, 0)
    quoted = ip(CLIENT, VIP, _ICMP, port_unreachable + syn)
    for packet in (
        chain(_OPTIONS, last=_ICMP, body=echo),
        ip(CLIENT, VIP, _ICMP, echo),
        chain(_OPTIONS, last=_NOTHING, body=b""),
        ip(CLIENT, VIP, _NOTHING, b""),
        ip(CLIENT, VIP, _ESP, bytes(24)),
        ip(CLIENT, VIP, _HOP_BY_HOP, jumbo + syn, length=0),
        ip(CLIENT, VIP, _TCP, syn, length=0),
        ip(CLIENT, VIP, _TCP, syn, length=len(syn) + 1),
        ip(CLIENT, VIP, _TCP, syn + b"padding", length=len(syn)),
        ip(CLIENT, VIP, _TCP, syn[:12] + b"\x40" + syn[13:]),
        ip(CLIENT, VIP, _TCP, syn[:12] + b"\xf0" + syn[13:]),
        ip(CLIENT, VIP, _UDP, struct.pack("!HHHH", 6001, 90, 12, 0) + b"data"),
        ip(CLIENT, VIP, _UDP, struct.pack("!HHHH", 6001, 91, 12, 0) + b"data"),
        ip(CLIENT, VIP, _UDP, struct.pack("!HHHH", 6001, 92, 4, 1) + b"data"),
        ip(CLIENT, VIP, _ICMP, port_unreachable + quoted),
        tcp(CLIENT, VIP, 20, 90, 0x02),
        tcp(CLIENT, VIP, 6002, 90, 0x10),
        tcp(CLIENT, VIP, 6003, 99, 0x02),
        tcp(CLIENT, VIP, 5000, 90, 0x11),
        tcp(CLIENT, VIP, 5000, 90, 0x04),
        tcp(CLIENT, VIP, 5000, 90, 0x02),
    ):
        yield CLIENTS, framed(CLIENTS, packet)
    for flags in (0x12, 0x10, 0x11):
        yield SERVERS, framed(SERVERS, tcp("fd00::2", CLIENT, 8000, 5000, flags))
    of_ipv4 = framed(CLIENTS, ip(CLIENT, VIP, _TCP, syn))[:12] + b"\x08\x00"
    yield CLIENTS, of_ipv4 + tcp(CLIENT, VIP, 6004, 90, 0x02)


def good() -> list[Frame]:
    recorded = [(one.side, framed(one.side, packet)) for one in ipv6_frames.sent() for packet in one.packets]
    return [*recorded[:60], *odd()]


def damaged() -> Iterator[Frame]:
    """Good and odd frames with bytes changed or cut off."""
    chance = random.Random(SEED)
    frames = good()
    for _ in range(COUNT):
        side, frame = chance.choice(frames)
        changed = malformed(frame, chance)
        if len(changed) >= 14:
            yield side, changed


def steady(flags: int) -> Frame:
    """A client's packet in VS-DR, where its connection is established without a reply."""
    return CLIENTS, framed(CLIENTS, tcp("2001:db8:1:77::1", VIP, 7000, FIRST_PORT, flags))


def survives(trial: Trial, number: int) -> dict[str, int]:
    """Send that many frames; query the director now and then, so that it keeps up."""
    chance = random.Random(SEED + 1)
    frames = good()
    for _ in range(0, number, _AT_ONCE):
        for _ in range(_AT_ONCE):
            side, frame = chance.choice(frames)
            changed = malformed_ipv6(frame, chance) if chance.random() < _DAMAGED else frame
            if _ETHERNET <= len(changed) <= _ETHERNET + _MTU:
                trial.send(side, changed)
        trial.exchange(*steady(0x10))
    end = trial.exchange(*steady(0x10))
    engine, process = (trial.ask("counters")[name] for name in ("engine", "process"))
    return {"failed": engine["failed"], "errors": process["internal_errors"], "served": len(end)}


def counted(frames: list[list[str]]) -> list[list[str]]:
    """Without the errors that a director sends so often and no more: which of them depends on the time."""
    kept = []
    for side, text in frames:
        frame = bytes.fromhex(text)
        limited = frame[12:14] == b"\x86\xdd" and frame[20] == _ICMP and frame[54] in _LIMITED
        if not (limited and frame[22:38] in (IPv6Address(VIP).packed, IPv6Address("2001:db8::1").packed)):
            kept.append([side, text])
    return kept


def main(engine: str, more: str) -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # one queue keeps frames in order
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
    trial = Trial(engine)
    for line in ipv6_frames.lines():
        trial.ask("apply", commands=save_format.read(line))
    recorded = []
    for one in ipv6_frames.sent():
        *first, last = (framed(one.side, packet) for packet in one.packets)
        for frame in first:
            trial.send(one.side, frame)
        out = trial.exchange(one.side, last)
        if one.name != "clients":
            recorded.append({"name": one.name, "out": out})
    report: dict[str, Any] = {"recorded": recorded, "chosen": trial.tables()["connections"]}
    began = monotonic()
    for line in more_rules():
        trial.ask("apply", commands=save_format.read(line))
    for flags in (0x02, 0x10):
        trial.exchange(*steady(flags))
    for name, frames in (("scheduled", scheduled()), ("odd", odd()), ("damaged", damaged())):
        report[name] = [
            {"in": [side, frame.hex()], "out": counted(trial.exchange(side, frame))} for side, frame in frames
        ]
    report["tables"] = trial.tables()
    report["took"] = monotonic() - began
    report["engine"] = trial.ask("counters")["engine"]
    report["survived"] = survives(trial, int(more))
    if engine == "ebpf":
        report["next"] = trial.succeed()
    trial.director.terminate()
    trial.director.wait(patient(20))
    print(json.dumps(report))


if __name__ == "__main__":
    main(*sys.argv[1:])
