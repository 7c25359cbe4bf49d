"""The part of test_sync.py that runs in namespaces: our director and kernel IPVS, each other's backup.

    k 203.0.113.2 ── one cable ── o 203.0.113.3      both have the VIP 203.0.113.1 and the same rules

Clients' packets are put on the cable by hand: those for one director from the other's end. Each director is
master with a syncid of its own, and backup with the other's. Prints what both have in their tables as JSON.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from struct import pack, unpack
from typing import Any

from director import fwmark, ipvs_sysctl, ipvsadm
from director.control import SOCKET_VARIABLE
from director.control.channel import call
from director.core.marks import Mark
from director.core.packet import ACK, FIN, SYN
from director.engines.ipvs.kernel import marks_script
from labs.network.namespaces import Namespaces, run
from labs.wait import patient, poll_until

ROOT = Path(__file__).resolve().parents[2]
SOCKET = "/run/o.sock"
VIP, RIP, MARK = "203.0.113.1", "192.0.2.2", 7
RULES = f"""\
-A -t {VIP}:80 -s rr
-a -t {VIP}:80 -r {RIP}:8000 -m
-A -t {VIP}:81 -s rr -p 100
-a -t {VIP}:81 -r {RIP}:8001 -m
-A -t {VIP}:8080 -s rr
-a -t {VIP}:8080 -r 203.0.113.11:8080 -g
-A -t {VIP}:8081 -s rr
-a -t {VIP}:8081 -r {RIP}:8081 -i
-A -u {VIP}:53 -s rr
-a -u {VIP}:53 -r {RIP}:53 -m
-A -f {MARK} -s rr -p 200
-a -f {MARK} -r {RIP} -m
"""
SYNCIDS = {"k": 7, "o": 9}
OTHER = {"k": "o", "o": "k"}
# Destination port, and the flags of the client's segments; UDP has none.
CLIENTS: tuple[tuple[int, tuple[int, ...]], ...] = (
    (80, (SYN, ACK)),  # two packets: not sent
    (80, (SYN, ACK, ACK)),
    (80, (SYN, ACK, FIN | ACK)),
    (81, (SYN, ACK, ACK)),
    (8080, (SYN, ACK, ACK)),
    (8080, (SYN, ACK, FIN | ACK, ACK)),
    (8081, (SYN, ACK, ACK)),
    (443, (SYN, ACK, ACK)),  # by its firewall mark
    (53, (0, 0, 0)),
)
TOLD = len(CLIENTS) - 1 + 2  # one is not sent; there are two templates
SENDER = """
import socket, sys
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind((sys.argv[1], 0))
for line in sys.stdin:
    wire.send(bytes.fromhex(line))
"""
RECORDER = """
import socket, sys
wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
wire.bind((sys.argv[1], 0x0800))
while True:
    packet, address = wire.recvfrom(65536)
    if address[2] != 4 and packet[16:20] == bytes([224, 0, 0, 81]):
        print(packet[8], packet[28:].hex(), flush=True)
"""
_net = Namespaces("", Path("/run/logs"))


def build() -> None:
    os.chdir(ROOT)
    run("mount", "-t", "tmpfs", "tmpfs", "/run")
    _net.add("k", {"net.ipv4.ip_forward": 1})
    _net.add("o")
    _net.cable(("k", "k-eth0", "203.0.113.2/24"), ("o", "o-eth0", "203.0.113.3/24"), offload=False)
    for host in "ko":
        device = f"{host}-eth0"
        _net.run(host, "ip", "addr", "add", f"{VIP}/32", "dev", device)
        for network in ("198.51.100.0/24", "192.0.2.0/24"):
            _net.run(host, "ip", "route", "add", network, "dev", device)
    mark = Mark(MARK, IPv4Network(VIP), 6, 443, 443)
    _net.run("k", "nft", "-f", "-", text=marks_script([mark]))


def start_director() -> None:
    os.environ[SOCKET_VARIABLE] = SOCKET
    process = _net.start("o", sys.executable, "-m", "director", "--socket", SOCKET, "o-eth0")
    poll_until(lambda: Path(SOCKET).exists() or process.poll() is not None, bool, 30)
    _ours(fwmark.main, "-A", "-p", "tcp", "-d", VIP, "--dport", "443", "--set-mark", str(MARK))


def _ours(program: Callable[[Sequence[str]], int], *words: str, text: str = "") -> str:
    """What one of the director's tools prints; it runs in this process, because a start takes seconds."""
    printed, before = io.StringIO(), sys.stdin
    sys.stdin = io.TextIOWrapper(io.BytesIO(text.encode()))
    try:
        with redirect_stdout(printed), redirect_stderr(printed):
            program(words)
    finally:
        sys.stdin = before
    return printed.getvalue()


def tool(host: str, *words: str, text: str = "") -> str:
    """What ipvsadm prints: the kernel's, or the director's."""
    if host == "o":
        return _ours(ipvsadm.main, *words, text=text)
    done = _net.attempt(host, "/usr/sbin/ipvsadm", *words, text=text, seconds=patient(20))
    return done.stdout + done.stderr


