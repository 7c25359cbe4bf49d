"""A client, a director and a real server: three network namespaces and three cables.

    c 198.18.0.2 ──────── 198.18.0.1 d 172.16.0.1 ──────── 172.16.0.2 s
      198.18.1.2 ───────────────────────────────────────── 198.18.1.1

The lower cable is the direct path: without a director, and for replies in VS-TUN and VS-DR. The
client's packets to the VIP go to the director. A testbed for IPv6 has the same with other addresses.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from director.core.family import IPV4, IPV6, Family
from director.core.packet import Endpoint
from labs.methods import FLAGS
from labs.network.namespaces import Namespaces
from realserver_setup.render import configuration

HTTP, IPERF = 80, 5201
_TUNNEL_MTU = 1480  # bytes: Ethernet's 1500 without the outer header


@dataclass(frozen=True, slots=True)
class Addresses:
    """`network` is the client's, with the prefix length of all of them."""

    client: str
    near_client: str
    director: str
    inside: str
    server: str
    near_server: str
    vip: str
    network: str

    def cables(self) -> Iterator[tuple[tuple[str, str, str], tuple[str, str, str]]]:
        """Host, interface and address at both ends of each."""
        for near, far in (
            (("c", "c-d", self.client), ("d", "d-c", self.director)),
            (("d", "d-s", self.inside), ("s", "s-d", self.server)),
            (("s", "s-c", self.near_server), ("c", "c-s", self.near_client)),
        ):
            yield (*near[:2], self._with_length(near[2])), (*far[:2], self._with_length(far[2]))

    def _with_length(self, address: str) -> str:
        return f"{address}/{self.network.rpartition('/')[2]}"


CLIENT, NEAR_CLIENT = "198.18.0.2", "198.18.1.2"
DIRECTOR, INSIDE = "198.18.0.1", "172.16.0.1"
SERVER, NEAR_SERVER = "172.16.0.2", "198.18.1.1"
VIP = "203.0.113.1"
ADDRESSES = {
    IPV4: Addresses(CLIENT, NEAR_CLIENT, DIRECTOR, INSIDE, SERVER, NEAR_SERVER, VIP, network="198.18.0.0/24"),
    IPV6: Addresses(
        *("2001:db8::2", "2001:db8:1::2", "2001:db8::1", "fd00::1", "fd00::2", "2001:db8:1::1"),
        vip="2001:db8:80::1",
        network="2001:db8::/64",
    ),
}
_SETTINGS = {
    "net.ipv4.conf.all.send_redirects": 0,
    "net.ipv4.conf.default.send_redirects": 0,
    "net.ipv4.conf.all.arp_ignore": 1,
    "net.ipv4.conf.all.arp_announce": 2,
    "net.ipv6.conf.all.disable_ipv6": 1,
    "net.ipv6.conf.default.disable_ipv6": 1,
    "net.ipv4.tcp_tw_reuse": 1,
}
_IPV6_SETTINGS = {
    f"net.ipv6.conf.{which}.{name}": 0
    for which in ("all", "default")
    for name in ("disable_ipv6", "accept_dad")  # addresses can be used at once
}


class Testbed(Namespaces):
    """Three hosts. `name` distinguishes testbeds; `folder` has its configurations and logs."""

    def __init__(
        self, name: str, method: str, folder: Path, *, offload: bool = True, family: Family = IPV4
    ) -> None:
        """Build it. `method`: nat, tun, dr, or empty for the direct path. Raises BuildFailed."""
        super().__init__(name, folder)
        self.method = method
        self.family, self._addresses = family, ADDRESSES[family]
        self.target = self._addresses.vip if method else self._addresses.near_server
        self._offload = offload
        for host in ("c", "d", "s"):
            self.add(host, {**_SETTINGS, **(_IPV6_SETTINGS if family is IPV6 else {})})
        for near, far in self._addresses.cables():
            self.cable(near, far, offload=offload)
        if method:
            self._route()

    def _route(self) -> None:
        """Set the addresses and routes for the VIP."""
        of, vip = self._addresses, f"{self._addresses.vip}/{self.family.bits}"
        self.run("d", "ip", "addr", "add", vip, "dev", "d-c")
        # Forwarding is measured, not path MTU discovery, which takes seconds where the processor is
        # emulated and the director is Python.
        mtu = ("mtu", str(_TUNNEL_MTU)) if self.method == "tun" else ()
        self.run("c", "ip", "route", "add", of.vip, "via", of.director, *mtu)
        if self.method == "nat":
            self.run("s", "ip", "route", "add", "default", "via", of.inside)
            return
        self.run("s", "ip", "route", "add", of.network, "via", of.near_client)
        if self.method == "dr":
            self.run("s", "ip", "addr", "add", vip, "dev", "lo")
            return
        self.run("s", "ip", "addr", "add", vip, "dev", "tunl0")
        self.run("s", "ip", "link", "set", "tunl0", "up")
        self.run("s", "sysctl", "-qw", "net.ipv4.conf.tunl0.rp_filter=0")

    def start_servers(self) -> None:
        """Start nginx for http and iperf3 for everything else on the real server. Raises BuildFailed."""
        file = self.folder / "httpd.conf"
        file.write_text(configuration("bench/httpd.conf.j2", port=HTTP, family=self.family.version))
        self.start("s", "nginx", "-p", str(self.folder), "-c", str(file))
        source = ("-B", self._addresses.vip) if self.method in ("tun", "dr") else ()  # of its UDP replies
        self.start("s", "iperf3", "-s", "-p", str(IPERF), *source)
        self.wait_for_port("s", HTTP)
        self.wait_for_port("s", IPERF)

    @contextmanager
    def without_segmentation_offload(self) -> Iterator[None]:
        """In this context, client and server send TCP segments no larger than the MTU (no TSO, GSO)."""
        self._segmentation_offload("off")
        try:
            yield
        finally:
            if self._offload:
                self._segmentation_offload("on")

    def _segmentation_offload(self, switch: str) -> None:
        for host, interface in (("c", "c-d"), ("c", "c-s"), ("s", "s-d"), ("s", "s-c")):
            self.run(host, "ethtool", "-K", interface, "tso", switch, "gso", switch)


def rules(method: str, family: Family = IPV4) -> list[str]:
    """The rules of a testbed's director, as lines of ipvsadm."""
    of = ADDRESSES[family]
    services = [
        f"-{letter} {Endpoint(of.vip, port)}" for letter, port in (("t", HTTP), ("t", IPERF), ("u", IPERF))
    ]
    return [
        line
        for service in services
        for line in (f"-A {service} -s rr", server_line(service, method, of.server))
    ]


def server_line(service: str, method: str, server: str = SERVER) -> str:
    """The ipvsadm line that adds a real server to a service, at the same port."""
    return f"-a {service} -r {Endpoint(server, int(service.rpartition(':')[2]))} {FLAGS[method]} -w 1"
