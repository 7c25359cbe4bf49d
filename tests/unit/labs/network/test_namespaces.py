"""Hosts as network namespaces: joined by cables and switches, with settings of their own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from labs.errors import BuildFailed, Unable
from labs.hosts import environment
from labs.machine import capabilities
from labs.network.namespaces import Namespaces
from labs.network.sandbox import run_in_sandbox

LISTENS = "import socket, time; s = socket.create_server(('', 80)); time.sleep(600)"


@pytest.fixture(autouse=True)
def _able() -> None:
    try:
        capabilities.require({"ip": "iproute2"})
    except Unable as missing:
        pytest.skip(str(missing))


def test_hosts_reach_each_other_and_programs_end(tmp_path: Path) -> None:
    def inside() -> int:
        net = Namespaces("one", tmp_path)
        net.add("a", {"net.ipv4.ip_forward": 1})
        net.add("b")
        net.cable(("a", "a-b", "192.0.2.1/24"), ("b", "b-a", "192.0.2.2/24"))
        net.bridge("lan")
        for host, address in (("a", "198.51.100.1/24"), ("b", "198.51.100.2/24")):
            net.plug(host, f"{host}-eth0", "lan", address)
        program = net.start("b", sys.executable, "-S", "-c", LISTENS)
        net.wait_for_port("b", 80)
        for address in ("192.0.2.2", "198.51.100.2"):
            net.run("a", "ping", "-c", "1", "-W", "5", address)
        assert net.run("a", "cat", "/proc/sys/net/ipv4/ip_forward") == "1\n"
        assert net.run("b", "cat", "/proc/sys/net/ipv4/ip_forward") == "0\n"
        with pytest.raises(BuildFailed, match=r"one-a ip link set nothing up: .*nothing"):
            net.run("a", "ip", "link", "set", "nothing", "up")
        net.close()
        assert program.poll() is not None
        assert net.attempt("", "ip", "netns").stdout == ""
        return 7

    assert run_in_sandbox(inside) == 7


def test_a_host_does_not_inherit_the_machines_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the machine's had been changed: these are taken for the kernel's defaults."""
    odd = {"all/arp_ignore": "2", "default/rp_filter": "1"}
    monkeypatch.setattr(environment, "_DEFAULTS", {f"ipv4/conf/{name}": value for name, value in odd.items()})

    def inside() -> int:
        net = Namespaces("", tmp_path)
        net.add("a")
        folder = "/proc/sys/net/ipv4/conf"
        names = ("all/arp_ignore", "default/rp_filter")
        assert net.run("a", "cat", *(f"{folder}/{name}" for name in names)) == "2\n1\n"
        return 7

    assert run_in_sandbox(inside) == 7
