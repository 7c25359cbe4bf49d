"""The network of generated IPv6 connections: that of site.py with addresses of both families.

clients 2001:db8:1::/48 ── gateway ── director, VIPs 2001:db8:80::N ── real servers fd00:ac10::11, ...
        198.18.N.*                              198.19.0.N                          172.16.0.11, ...
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv6Address
from socket import inet_ntoa
from time import monotonic

from director.formats.ipvsadm_words import endpoint
from labs.wait import patient
from oracle.ipv6_packets import is_for_hosts
from oracle.site import CLIENTS, GATEWAY_MAC, SERVER_COUNT, SERVERS, Place, mac_of, server
from oracle.talk import Frame
from oracle.wire import Late, Wires

PLACES = 100  # each with a VIP of both families
DIP, INSIDE, IPV6_GATEWAY = "2001:db8::2", "fd00:ac10::1", "2001:db8::1"
_SETTINGS = {
    "conf/all/disable_ipv6": 0,
    "conf/default/disable_ipv6": 0,
    f"conf/d-{CLIENTS}/disable_ipv6": 0,
    f"conf/d-{SERVERS}/disable_ipv6": 0,
    f"conf/d-{CLIENTS}/accept_dad": 0,
    f"conf/d-{SERVERS}/accept_dad": 0,
    "conf/all/forwarding": 1,
    "icmp/ratelimit": 0,
}

# `TCP CLIENT VIP` -> [real server, state]; `TCP VIP SERVER` -> [weight, active, inactive]
Table = dict[str, list[str]]
Loads = dict[str, list[int]]


def vip(place: int, family: int) -> str:
    return str(IPv6Address(f"2001:db8:80::{place + 1:x}")) if family == 6 else Place(place).vip


def real_server(number: int, family: int) -> str:
    return f"fd00:ac10::{10 + number}" if family == 6 else server(number)


def mac_of_server(address: str) -> str:
    """A real server's MAC address, the same for both of its addresses."""
    return mac_of(f"172.16.0.{address.rpartition(':')[2]}" if ":" in address else address)


class IPv6Wires(Wires):
    """Wires that carry IPv6, too."""

    def __init__(self) -> None:
        super().__init__()
        settings = "".join(f"echo {value} > /proc/sys/net/ipv6/{name}; " for name, value in _SETTINGS.items())
        self.run("sh", "-c", settings)
        clients, servers = f"d-{CLIENTS}", f"d-{SERVERS}"
        lines = [f"addr add {DIP}/64 dev {clients} nodad", f"addr add {INSIDE}/64 dev {servers} nodad"]
        lines += [f"addr add {vip(place, 6)}/128 dev {clients} nodad" for place in range(PLACES)]
        lines.append(f"neigh add {IPV6_GATEWAY} lladdr {GATEWAY_MAC} dev {clients} nud permanent")
        lines.append(f"route add 2001:db8:1::/48 via {IPV6_GATEWAY}")
        for number in range(1, SERVER_COUNT + 1):
            address = real_server(number, 6)
            lines.append(f"neigh add {address} lladdr {mac_of_server(address)} dev {servers} nud permanent")
        self.run("ip", "-6", "-batch", "-", text="\n".join(lines))

    def received(self, *, arp: bool = False) -> Iterator[Frame]:
        """The packets that the director has sent, without neighbour discovery and multicast."""
        del arp
        for side, wire in self._sockets.items():
            while True:
                try:
                    frame = wire.recv(65536)
                except BlockingIOError:
                    break
                if is_for_hosts(frame):
                    yield side, frame

    def settle(self, side: str) -> list[Frame]:
        """What the director has sent by the time it answers a ping, also on the other cable."""
        return [*super().settle(side), *self.received()]


def kernels_table(text: str, at: str) -> Table:
    """The connections to the address `at` in /proc/net/ip_vs_conn."""
    found = {}
    for line in text.splitlines()[1:]:
        words = line.split()
        client, destination, to = (_end(*words[start : start + 2]) for start in (1, 3, 5))
        if destination.startswith((f"[{at}]:", f"{at}:")):
            found[f"{words[0]} {client} {destination}"] = [to, words[7]]
    return found


def kernels_loads(text: str, at: str) -> Loads:
    """The real servers of the services at the address `at` in /proc/net/ip_vs."""
    found: Loads = {}
    service = ""
    for line in text.splitlines()[3:]:
        words = line.split()
        if words[0] == "->":
            if service:
                found[f"{service} {_named(words[1])}"] = [int(word) for word in words[3:]]
        else:
            service = f"{words[0]} {_named(words[1])}" if words[0] != "FWM" else ""
            if not service.partition(" ")[2].startswith((f"[{at}]:", f"{at}:")):
                service = ""
    return found


def _named(text: str) -> str:
    """[2001:0db8:...]:0050, or C6130001:0050."""
    address, _, port = text.rpartition(":")
    return _end(address.strip("[]"), port)


def _end(address: str, port: str) -> str:
    text = str(IPv6Address(address)) if ":" in address else inet_ntoa(bytes.fromhex(address))
    return endpoint(text, int(port, 16))


def settled(wires: Wires, at: str) -> tuple[Table, Loads]:
    """Both tables, read until two lists agree: one that changes meanwhile may lack an entry."""
    deadline = monotonic() + patient(5)
    before: Table = {}
    while monotonic() < deadline:
        table = kernels_table(wires.proc("ip_vs_conn"), at)
        if table == before or not table:
            return table, kernels_loads(wires.proc("ip_vs"), at)
        before = table
    raise Late(f"the connections to {at} do not stay the same")