def start_daemons() -> dict[str, Any]:
    results: dict[str, Any] = {}
    for host, other in OTHER.items():
        for role, syncid in (("master", SYNCIDS[host]), ("backup", SYNCIDS[other])):
            options = ("--mcast-interface", f"{host}-eth0", "--syncid", str(syncid))
            results[f"{host} {role}"] = tool(host, "--start-daemon", role, *options)
        results[f"{host} daemons"] = tool(host, "-L", "--daemon")
    return results


def frames(host: str, client: str) -> Iterator[bytes]:
    """The clients' packets to a director, from the other end of the cable; only IP's checksum matters."""
    macs = (_net.mac(end, f"{end}-eth0") for end in (host, OTHER[host]))
    ether = b"".join(bytes.fromhex(mac.replace(":", "")) for mac in macs) + b"\x08\0"
    for number, (port, segments) in enumerate(CLIENTS):
        for flags in segments:
            if flags:
                above = pack("!HHIIBBHHH", 40000 + number, port, 1, 1, 5 << 4, flags, 8192, 0, 0)
            else:
                above = pack("!HHHH", 40000 + number, port, 8, 0)
            ends = IPv4Address(client).packed + IPv4Address(VIP).packed
            length, protocol = 20 + len(above), 6 if flags else 17
            start = pack("!BBHHHBBH", 0x45, 0, length, number, 0, 64, protocol, 0) + ends
            total = sum(unpack("!10H", start))
            total = (total & 0xFFFF) + (total >> 16)
            checksum = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
            yield ether + start[:10] + pack("!H", checksum) + start[12:] + above


def connect(host: str, client: str) -> None:
    lines = "".join(f"{frame.hex()}\n" for frame in frames(host, client))
    other = OTHER[host]
    _net.run(other, sys.executable, "-IS", "-c", SENDER, f"{other}-eth0", text=lines, seconds=patient(20))


# ---- what is in the tables ----


def rows(host: str, client: str) -> list[dict[str, Any]]:
    """The connections and templates of one client's address."""
    found = _kernels() if host == "k" else call(SOCKET, {"do": "connections"})["connections"]
    return sorted(
        (row for row in found if row["client"].startswith(f"{client}:")),
        key=lambda row: (row["vip"], row["client"]),
    )


def _kernels() -> Iterator[dict[str, Any]]:
    for line in _net.run("k", "cat", "/proc/net/ip_vs_conn_sync").splitlines()[1:]:
        protocol, *numbers, state, origin, expires = line.split()[:10]
        ends = [f"{IPv4Address(int(numbers[at], 16))}:{int(numbers[at + 1], 16)}" for at in (0, 2, 4)]
        client, vip, server = ends
        yield {
            "protocol": protocol,
            "client": client,
            "vip": vip,
            "server": server,
            "state": state,
            "expires": float(expires),
            **({"origin": "SYNC"} if origin == "SYNC" else {}),
        }


def listed(host: str, client: str) -> list[str]:
    """The lines of `ipvsadm -Lnc` without the time."""
    lines = (line.split() for line in tool(host, "-Lnc").splitlines()[2:])
    return sorted(" ".join((words[0], *words[2:])) for words in lines if words[3].startswith(f"{client}:"))


def exchange(version: int) -> dict[str, Any]:
    """Each director gets clients; when their connections have arrived at the other one, both tables."""
    clients = {host: f"198.51.100.{10 * version + number}" for number, host in enumerate("ko", 1)}
    for host, client in clients.items():
        connect(host, client)
    results: dict[str, Any] = {}
    for host, client in clients.items():
        results[host] = {
            "told": poll_until(partial(rows, OTHER[host], client), lambda found: len(found) >= TOLD, 5),
            "own": rows(host, client),
            "listed": [listed(host, client), listed(OTHER[host], client)],
        }
    return results


def _say(what: str) -> None:
    print(f"{time.monotonic():.0f} s: {what}", file=sys.stderr, flush=True)


def servers(host: str) -> list[str]:
    """Active and inactive connections of each real server."""
    return [line.strip() for line in tool(host, "-Ln").splitlines()[3:]]


def main() -> None:
    _say("building")
    build()
    _say("starting our director")
    start_director()
    results: dict[str, Any] = {"rules": [tool(host, "-R", text=RULES) for host in "ko"]}
    recorder = subprocess.Popen(
        _net.command("o", sys.executable, "-IS", "-c", RECORDER, "o-eth0"), stdout=subprocess.PIPE, text=True
    )
    _say("starting daemons")
    results |= start_daemons()
    results["again"] = [
        tool(host, "--start-daemon", "master", "--mcast-interface", f"{host}-eth0") for host in "ko"
    ]
    for version in (1, 0):
        _net.run("k", "sysctl", "-qw", f"net.ipv4.vs.sync_version={version}")
        _ours(ipvs_sysctl.main, f"sync_version={version}")
        _say(f"version {version}")
        results[f"version {version}"] = exchange(version)
        results[f"servers {version}"] = [servers(host) for host in "ko"]
    results["counters"] = call(SOCKET, {"do": "counters"})["sync"]
    for host in "ko":
        for role in ("master", "backup"):
            results[f"{host} {role} stopped"] = tool(host, "--stop-daemon", role)
        results[f"{host} again"] = tool(host, "--stop-daemon", "backup")
    recorder.kill()
    _say("done")
    results["messages"] = (recorder.stdout.read() if recorder.stdout else "").splitlines()
    _net.close()
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main()
