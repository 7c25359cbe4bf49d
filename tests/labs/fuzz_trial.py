"""The part of test_fuzz_live.py that runs in namespaces of its own.

Started as `python fuzz_trial.py ENGINE METHOD SEED COUNT` inside `unshare`; prints, as JSON, what the
director did with each frame, and what it has in the end.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from typing import Any

from scapy.layers.inet import ICMP, IP, TCP, UDP

from labs.methods import FLAGS
from oracle import packets
from oracle.live import Live
from oracle.site import (
    CLIENTS,
    DIP,
    DIRECTOR_MACS,
    GATEWAY_MAC,
    INSIDE,
    SERVERS,
    Place,
    mac_of,
    server,
)
from oracle.talk import Frame
from oracle.wire import Wires
from tests.labs.spoilt import spoilt, with_right_checksum

PLACE = Place(1)
VIP, CLIENT, RS = PLACE.vip, PLACE.client(2), server(1)
_ETHERNET = 14


def rules(method: str) -> list[str]:
    lines = []
    for service in (f"-t {VIP}:80", f"-u {VIP}:80", f"-t {VIP}:21"):
        port = service.rpartition(":")[2]
        lines += [
            f"-A {service} -s rr",
            *(f"-a {service} -r {server(n)}:{port} {FLAGS[method]}" for n in (1, 2)),
        ]
    return lines


def samples() -> list[Frame]:
    """Frames that mean something to a director, in an order in which they do."""
    asks = [
        IP(src=CLIENT, dst=VIP) / TCP(sport=1025, dport=port, flags=flags, seq=1000) / data
        for port in (80, 21)
        for flags, data in (("S", b""), ("A", b"PORT 198,18,1,2,4,1\r\n"), ("FA", b""), ("R", b""))
    ]
    answers = [
        IP(src=RS, dst=CLIENT) / TCP(sport=port, dport=1025, flags=flags, seq=2000) / data
        for port in (80, 21)
        for flags, data in (("SA", b""), ("A", b"227 (172,16,0,11,9,9)\r\n"), ("FA", b""))
    ]
    request = bytes(IP(src=CLIENT, dst=RS) / TCP(sport=1025, dport=80))[:28]
    reply = bytes(IP(src=VIP, dst=CLIENT) / TCP(sport=80, dport=1025))[:28]
    tunnelled = bytes(IP(src=INSIDE, dst=RS, proto=4) / IP(src=CLIENT, dst=VIP) / TCP(sport=1025, dport=80))
    asks += [
        IP(src=CLIENT, dst=VIP) / UDP(sport=9, dport=80) / b"abc",
        IP(src=CLIENT, dst=VIP, flags="MF", id=7) / UDP(sport=9, dport=80) / bytes(24),
        IP(src=CLIENT, dst=VIP) / ICMP(type=3, code=4, nexthopmtu=1400) / reply,
        IP(src=CLIENT, dst=VIP) / ICMP(type=11) / reply,
        IP(src=CLIENT, dst=VIP) / ICMP(id=1, seq=1),
        IP(src=CLIENT, dst=DIP) / ICMP(id=1, seq=2),
    ]
    answers += [
        IP(src=RS, dst=CLIENT) / UDP(sport=80, dport=9) / b"abc",
        IP(src=RS, dst=CLIENT) / ICMP(type=3, code=1) / request,
        IP(src=RS, dst=INSIDE) / ICMP(type=3, code=4, nexthopmtu=1300) / tunnelled,
    ]
    both = [(CLIENTS, bytes(one)) for one in asks] + [(SERVERS, bytes(one)) for one in answers]
    return [(side, _framed(side, packet)) for side, packet in both]


def _framed(side: str, packet: bytes) -> bytes:
    macs = DIRECTOR_MACS[side] + (GATEWAY_MAC if side == CLIENTS else mac_of(RS))
    return bytes.fromhex(macs.replace(":", "")) + b"\x08\x00" + packet


def frames(chance: random.Random, count: int) -> list[Frame]:
    """Good ones first, then bad ones, each of which a good one may follow."""
    good = samples()
    mixed = list(good)
    while len(mixed) < count:
        side, frame = chance.choice(good)
        if chance.random() < 0.7:
            frame = spoilt(frame, chance)
            frame = with_right_checksum(frame) if chance.random() < 0.7 else frame
        if len(frame) >= _ETHERNET:
            mixed.append((side, frame))
    return mixed


def comparable(frame: Frame) -> tuple[str, str]:
    """The kernel's own messages have identifications that it takes from anywhere."""
    side, data = frame
    if len(data) > 34 and data[23] == packets.ICMP:
        data = data[:18] + b"\0\0" + data[20:24] + b"\0\0" + data[26:]
    return side, data.hex()


def main(engine: str, method: str, seed: str, count: str) -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # one queue: what comes in stays in order
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)  # for `ip netns`
    wires = Wires()
    plane = Live(wires, method, engine)
    plane.rules(rules(method))
    told: list[Any] = []
    for frame in frames(random.Random(int(seed)), int(count)):
        out = plane.exchange(frame)
        told.append({"in": [frame[0], frame[1].hex()], "out": [comparable(each) for each in out]})
    tables = plane.look(PLACE)
    ends = {name: (entry.server, entry.state) for name, entry in tables.connections.items()}
    loads = {name: (load.active, load.inactive) for name, load in tables.servers.items()}
    plane.close()
    wires.close()
    print(json.dumps({"frames": told, "connections": ends, "loads": loads}))


if __name__ == "__main__":
    main(*sys.argv[1:])
