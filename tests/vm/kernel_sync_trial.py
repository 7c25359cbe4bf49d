"""The part of test_sync.py that runs in namespaces: our director and kernel IPVS, each other's backup.

    k 203.0.113.2 ── one cable ── o 203.0.113.3      both have the VIPs 203.0.113.1 and 2001:db8:cb00:71::1
                                                     and the same rules

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
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from struct import pack
from typing import Any

from director import fwmark, ipvs_sysctl, ipvsadm
from director.control import SOCKET_VARIABLE
from director.control.channel import call
from director.core.marks import Mark
from director.core.packet import ACK, FIN, SYN
from director.engines.ipvs.kernel import marks_script
from director.formats.ipvsadm_words import endpoint
from labs.network.namespaces import Namespaces, run
from labs.wait import patient, poll_until
from oracle import ipv6_packets
from oracle.packets import checksum

ROOT = Path(__file__).resolve().parents[2]
SOCKET = "/run/o.sock"
IPV4, IPV6 = 4, 6
VIPS = {IPV4: "203.0.113.1", IPV6: "2001:db8:cb00:71::1"}
NETWORKS = {  # of clients and of real servers
    IPV4: ("198.51.100.0/24", "192.0.2.0/24"),
    IPV6: ("2001:db8:c633:64::/64", "2001:db8:c000:200::/64"),
}
MARK = 7


def rules(family: int) -> str:
    vip, rip, near, mark = {
        IPV4: (VIPS[IPV4], "192.0.2.2", "203.0.113.11", MARK),
        IPV6: (f"[{VIPS[IPV6]}]", "[2001:db8:c000:200::2]", "[2001:db8:cb00:71::11]", f"{MARK} -6"),
    }[family]
    return f"""\
-A -t {vip}:80 -s rr
-a -t {vip}:80 -r {rip}:8000 -m
-A -t {vip}:81 -s rr -p 100
-a -t {vip}:81 -r {rip}:8001 -m
-A -t {vip}:8080 -s rr
-a -t {vip}:8080 -r {near}:8080 -g
-A -t {vip}:8081 -s rr
-a -t {vip}:8081 -r {rip}:8081 -i
-A -u {vip}:53 -s rr
-a -u {vip}:53 -r {rip}:53 -m
-A -f {mark} -s rr -p 200
-a -f {mark} -r {rip}:0 -m
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
    for number, host in enumerate("ko", 2):
        device = f"{host}-eth0"
        addresses = (f"{VIPS[IPV4]}/32", f"{VIPS[IPV6]}/128", f"2001:db8:cb00:71::{number}/64")
        lines = [f"addr add {address} dev {device}{' nodad' * (':' in address)}" for address in addresses]
        lines += [f"route add {network} dev {device}" for network in (*NETWORKS[IPV4], *NETWORKS[IPV6])]
        _net.run(host, "ip", "-batch", "-", text="\n".join(lines))
    marks = [Mark(MARK, ip_network(vip), 6, 443, 443) for vip in VIPS.values()]
    _net.run("k", "nft", "-f", "-", text=marks_script(marks, VIPS))


def start_director() -> None:
    os.environ[SOCKET_VARIABLE] = SOCKET
    process = _net.start("o", sys.executable, "-m", "director", "--socket", SOCKET, "o-eth0")
    poll_until(lambda: Path(SOCKET).exists() or process.poll() is not None, bool, 30)
    for vip in VIPS.values():
        _ours(fwmark.main, "-A", "-p", "tcp", "-d", vip, "--dport", "443", "--set-mark", str(MARK))


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


def frames(host: str, client: str, part: slice) -> Iterator[bytes]:
    """A part of each connection's packets to a director, from the other end of the cable."""
    to, source = (_net.mac(end, f"{end}-eth0") for end in (host, OTHER[host]))
    packet = in_ipv6 if ":" in client else in_ipv4
    for number, (port, segments) in enumerate(CLIENTS):
        for flags in segments[part]:
            yield ipv6_packets.framed(to, source, packet(client, 40000 + number, port, flags))


