"""The part of test_fuzz_live.py that runs in its own namespaces.

Started as `python fuzz_trial.py ENGINE METHOD SEED COUNT MORE` inside `unshare`; prints, as JSON, what the
director did with each of COUNT frames, and its state afterwards. MORE frames follow as fast as possible; the
director and one earlier connection only have to survive them.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
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
from tests.labs.malformed import malformed, with_correct_checksum

PLACE = Place(1)
VIP, CLIENT = PLACE.vip, PLACE.client(2)
RS, OTHER = server(1), server(2)  # the next in turn: of http, after the steady client, and of the others
STEADY = PLACE.client(99)  # its connection must survive all of them
_ETHERNET = 14
_AT_ONCE = 64  # frames
_ALERT, _ROUTE = b"\x94\x04\0\0", b"\x07\x0b\x04" + bytes(9)  # IP options: router alert, record route
_SOURCE_ROUTE, _WRONG = b"\x83\x07\x04\xc0\0\2\1\0", b"\1\1\x94\1"
_LATE = bytes([11, 1])  # type and code of "reassembly time exceeded": its time is arbitrary


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
    """Valid frames for a director, in a valid order."""
    asks = [
        IP(src=CLIENT, dst=VIP) / TCP(sport=1025, dport=port, flags=flags, seq=1000) / data
        for port in (80, 21)
        for flags, data in (("S", b""), ("A", b"PORT 198,18,1,2,4,1\r\n"), ("FA", b""), ("R", b""))
    ]
    answers = [
        IP(src=source, dst=CLIENT) / TCP(sport=port, dport=1025, flags=flags, seq=2000) / data
        for source, port in ((RS, 80), (OTHER, 21))
        for flags, data in (("SA", b""), ("A", b"227 (172,16,0,12,9,9)\r\n"), ("FA", b""))
    ]
    request = bytes(IP(src=CLIENT, dst=RS) / TCP(sport=1025, dport=80))[:28]
    reply = bytes(IP(src=VIP, dst=CLIENT) / TCP(sport=80, dport=1025))[:28]
    tunnelled = bytes(IP(src=INSIDE, dst=RS, proto=4) / IP(src=CLIENT, dst=VIP) / TCP(sport=1025, dport=80))
    asks += [
        IP(src=CLIENT, dst=VIP) / UDP(sport=9, dport=80) / b"abc",
        IP(src=CLIENT, dst=VIP) / UDP(sport=9, dport=80, chksum=0) / b"abc",
        IP(src=CLIENT, dst=VIP, flags="MF", id=7) / UDP(sport=9, dport=80) / bytes(24),
        IP(src=CLIENT, dst=VIP, frag=4, id=7, proto=17) / bytes(9),
        IP(src=CLIENT, dst=VIP, flags="MF", id=8, proto=6) / bytes(TCP(sport=1026, dport=80, flags="S"))[:8],
        IP(src=CLIENT, dst=VIP, frag=1, id=8, proto=6) / bytes(TCP(sport=1026, dport=80, flags="S"))[8:],
        IP(src=PLACE.client(3), dst=VIP, options=_ALERT) / UDP(sport=9, dport=80) / b"abc",
        IP(src=PLACE.client(4), dst=VIP, options=_ROUTE) / UDP(sport=9, dport=80) / b"abc",
        IP(src=PLACE.client(5), dst=VIP, options=_SOURCE_ROUTE) / UDP(sport=9, dport=80) / b"abc",
        IP(src=CLIENT, dst=VIP) / ICMP(type=3, code=4, nexthopmtu=1400) / reply,
        IP(src=CLIENT, dst=VIP) / ICMP(type=11) / reply,
        IP(src=CLIENT, dst=VIP) / ICMP(id=1, seq=1),
        IP(src=CLIENT, dst=DIP) / ICMP(id=1, seq=2),
    ]
    answers += [
        IP(src=OTHER, dst=CLIENT) / UDP(sport=80, dport=9) / b"abc",
        IP(src=OTHER, dst=CLIENT) / UDP(sport=80, dport=9, chksum=0) / b"abc",
        IP(src=OTHER, dst=CLIENT, frag=4, id=9, proto=17) / bytes(3),
        IP(src=OTHER, dst=CLIENT, flags="MF", id=9) / UDP(sport=80, dport=9, len=35) / bytes(24),
        IP(src=RS, dst=CLIENT) / ICMP(type=3, code=1) / request,
        IP(src=RS, dst=CLIENT, options=_ROUTE) / ICMP(type=3, code=1) / request,
        IP(src=RS, dst=INSIDE) / ICMP(type=3, code=4, nexthopmtu=1300) / tunnelled,
    ]
    asks += [  # sources that no client has: the director's own, broadcast
        IP(src=source, dst=VIP) / TCP(sport=1027, dport=80, flags="S")
        for source in (DIP, INSIDE, VIP, "198.18.0.255", "255.255.255.255", "224.0.0.1", "127.0.0.1")
    ]
    frames = [_framed(CLIENTS, ask) for ask in asks] + [_framed(SERVERS, answer) for answer in answers]
    syn = _framed(CLIENTS, IP(src=PLACE.client(7), dst=VIP) / TCP(sport=1028, dport=80, flags="S"))
    return [*frames, *(_tagged(syn, tag) for tag in ((5,), (0, 5), (0,)))]


def _tagged(frame: Frame, numbers: Sequence[int]) -> Frame:
    """With tags of these VLANs, and a priority; number 0 has nothing but that."""
    side, data = frame
    tags = b"".join(b"\x81\0" + (number | 3 << 13).to_bytes(2, "big") for number in numbers)
    return side, data[:12] + tags + data[12:]


def _framed(side: str, packet: Any) -> Frame:
    macs = DIRECTOR_MACS[side] + (GATEWAY_MAC if side == CLIENTS else mac_of(RS))
    return side, bytes.fromhex(macs.replace(":", "")) + b"\x08\x00" + bytes(packet)


def frames(chance: random.Random) -> Iterator[Frame]:
    """Good frames, then an endless mix of bad and good ones."""
    good = samples()
    yield from good
    yield _framed(CLIENTS, IP(src=PLACE.client(6), dst=VIP, options=_WRONG) / UDP(sport=9, dport=80))
    while True:
        side, frame = chance.choice(good)
        if chance.random() < 0.7:
            frame = malformed(frame, chance)
            frame = with_correct_checksum(frame) if chance.random() < 0.7 else frame
        if len(frame) >= _ETHERNET:
            yield side, frame


def comparable(frame: Frame) -> tuple[str, str]:
    """The kernel's own messages have arbitrary identifications."""
    side, data = frame
    if len(data) > 34 and data[23] == packets.ICMP:
        data = data[:18] + b"\0\0" + data[20:24] + b"\0\0" + data[26:]
    return side, data.hex()


