"""Our director with its Scapy engine in this process: its wires are lists, its time is a number.

The code that decides and rewrites is the real one; sockets, routes and ARP are fakes.
"""

from __future__ import annotations

from typing import Any

from director.control.handler import RequestHandler
from director.core.director import Director
from director.core.real_server import Method
from director.engines.scapy.fake import FakeHost, FakeKernel, FakeWire
from director.engines.scapy.host import Route
from director.engines.scapy.next_hops import NextHop
from director.formats.ipvsadm_words import address_and_port, endpoint
from oracle import ipv6_network
from oracle.live import ControlledDirector
from oracle.site import (
    CLIENTS,
    DIP,
    DIRECTOR_MACS,
    GATEWAY,
    GATEWAY_MAC,
    INSIDE,
    LOCAL,
    MTU,
    SERVER_COUNT,
    SERVERS,
    mac_of,
    side_of,
)
from oracle.talk import Frame

_ADDRESSES = {CLIENTS: DIP, SERVERS: INSIDE}
_OF_IPV6 = {CLIENTS: ipv6_network.DIP, SERVERS: ipv6_network.INSIDE}
_TABLE_BITS = 8  # of the connection table; a small one is listed faster after each step


def _route(destination: str) -> Route:
    """Real servers are on the link; clients are behind the gateway."""
    if ":" in destination:
        side = SERVERS if destination.startswith("fd00:") else CLIENTS
        return Route(side, _OF_IPV6[side], "::" if side == SERVERS else ipv6_network.IPV6_GATEWAY)
    side = side_of(destination)
    return Route(side, _ADDRESSES[side], "0.0.0.0" if side == SERVERS else GATEWAY)


class InProcessDirector(ControlledDirector):
    def __init__(self, method: str) -> None:
        wires = [
            FakeWire(side, DIRECTOR_MACS[side], _ADDRESSES[side], MTU[side]) for side in (CLIENTS, SERVERS)
        ]
        self._host = FakeHost(wires, _route, FakeKernel((DIP, INSIDE, *_OF_IPV6.values())), now=1000.0)
        self.engine = self._host.engine
        self.director = Director(
            method=Method[method.upper()],
            conn_tab_bits=_TABLE_BITS,
            mtu_of=self.engine.mtu_of,
            is_local=self.engine.is_local,
        )
        self._host.start(self.director)
        clients, servers = wires
        self._host.neighbours.add_permanent(NextHop(clients, DIP, GATEWAY), GATEWAY_MAC)
        gateway = NextHop(clients, ipv6_network.DIP, ipv6_network.IPV6_GATEWAY)
        self._host.neighbours.add_permanent(gateway, GATEWAY_MAC)
        for number in range(1, SERVER_COUNT + 1):
            address = ipv6_network.real_server(number, 6)
            hop = NextHop(servers, ipv6_network.INSIDE, address)
            self._host.neighbours.add_permanent(hop, ipv6_network.mac_of_server(address))
        for last in range(1, 255):
            address = f"172.16.0.{last}"
            self._host.neighbours.add_permanent(NextHop(servers, INSIDE, address), mac_of(address))
        self._handler = RequestHandler(self.director, self.engine, lambda: self._host.now, {})

    def _request(self, request: dict[str, Any]) -> dict[str, Any]:
        return self._handler(request)

    def wait(self, seconds: float) -> None:
        self._host.wait(seconds)

    def exchange(self, frame: Frame) -> list[Frame]:
        """The frames that the director sends; or LOCAL, if its own kernel got the packet."""
        before = self._kept_back()
        sent = self._host.receive(*frame)
        self._host.forget()
        return sent if sent or self._kept_back() != before else [(LOCAL, frame[1])]

    def _kept_back(self) -> tuple[int, int]:
        """The packets dropped so far, and the bytes of fragments that wait for the rest of their packets."""
        return self.engine.counters()["dropped"], self.engine.fragments.size


class IPv6InProcessDirector(InProcessDirector):
    """A director for the scenarios of ipv6_generated.py."""

    def tables(self, at: str) -> tuple[ipv6_network.Table, ipv6_network.Loads]:
        prefix = endpoint(at, "")
        rows = self._request({"do": "connections"})["connections"]
        table = {
            f"{row['protocol']} {row['client']} {row['vip']}": [row["server"], row["state"]]
            for row in rows
            if row["vip"].startswith(prefix)
        }
        loads = {
            f"{service['protocol']} {prefix}{service['port']} {address_and_port(server)}": [
                server[name] for name in ("weight", "active", "inactive")
            ]
            for service in self._request({"do": "list", "at_once": True})["services"]
            if service["address"] == at
            for server in service["servers"]
        }
        return table, loads