def in_ipv4(client: str, sport: int, port: int, flags: int) -> bytes:
    """A segment, or a datagram if it has no flags; only IP's checksum matters."""
    if flags:
        above = pack("!HHIIBBHHH", sport, port, 1, 1, 5 << 4, flags, 8192, 0, 0)
    else:
        above = pack("!HHHH", sport, port, 8, 0)
    length, protocol = 20 + len(above), 6 if flags else 17
    ends = IPv4Address(client).packed + IPv4Address(VIPS[IPV4]).packed
    start = pack("!BBHHHBBH", 0x45, 0, length, 1, 0, 64, protocol, 0) + ends
    return start[:10] + pack("!H", checksum(start)) + start[12:] + above


def in_ipv6(client: str, sport: int, port: int, flags: int) -> bytes:
    if flags:
        return ipv6_packets.tcp(client, VIPS[IPV6], sport, port, flags)
    return ipv6_packets.udp(client, VIPS[IPV6], sport, port, b"")


def connect(host: str, client: str) -> None:
    """Like clients, send the rest of a connection once its first packet has been answered.

    Our director has a socket for SYNs: it may read what follows at once before them.
    """
    other = OTHER[host]
    for part in (slice(1), slice(1, None)):
        lines = "".join(f"{frame.hex()}\n" for frame in frames(host, client, part))
        _net.run(other, sys.executable, "-IS", "-c", SENDER, f"{other}-eth0", text=lines, seconds=patient(20))
        poll_until(partial(rows, host, client), lambda found: len(found) > TOLD, 5)


# ---- what is in the tables ----


def rows(host: str, client: str) -> list[dict[str, Any]]:
    """The connections and templates of one client's address."""
    found = _kernels() if host == "k" else call(SOCKET, {"do": "connections"})["connections"]
    return sorted(
        (row for row in found if row["client"].startswith(_start(client))),
        key=lambda row: (row["vip"], row["client"]),
    )


def _kernels() -> Iterator[dict[str, Any]]:
    for line in _net.run("k", "cat", "/proc/net/ip_vs_conn_sync").splitlines()[1:]:
        protocol, *numbers, state, origin, expires = line.split()[:10]
        client, vip, server = (_end(*numbers[at : at + 2]) for at in (0, 2, 4))
        yield {
            "protocol": protocol,
            "client": client,
            "vip": vip,
            "server": server,
            "state": state,
            "expires": float(expires),
            **({"origin": "SYNC"} if origin == "SYNC" else {}),
        }


def _end(address: str, port: str) -> str:
    is_ipv6 = ":" in address
    return endpoint(str(IPv6Address(address) if is_ipv6 else IPv4Address(int(address, 16))), int(port, 16))


def _start(client: str) -> str:
    return endpoint(client, 0).removesuffix("0")


def listed(host: str, client: str) -> list[str]:
    """The lines of `ipvsadm -Lnc` without the time."""
    lines = (line.split() for line in tool(host, "-Lnc").splitlines()[2:])
    return sorted(" ".join((words[0], *words[2:])) for words in lines if words[3].startswith(_start(client)))


def exchange(family: int, number: int) -> dict[str, Any]:
    """Each director gets clients; when their connections have arrived at the other one, both tables."""
    start = int(ip_network(NETWORKS[family][0])[10 * number])
    clients = {host: str(ip_address(start + at)) for at, host in enumerate("ko", 1)}
    for host, client in clients.items():
        connect(host, client)
    told = {
        host: poll_until(partial(rows, OTHER[host], client), lambda found: len(found) >= TOLD, 5)
        for host, client in clients.items()
    }
    # Only now: while entries are added, the kernel lists some of the others twice.
    return {
        host: {
            "told": told[host],
            "own": rows(host, client),
            "listed": [listed(host, client), listed(OTHER[host], client)],
        }
        for host, client in clients.items()
    }


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
    results: dict[str, Any] = {"rules": [tool(host, "-R", text=rules(IPV4) + rules(IPV6)) for host in "ko"]}
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
        results[f"version {version}"] = exchange(IPV4, version)
        if version:  # the older one has no room for IPv6
            results["IPv6"] = exchange(IPV6, version)
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
