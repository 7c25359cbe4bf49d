"""The part of test_director_ipv6.py that runs in its own namespaces: a director for IPv6, with real kernels.

    c 2001:db8::65 ─┐ lan (bridge) ┌─ d 2001:db8::1, VIP 2001:db8::80 ─ fd00::1 ─┐ far (bridge)
                    └──────────────┤                                             ├─ n fd00::2     VS-NAT
                                   └─ s 2001:db8::11        VS-DR, VS-TUN ───────┴─ s fd00::3, 192.0.2.3

Each service of the VIP has a method of its own, told by its port. Started as
`python ipv6_trial.py ENGINE FOLDER` inside `unshare`; writes FOLDER/results.json.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

from director.control.channel import call
from labs.network.namespaces import run
from labs.wait import patient, poll_until
from tests.labs import director_net
from tests.labs.director_net import SOCKET, ok, start_director, tool
from tests.labs.trial_server import CONTENT, digest

TUNNEL = Path(__file__).with_name("trial_tunnel.py")
VIP, OLD_VIP = "2001:db8::80", "203.0.113.1"
SERVICES = {  # method: port, what -a says, the server's name
    "nat": (VIP, 80, "[fd00::2]:8000 -m", "n"),
    "dr": (VIP, 81, "[2001:db8::11]:81 -g", "s"),
    "6in6": (VIP, 82, "[fd00::3]:82 -i", "s"),
    "6in4": (VIP, 83, "192.0.2.3:83 -i", "s"),
    "4in6": (OLD_VIP, 84, "[fd00::3]:84 -i", "s"),
}
_DATAGRAM = 5000  # bytes, more than any MTU here
_ASK = """
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
with socket.socket(family, socket.SOCK_DGRAM) as client:
    client.settimeout(float(sys.argv[4]))
    client.sendto(bytes(int(sys.argv[3])), (sys.argv[1], int(sys.argv[2])))
    print(client.recv(1000).decode())
"""
_SETTINGS = {
    "net.ipv4.conf.all.arp_ignore": 1,  # s has the old VIP, too
    "net.ipv4.conf.all.arp_announce": 2,
    "net.ipv6.conf.all.accept_dad": 0,  # addresses can be used at once
    "net.ipv6.conf.default.accept_dad": 0,
}
_LINKS = (  # host, interface, bridge, addresses
    ("c", "c-eth0", "lan", "2001:db8::65/64", "203.0.113.101/24"),
    ("d", "d-eth0", "lan", "2001:db8::1/64", f"{VIP}/128", "203.0.113.2/24", f"{OLD_VIP}/32"),
    ("d", "d-eth1", "far", "fd00::1/64", "192.0.2.1/24"),
    ("n", "n-eth0", "far", "fd00::2/64"),
    ("s", "s-eth0", "lan", "2001:db8::11/64", "203.0.113.11/24"),
    ("s", "s-eth1", "far", "fd00::3/64", "192.0.2.3/24"),
)
_net = director_net.NETWORK


def build(folder: Path) -> None:
    os.chdir(director_net.ROOT)
    run("mount", "-t", "tmpfs", "tmpfs", "/run")
    for bridge in ("lan", "far"):
        _net.bridge(bridge)
    for host in "cdns":
        _net.add(host, _SETTINGS)
    for link in _LINKS:
        _plug(*link)
    for vip in (f"{VIP}/128", f"{OLD_VIP}/32"):
        _net.run("s", "ip", "addr", "add", vip, "dev", "lo")
    _net.run("n", "ip", "-6", "route", "add", "default", "via", "fd00::1")
    _net.start("s", sys.executable, str(TUNNEL))
    poll_until(lambda: director_net.sh("ip", "link", "set", "tunl6", "up", host="s", check=False), ok, 20)
    director_net.serve("n", "[fd00::2]:8000", log=folder / "n.log")
    ports = [f"[{VIP}]:{port}" for vip, port, *_ in SERVICES.values() if vip == VIP and port != 80]
    director_net.serve("s", *ports, f"{OLD_VIP}:84", log=folder / "s.log")


def _plug(host: str, interface: str, bridge: str, *addresses: str) -> None:
    first, *others = addresses
    _net.plug(host, interface, bridge, first, offload=False)
    for address in others:
        _net.run(host, "ip", "addr", "add", address, "dev", interface)


def replace_interfaces() -> dict[str, list[str]]:
    """The director's interfaces are deleted and made anew, with the same names; who serves then."""
    for link in _LINKS:
        if link[0] == "d":
            _net.run("d", "ip", "link", "del", link[1])
            _plug(*link)
    for host in "cns":  # so that they ask at once, not when their entries expire
        _net.run(host, "ip", "neigh", "flush", "all")
    return {name: download(vip, port) for name, (vip, port, *_) in SERVICES.items()}