def is_late(frame: Frame) -> bool:
    return frame[1][23] == packets.ICMP and frame[1][34:36] == _LATE


def survives(plane: Live, wires: Wires, mixed: Iterator[Frame], count: int) -> None:
    """Send frames and collect the output; query the director now and then, so that it keeps up."""
    for _ in range(0, count, _AT_ONCE):
        for frame in islice(mixed, _AT_ONCE):
            wires.send(frame)
        plane.exchange(steady("A"))


def steady(flags: str) -> Frame:
    return _framed(CLIENTS, IP(src=STEADY, dst=VIP) / TCP(sport=1025, dport=80, flags=flags))


def establish(plane: Live, method: str) -> None:
    """The connection that must survive everything."""
    ((_, frame),) = plane.exchange(steady("S"))
    if method == "nat":
        chosen = ".".join(map(str, frame[30:34]))
        plane.exchange(_framed(SERVERS, IP(src=chosen, dst=STEADY) / TCP(sport=80, dport=1025, flags="SA")))
    plane.exchange(steady("A"))


def main(engine: str, method: str, seed: str, count: str, more: str) -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # one queue keeps frames in order
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)  # for `ip netns`
    wires = Wires()
    plane = Live(wires, method, engine)
    plane.rules(rules(method))
    establish(plane, method)
    mixed = frames(random.Random(int(seed)))
    exchanged: list[Any] = []
    for frame in islice(mixed, int(count)):
        out = [comparable(sent) for sent in plane.exchange(frame) if not is_late(sent)]
        exchanged.append({"in": [frame[0], frame[1].hex()], "out": out})
    tables = plane.look(PLACE)
    ends = {name: (entry.server, entry.state) for name, entry in tables.connections.items()}
    loads = {name: (load.active, load.inactive) for name, load in tables.servers.items()}
    survives(plane, wires, mixed, int(more))
    end = {"failed": plane.failed(), "served": len(plane.exchange(steady("A")))}
    plane.close()
    wires.close()
    print(json.dumps({"frames": exchanged, "connections": ends, "loads": loads, "end": end}))


if __name__ == "__main__":
    main(*sys.argv[1:])
