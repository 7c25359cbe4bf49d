"""A client, a director and a real server: three network namespaces and three cables.

    c 198.18.0.2 ──────── 198.18.0.1 d 172.16.0.1 ──────── 172.16.0.2 s
      198.18.1.2 ───────────────────────────────────────── 198.18.1.1

The lower cable is the direct path: without a director, and for replies in VS-TUN and VS-DR. The
client's packets to the VIP go to the director.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from labs.methods import FLAGS
from labs.network.namespaces import Namespaces
from realserver_setup.render import configuration

CLIENT, NEAR_CLIENT = "198.18.0.2", "198.18.1.2"
DIRECTOR, INSIDE = "198.18.0.1", "172.16.0.1"
SERVER, NEAR_SERVER = "172.16.0.2", "198.18.1.1"
VIP = "203.0.113.1"
HTTP, IPERF = 80, 5201
_TUNNEL_MTU = 1480  # bytes: Ethernet's 1500 without the outer header

_CABLES = (  # host, interface and address at both ends
    (("c", "c-d", f"{CLIENT}/24"), ("d", "d-c", f"{DIRECTOR}/24")),
    (("d", "d-s", f"{INSIDE}/24"), ("s", "s-d", f"{SERVER}/24")),
    (("s", "s-c", f"{NEAR_SERVER}/24"), ("c", "c-s", f"{NEAR_CLIENT}/24")),
)
_SETTINGS = {
    "net.ipv4.conf.all.send_redirects": 0,
    "net.ipv4.conf.default.send_redirects": 0,
    "net.ipv4.conf.all.arp_ignore": 1,
    "net.ipv4.conf.all.arp_announce": 2,
    "net.ipv6.conf.all.disable_ipv6": 1,
    "net.ipv6.conf.default.disable_ipv6": 1,
    "net.ipv4.tcp_tw_reuse": 1,
}


class Testbed(Namespaces):
    """`name` tells several at a time apart; `folder` holds the configurations and logs of its programs."""

    def __init__(self, name: str, method: str, folder: Path, *, offload: bool = True) -> None:
        """`method`: nat, tun, dr, or empty for the direct path. Raises BuildFailed."""
        super().__init__(name, folder)
        self.method = method
        self.target = VIP if method else NEAR_SERVER
        self._offload = offload
        for host in ("c", "d", "s"):
            self.add(host, _SETTINGS)
        for near, far in _CABLES:
            self.cable(near, far, offload=offload)
        if method:
            self._route()

    def _route(self) -> None:
        """The VIP's addresses and routes."""
        self.run("d", "ip", "addr", "add", f"{VIP}/32", "dev", "d-c")
        # Forwarding is measured, and not path MTU discovery, which takes seconds where the processor is
        # emulated and the director is Python.
        mtu = ("mtu", str(_TUNNEL_MTU)) if self.method == "tun" else ()
        self.run("c", "ip", "route", "add", VIP, "via", DIRECTOR, *mtu)
        if self.method == "nat":
            self.run("s", "ip", "route", "add", "default", "via", INSIDE)
            return
        self.run("s", "ip", "route", "add", "198.18.0.0/24", "via", NEAR_CLIENT)
        if self.method == "dr":
            self.run("s", "ip", "addr", "add", f"{VIP}/32", "dev", "lo")
            return
        self.run("s", "ip", "addr", "add", f"{VIP}/32", "dev", "tunl0")
        self.run("s", "ip", "link", "set", "tunl0", "up")
        self.run("s", "sysctl", "-qw", "net.ipv4.conf.tunl0.rp_filter=0")

    def start_servers(self) -> None:
        """On the real server: nginx for http, iperf3 for everything else. Raises BuildFailed."""
        file = self.folder / "httpd.conf"
        file.write_text(configuration("bench/httpd.conf.j2", port=HTTP))
        self.start("s", "nginx", "-p", str(self.folder), "-c", str(file))
        source = ("-B", VIP) if self.method in ("tun", "dr") else ()  # of its UDP replies
        self.start("s", "iperf3", "-s", "-p", str(IPERF), *source)
        self.wait_for_port("s", HTTP)
        self.wait_for_port("s", IPERF)

    @contextmanager
    def without_segmentation_offload(self) -> Iterator[None]:
        """Meanwhile client and server cut what they send into segments themselves."""
        self._segmentation_offload("off")
        try:
            yield
        finally:
            if self._offload:
                self._segmentation_offload("on")

    def _segmentation_offload(self, switch: str) -> None:
        for host, interface in (("c", "c-d"), ("c", "c-s"), ("s", "s-d"), ("s", "s-c")):
            self.run(host, "ethtool", "-K", interface, "tso", switch, "gso", switch)


def rules(method: str) -> list[str]:
    """The rules of a testbed's director, as lines of ipvsadm."""
    services = (f"-t {VIP}:{HTTP}", f"-t {VIP}:{IPERF}", f"-u {VIP}:{IPERF}")
    return [line for service in services for line in (f"-A {service} -s rr", server_line(service, method))]


def server_line(service: str, method: str, server: str = SERVER) -> str:
    """A real server for a service, at the same port."""
    return f"-a {service} -r {server}:{service.rpartition(':')[2]} {FLAGS[method]} -w 1"
