"""The part of test_controller.py that runs inside a sandbox: two switches, four hosts, one controller.

    h1 ─ s1 ─ s2 ─ h3
    h2 ─┘     └─ h4

Started as `python controller_trial.py FRAMEWORK FOLDER`; writes its observations to FOLDER/results.json.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from labs.controller.controller_client import ControllerClient, PortCounters
from labs.errors import BuildFailed
from labs.network.emulation import OpenVSwitch, remote_controller
from labs.network.sandbox import run_in_sandbox
from labs.wait import patient, wait_for

SOCKET = "/run/trial.sock"
SENT = 1_000_000
VIP = "10.9.9.9"

RECEIVE = """
import socket, sys
server = socket.create_server(("", 5001))
print("listening", flush=True)
peer, _ = server.accept()
print(sum(len(part) for part in iter(lambda: peer.recv(65536), b"")))
"""
SEND = f"""
import socket
with socket.create_connection(("10.0.0.4", 5001), 5) as peer:
    peer.sendall(bytes({SENT}))
"""
ARP_FRAMES = f"""
import socket, struct
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind(("h3-eth0", 0))
mac = wire.getsockname()[4]
def arp(*addresses, length=28, kind=2):
    body = struct.pack("!HHBBH6s4s6s4s", 1, 0x800, 6, 4, kind, *addresses)
    wire.send(b"\\xff" * 6 + mac + b"\\x08\\x06" + body[:length])
vip, other = socket.inet_aton("{VIP}"), socket.inet_aton("10.0.0.1")
for length in (0, 1, 8, 27):
    arp(mac, vip, bytes(6), other, length=length)
wire.send(b"\\xff" * 6 + mac + b"\\x08\\x06" + b"\\xff" * 60)
wire.send(b"\\xff" * 6 + b"\\x01" + mac[1:] + b"\\x08\\x06" + b"\\xff" * 28)
arp(b"\\x02\\x00\\x00\\x00\\x99\\x99", vip, bytes(6), other)
"""
PYTHON = "/usr/bin/python3"


def inside(name: str, folder: Path) -> int:
    switch = OpenVSwitch(folder)
    switch.start_database()
    command = [sys.executable, "-m", "labs.controller", "--socket", SOCKET, "--framework", name]
    began = time.monotonic()
    with (folder / "controller.log").open("wb") as log:
        controller = subprocess.Popen(command, stdout=log, stderr=log, cwd=Path(__file__).parents[2])
    switch.start_switch()
    switch.wait()
    wait_for(lambda: os.path.exists(SOCKET), 20, "the controller", BuildFailed)
    results: dict[str, Any] = {"start": time.monotonic() - began}
    net = network()
    client = ControllerClient(SOCKET)
    client.wait_for_switches(["s1", "s2"])
    results["up"] = time.monotonic() - began
    results["framework"] = client.framework()
    results["switches"] = {s.name: [port.name for port in s.ports] for s in client.switches()}
    ping(net, client, results)
    transfer(net, client, results)
    odd_arp(net, client, results)
    results["moved"] = move(net)
    results["gone"] = unplug(client)
    results["alive"] = controller.poll() is None
    (folder / "results.json").write_text(json.dumps(results))
    return 0


def network() -> Any:
    from mininet.log import setLogLevel
    from mininet.net import Mininet
    from mininet.node import OVSSwitch

    setLogLevel("error")
    net = Mininet(controller=None, build=False)
    for switch in ("s1", "s2"):
        net.addSwitch(switch, cls=OVSSwitch, datapath="user", protocols="OpenFlow13", failMode="secure")
    for i, switch in enumerate(("s1", "s1", "s2", "s2"), 1):
        net.addLink(net.addHost(f"h{i}", ip=f"10.0.0.{i}/24", mac=f"02:00:00:00:00:0{i}"), net.get(switch))
    net.addLink(net.get("s1"), net.get("s2"))
    net.addController(remote_controller())
    net.build()
    net.start()
    for host in net.hosts:
        run(host, "ethtool", "-K", f"{host.name}-eth0", "tx", "off")
    return net


def run(host: Any, *command: str) -> str:
    process = host.popen(list(command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return str(process.communicate(timeout=patient(20))[0])


def answer_within(seconds: float) -> tuple[str, ...]:
    """Options of ping."""
    return "-W", f"{patient(seconds):.1f}"


def ping(net: Any, client: ControllerClient, results: dict[str, Any]) -> None:
    pairs = [(a, b) for a in net.hosts for b in net.hosts if a is not b]
    pings = [run(a, "ping", "-c1", *answer_within(2), b.IP()) for a, b in pairs]
    results["lost"] = [
        str(pair) for pair, text in zip(pairs, pings, strict=True) if " 0% packet loss" not in text
    ]
    results["arp"] = [[c.switch, c.port_name, c.operation, c.sender_ip, c.sender_mac] for c in client.arp()]
    last = client.arp()[-1].serial
    results["arp_after_last"] = len(client.arp(since=last))


def transfer(net: Any, client: ControllerClient, results: dict[str, Any]) -> None:
    h1, h4 = net.get("h1", "h4")
    before = by_name(client)
    receiver = h4.popen([PYTHON, "-c", RECEIVE], stdout=subprocess.PIPE, text=True)
    receiver.stdout.readline()
    run(h1, PYTHON, "-c", SEND)
    results["received"] = int(receiver.communicate(timeout=patient(20))[0])
    after = by_name(client)
    results["bytes"] = {
        name: [after[name].rx_bytes - old.rx_bytes, after[name].tx_bytes - old.tx_bytes]
        for name, old in before.items()
    }


def by_name(client: ControllerClient) -> dict[str, PortCounters]:
    return {port.name: port for port in client.ports()}


def odd_arp(net: Any, client: ControllerClient, results: dict[str, Any]) -> None:
    """Malformed ARP, then a claim of the VIP with a sender MAC other than the frame's."""
    since = client.forget_arp()
    run(net.get("h3"), PYTHON, "-c", ARP_FRAMES)

    def pings() -> list[list[str]]:
        claims = [c for c in client.arp(since) if c.sender_ip == VIP]
        return [[c.port_name, c.operation, c.sender_mac, c.frame_source] for c in claims]

    results["claims"] = wait_for(pings, 5, "the claim", BuildFailed)


def move(net: Any) -> str:
    """h2 takes over h1's addresses; h4, which has them cached, continues to ping."""
    h1, h2, h4 = net.get("h1", "h2", "h4")
    run(h1, "ip", "link", "set", "h1-eth0", "down")
    run(h2, "ip", "link", "set", "h2-eth0", "address", h1.MAC())
    run(h2, "ip", "address", "add", "10.0.0.1/24", "dev", "h2-eth0")
    run(h2, "ping", "-c1", "-W0.2", "10.0.0.3")  # whatever the result, the switch has seen it
    return run(h4, "ping", "-c1", *answer_within(2), "10.0.0.1")


def unplug(client: ControllerClient) -> list[str]:
    """A port is removed; the others are still counted."""
    subprocess.run(["ovs-vsctl", "del-port", "s1", "s1-eth2"], check=True)
    wait_for(lambda: len(client.switches()[0].ports) == 2, 5, "the port to go", BuildFailed)
    return sorted(by_name(client))


if __name__ == "__main__":
    sys.exit(run_in_sandbox(lambda: inside(sys.argv[1], Path(sys.argv[2]))))
