"""Frames and captures for tests, built byte by byte: nothing of the code under test is used."""

from __future__ import annotations

import socket
import struct
from pathlib import Path

CLIENT, VIP, SERVER = "198.51.100.101", "203.0.113.1", "172.16.0.2"
A, B = "02:00:00:00:00:01", "02:00:00:00:00:02"
MACS = {"c1-eth0": A, "d-eth0": B, "d-eth1": "02:00:00:00:00:03"}


def tcp(sport: int, dport: int, flags: int, seq: int = 1, ack: int = 0, data: bytes = b"") -> bytes:
    return struct.pack("!HHIIBBHHH", sport, dport, seq, ack, 5 << 4, flags, 64, 0, 0) + data


def ip(src: str, dst: str, body: bytes, *, number: int = 7, ttl: int = 64, protocol: int = 6) -> bytes:
    ends = socket.inet_aton(src) + socket.inet_aton(dst)
    return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), number, 0x4000, ttl, protocol, 0) + ends + body


def frame(src: str, dst: str, body: bytes, kind: int = 0x0800) -> bytes:
    return bytes.fromhex((dst + src).replace(":", "")) + struct.pack("!H", kind) + body


def arp(op: int, sender_mac: str, sender: str, target: str) -> bytes:
    mac = bytes.fromhex(sender_mac.replace(":", ""))
    ends = mac + socket.inet_aton(sender) + bytes(6) + socket.inet_aton(target)
    return struct.pack("!HHBBH", 1, 0x0800, 6, 4, op) + ends


def pcap(*frames: tuple[float, bytes], link: int = 1) -> bytes:
    """A capture of (seconds, bytes)."""
    content = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 192, link)
    for at, raw in frames:
        content += struct.pack("<IIII", int(at), round(at % 1 * 1e6), len(raw), len(raw)) + raw
    return content


def folder(at: Path) -> Path:
    """A small run of VS-NAT: one SYN seen by c1 and by both interfaces of the director."""
    run = at / "20260101-120000-lab-nat"
    (run / "pcap").mkdir(parents=True)
    (run / "scripts" / "d").mkdir(parents=True)
    start = "#!/bin/sh\nexec lvs-director --method nat --scheduler wrr --engine scapy --socket /run/x.sock\n"
    (run / "scripts" / "d" / "start.sh").write_text(start)
    c1, d0, d1 = MACS.values()
    syn, nat = tcp(40001, 80, 2), tcp(40001, 80, 2)
    captured = {
        "c1-eth0": (100.0, frame(c1, d0, ip(CLIENT, VIP, syn))),
        "d-eth0": (100.001, frame("02:00:00:00:00:09", d0, ip(CLIENT, VIP, syn, ttl=63))),
        "d-eth1": (100.003, frame(d1, "02:00:00:00:00:0a", ip(CLIENT, SERVER, nat, ttl=62))),
    }
    for name, frames in captured.items():
        (run / "pcap" / f"{name}.pcap").write_bytes(pcap(frames))
    return run


ABOUT = {
    "title": "VS-NAT",
    "names": {CLIENT: "c1", "203.0.113.2": "d", "172.16.0.1": "d", SERVER: "rs1", VIP: "VIP"},
    "interfaces": {
        "c1-eth0": [f"client c1, {CLIENT}, on the Internet", MACS["c1-eth0"]],
        "d-eth0": ["director d, 203.0.113.2, on the director's LAN", MACS["d-eth0"]],
        "d-eth1": ["director d, 172.16.0.1, on the private network", MACS["d-eth1"]],
        "rs1-eth0": [f"real server rs1, {SERVER}, on the private network", "02:00:00:00:00:0a"],
    },
}
_KEY = "key=ServiceKey(protocol=6, address=Endpoint(address='203.0.113.1', port=80), mark=0)"
_ADD = (
    f"AddService({_KEY}, scheduler=None, flags=(), persistent=None, netmask='255.255.255.255', "
    "one_packet=False, exist_ok=True)"
)


def server(address: str, weight: int) -> str:
    """The command that adds a real server, as an event spells it."""
    return (
        f"AddServer({_KEY}, server=Endpoint(address='{address}', port=80), weight={weight}, method=None, "
        "upper=0, lower=0)"
    )


def events(*commands: str) -> list[dict[str, object]]:
    return [{"kind": "rules", "time": 99.0, "command": text} for text in (_ADD, *commands)]


def connection(kind: str, port: int, to: str, at: float, state: str, **more: object) -> dict[str, object]:
    ends = {"client": f"{CLIENT}:{port}", "vip": f"{VIP}:80", "server": f"{to}:80"}
    return {"kind": kind, "time": at, "protocol": "TCP", "expires": 60.0, "state": state, **ends, **more}


def ip6(src: str, dst: str, body: bytes, *, hops: int = 64, following: int = 6) -> bytes:
    ends = socket.inet_pton(socket.AF_INET6, src) + socket.inet_pton(socket.AF_INET6, dst)
    return struct.pack("!IHBB", 6 << 28, len(body), following, hops) + ends + body