def download(vip: str, port: int) -> list[str]:
    return director_net.curl("-g", f"http://[{vip}]:{port}/" if ":" in vip else f"http://{vip}:{port}/")


def transfers(vip: str, port: int) -> dict[str, Any]:
    """A download, an upload and a datagram in fragments; each with who has answered, and what it saw."""
    url = f"http://[{vip}]:{port}/" if ":" in vip else f"http://{vip}:{port}/"
    uploaded = Path("/run/upload")
    uploaded.write_bytes(CONTENT[::-1])
    results: dict[str, Any] = {"download": download(vip, port)}
    results["downloaded"] = Path("/run/got").read_bytes() == CONTENT
    results["upload"] = director_net.curl("-g", "-H", "Expect:", "--data-binary", f"@{uploaded}", url)
    results["uploaded"] = Path("/run/got").read_text() == digest(CONTENT[::-1])
    asked = (sys.executable, "-c", _ASK, vip, str(port), str(_DATAGRAM), str(patient(10)))
    results["datagram"] = director_net.sh(*asked, host="c", check=False).stdout.split()
    return results


def try_out(engine: str, folder: Path) -> dict[str, Any]:
    director = start_director("nat", folder, "--engine", engine)
    results: dict[str, Any] = {"added": ""}
    for vip, port, server, _ in SERVICES.values():
        service = f"[{vip}]:{port}" if ":" in vip else f"{vip}:{port}"
        for letter in "tu":
            results["added"] += tool("ipvsadm", "-A", f"-{letter}", service, "-s", "rr")
            results["added"] += tool("ipvsadm", "-a", f"-{letter}", service, "-r", *server.split())
    results["transfers"] = {name: transfers(vip, port) for name, (vip, port, *_) in SERVICES.items()}
    results["refused"] = director_net.curl("-g", f"http://[{VIP}]:99/")[0]
    ping = ("ping", "-c", "1", "-W", f"{patient(2):.1f}", VIP)
    results["ping"] = ok(director_net.sh(*ping, host="c", check=False))
    results["list"] = tool("ipvsadm", "-Ln")
    results["saved"] = tool("ipvsadm", "-Sn")
    results["connections"] = tool("ipvsadm", "-Lcn")
    results["explained"] = tool("lvs-explain", "[2001:db8::65]:9", f"[{VIP}]:80")
    results["counters"] = call(SOCKET, {"do": "counters"})["engine"]
    neighbours = director_net.sh("ip", "-6", "neigh", "show", host="c").stdout
    results["vip_is_at"] = re.findall(rf"^{VIP} .*lladdr (\S+)", neighbours, re.MULTILINE)
    results["director_is_at"] = [_net.mac("d", "d-eth0")]
    results["table"] = director_net.sh("nft", "list", "tables", host="d").stdout.split("\n")
    results["replaced"] = replace_interfaces()
    results["counters after that"] = call(SOCKET, {"do": "counters"})["engine"]
    director.terminate()
    director.wait(patient(20))
    results["left"] = director_net.sh("nft", "list", "tables", host="d").stdout.strip()
    return results


def main() -> None:
    engine, folder = sys.argv[1], Path(sys.argv[2])
    build(folder)
    results = try_out(engine, folder)
    (folder / "results.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main()
