"""What nftables loads and when: the block on VIPs, the local node's own ports."""

from __future__ import annotations

import errno
import os
import re
from itertools import starmap
from pathlib import Path

import pytest

from director.control.handler import RequestHandler
from director.core.commands import AddServer, AddService, DeleteServer, ServiceKey
from director.core.director import Director
from director.core.family import IPV4
from director.core.packet import TCP, UDP, Endpoint
from director.core.real_server import Method
from director.core.transaction import exhaust
from director.engines.engine import EngineError
from director.engines.scapy import host_kernel
from director.engines.scapy.host_kernel import HostKernel, Loading, Nft, redirect_of
from director.formats.command_json import encode
from tests.unit.director.engines.support import VIP, Running

WEB, DNS = ServiceKey(TCP, Endpoint("203.0.113.1", 80)), ServiceKey(UDP, Endpoint("203.0.113.1", 53))
OWN, OTHER = Endpoint("172.16.0.1", 8080), Endpoint("172.16.0.2", 8000)
OWN_ADDRESSES = ("172.16.0.1", "192.0.2.1", "127.0.0.1")


@pytest.fixture
def director() -> Director:
    director = Director(is_local=lambda address: address in OWN_ADDRESSES)
    director.apply([AddService(WEB), AddServer(WEB, OTHER)], 0)
    return director


class Loaded(Loading):
    """Nothing is left to do."""

    def __init__(self) -> None:
        pass

    @property
    def is_running(self) -> bool:
        return False

    def check(self) -> None:
        pass


class RecordingNft(Nft):
    """Keeps the scripts instead of loading them."""

    def __init__(self) -> None:
        self.scripts: list[str] = []

    def begin(self, script: str) -> Loading:
        self.scripts.append(script)
        return Loaded()


def redirect(kernel: HostKernel, director: Director) -> None:
    exhaust(kernel.redirect_in_steps(director.rules.local_servers()))


@pytest.fixture
def nft() -> RecordingNft:
    return RecordingNft()


def test_only_ports_that_differ_are_redirected(director: Director) -> None:
    key = ServiceKey(TCP, Endpoint("203.0.113.1", 443))
    director.apply([AddService(key), AddServer(key, Endpoint("172.16.0.1", 443)), AddServer(WEB, OWN)], 0)
    director.apply([AddService(DNS), AddServer(DNS, Endpoint("192.0.2.1", 5353))], 0)
    found = starmap(redirect_of, director.rules.local_servers())
    assert sorted(map(str, filter(None, found))) == [
        "ip daddr 203.0.113.1 tcp dport 80 dnat to 172.16.0.1:8080",
        "ip daddr 203.0.113.1 udp dport 53 dnat to 192.0.2.1:5353",
    ]


@pytest.mark.parametrize(
    ("key", "servers", "message"),
    [
        (DNS, [Endpoint("127.0.0.1", 5353)], "packets from outside can't reach 127.0.0.0/8"),
        (DNS, [Endpoint("172.16.0.1", 5353), Endpoint("192.0.2.1", 53)], "only one server of a service"),
        (ServiceKey(mark=7), [OWN], "the service has no port"),
        (ServiceKey(UDP, Endpoint("203.0.113.1", 0)), [OWN], "the service has no port"),
    ],
)
def test_impossible_redirects_are_refused(
    director: Director, nft: RecordingNft, key: ServiceKey, servers: list[Endpoint], message: str
) -> None:
    director.apply([AddService(key, persistent=60), *(AddServer(key, server) for server in servers)], 0)
    with pytest.raises(EngineError, match=f"own host can't serve .*{message}"):
        redirect(HostKernel([], nft), director)
    assert nft.scripts == []


def test_after_a_refusal_the_earlier_vips_are_blocked() -> None:
    running = Running(Method.NAT, local=OWN_ADDRESSES)
    running.kernel.redirect_in_steps = HostKernel([], RecordingNft()).redirect_in_steps  # type: ignore[method-assign]
    running.kernel.blocked.clear()
    key = ServiceKey(UDP, Endpoint("203.0.113.9", 53))
    commands = [encode(AddService(key)), encode(AddServer(key, Endpoint("127.0.0.1", 5353)))]
    handler = RequestHandler(running.director, running.engine, lambda: 0.0, {})
    reply = handler({"do": "apply", "commands": commands})
    assert "127.0.0.0/8" in reply["error"]
    assert running.kernel.blocked == [{VIP, "203.0.113.9"}, {VIP}]


def test_only_changes_are_loaded_and_nothing_is_left(director: Director, nft: RecordingNft) -> None:
    kernel = HostKernel([], nft)
    redirect(kernel, director)
    assert nft.scripts == []
    director.apply([AddServer(WEB, OWN)], 0)
    for _ in range(2):
        redirect(kernel, director)
    assert len(nft.scripts) == 1
    assert nft.scripts[0].startswith("table ip lvs_local_node\ndelete table ip lvs_local_node\n")
    assert "type nat hook prerouting priority dstnat" in nft.scripts[0]
    director.apply([DeleteServer(WEB, OWN)], 0)
    redirect(kernel, director)
    kernel.close()
    assert nft.scripts[1:] == ["table ip lvs_local_node\ndelete table ip lvs_local_node\n"]


def test_close_deletes_the_table(director: Director, nft: RecordingNft) -> None:
    kernel = HostKernel([], nft)
    director.apply([AddServer(WEB, OWN, method=Method.NAT)], 0)
    redirect(kernel, director)
    kernel.close()
    kernel.close()
    assert [script.count("dnat") for script in nft.scripts] == [1, 0]


# ---- the block on VIPs ----


def test_the_rule_replaces_what_is_there_and_spares_lvs0() -> None:
    lines = host_kernel.block_script({IPV4: ["203.0.113.1", "203.0.113.2"]}).splitlines()
    assert lines[:2] == ["table ip lvs", "delete table ip lvs"]
    assert any("elements = { 203.0.113.1, 203.0.113.2 };" in line for line in lines)
    assert any('iifname != { "lo", "lvs0" }' in line and line.endswith("drop") for line in lines)


def test_without_vips_the_set_is_empty() -> None:
    assert "elements" not in host_kernel.block_script({IPV4: []})


def test_a_missing_nft_is_reported_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_args, **_more: None)
    with pytest.raises(EngineError, match="install the package nftables"):
        HostKernel([]).block({"203.0.113.1"})


def a_slow_nft(folder: Path, *lines: str) -> tuple[Nft, Path]:
    """An nft that reads its script once the file exists."""
    go, script = folder / "go", folder / "nft"
    script.write_text(f"#!/bin/sh\nuntil [ -e {go} ]; do sleep 0.01; done\n" + "\n".join(lines) + "\n")
    script.chmod(0o755)
    return Nft(str(script)), go


def test_packets_do_not_wait_for_nft(tmp_path: Path) -> None:
    loaded = tmp_path / "loaded"
    nft, go = a_slow_nft(tmp_path, f"cat >> {loaded}")
    kernel = HostKernel([], nft)
    steps = kernel.block_in_steps({"203.0.113.1"})
    assert [next(steps) for _ in range(100)] == [None] * 100
    assert not loaded.exists()
    go.touch()
    for _ in steps:
        pass
    assert loaded.read_text() == host_kernel.block_script({IPV4: ["203.0.113.1"]})
    assert list(kernel.block_in_steps({"203.0.113.1"})) == []
    kernel.block({"203.0.113.1"})  # that has been done
    assert loaded.read_text().count("203.0.113.1") == 1


def test_ten_thousand_vips_are_sorted_into_their_families_in_steps(tmp_path: Path) -> None:
    nft, _ = a_slow_nft(tmp_path)
    vips = {f"10.0.{number // 250}.{number % 250 + 1}" for number in range(10_000)} | {"2001:db8::80"}
    steps = HostKernel([], nft).block_in_steps(vips)
    assert [next(steps) for _ in vips] == [None] * len(vips)  # and nft has not begun


def test_a_refusal_is_reported_in_the_words_of_nft(tmp_path: Path) -> None:
    nft, go = a_slow_nft(tmp_path, "echo 'Operation not   permitted' >&2", "exit 1")
    go.touch()
    kernel = HostKernel([], nft)
    for _ in range(2):  # the block is not in place yet
        with pytest.raises(EngineError, match=r"\(Operation not permitted\): it needs the ambient"):
            list(kernel.block_in_steps({"203.0.113.1"}))


@pytest.mark.parametrize(
    ("number", "message"),
    [(errno.ENOENT, "(No such file or directory): try `modprobe"), (errno.EACCES, "mode 0666")],
)
def test_a_missing_tun_device_is_reported(monkeypatch: pytest.MonkeyPatch, number: int, message: str) -> None:
    def refuse(*_arguments: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(EngineError, match=rf"^/dev/net/tun can't be opened .*{re.escape(message)}"):
        HostKernel([]).start()


def test_close_restores_what_start_changed(tmp_path: Path) -> None:
    for interface in ("all", "d-eth0", "lvs0"):
        (tmp_path / interface).mkdir()
        for name in ("rp_filter", "send_redirects"):
            (tmp_path / interface / name).write_text("1")
    nft = RecordingNft()
    reading, writing = os.pipe()
    kernel = HostKernel(["d-eth0"], nft, lambda _name: writing, tmp_path)
    kernel.start()
    assert (tmp_path / "all" / "rp_filter").read_text() == "0"
    assert (tmp_path / "d-eth0" / "send_redirects").read_text() == "0"
    assert kernel.deliver(b"packet")
    assert os.read(reading, 100) == b"packet"
    kernel.block({"203.0.113.1"})
    kernel.block({"203.0.113.1"})
    kernel.close()
    kernel.close()
    os.close(reading)
    assert nft.scripts[0] == host_kernel.leftovers()
    assert [script.count("203.0.113.1") for script in nft.scripts[1:]] == [1, 0]
    assert (tmp_path / "all" / "rp_filter").read_text() == "1"
    assert (tmp_path / "d-eth0" / "send_redirects").read_text() == "1"


# ---- ports of the local node, while packets are forwarded ----


def test_packets_do_not_wait_for_a_redirect(tmp_path: Path, director: Director) -> None:
    loaded = tmp_path / "loaded"
    nft, go = a_slow_nft(tmp_path, f"cat > {loaded}")
    director.apply([AddServer(WEB, OWN)], 0)
    kernel = HostKernel([], nft)
    steps = kernel.redirect_in_steps(director.rules.local_servers())
    assert [next(steps) for _ in range(100)] == [None] * 100
    go.touch()
    exhaust(steps)
    assert "dnat to 172.16.0.1:8080" in loaded.read_text()


def test_a_redirect_in_use_stays_until_the_new_rules_are_in_force(
    director: Director, nft: RecordingNft
) -> None:
    kernel = HostKernel([], nft)
    director.apply([AddServer(WEB, OWN)], 0)
    redirect(kernel, director)
    director.apply([DeleteServer(WEB, OWN), AddService(DNS), AddServer(DNS, Endpoint("192.0.2.1", 54))], 0)
    exhaust(kernel.redirect_in_steps(director.rules.local_servers(), keep=True))
    redirect(kernel, director)
    rules = [[line.split()[-1] for line in script.splitlines() if "dnat" in line] for script in nft.scripts]
    assert rules == [["172.16.0.1:8080"], ["172.16.0.1:8080", "192.0.2.1:54"], ["192.0.2.1:54"]]


def test_a_later_change_overtakes_the_end_of_an_earlier_one(director: Director, nft: RecordingNft) -> None:
    kernel = HostKernel([], nft)
    director.apply([AddServer(WEB, OWN)], 0)
    earlier = kernel.redirect_in_steps(list(director.rules.local_servers()))
    next(earlier)
    director.apply([AddService(DNS), AddServer(DNS, Endpoint("192.0.2.1", 54))], 0)
    exhaust(kernel.redirect_in_steps(director.rules.local_servers(), keep=True))
    exhaust(earlier)
    assert [script.count("dnat") for script in nft.scripts] == [2]


def test_a_change_that_is_given_up_does_not_wait_for_nft(tmp_path: Path) -> None:
    """The next one does: nft may load the earlier script at any time."""
    loaded = tmp_path / "loaded"
    nft, go = a_slow_nft(tmp_path, f"cat >> {loaded}; echo >> {loaded}")
    kernel = HostKernel([], nft)
    steps = kernel.block_in_steps({"203.0.113.1"})
    while kernel._loading is None:
        next(steps)
    steps.close()  # type: ignore[attr-defined]  # it would hang here
    following = kernel.block_in_steps({"203.0.113.2"})
    assert [next(following) for _ in range(100)] == [None] * 100
    go.touch()
    exhaust(following)
    assert re.findall(r"203\.0\.113\.\d", loaded.read_text()) == ["203.0.113.1", "203.0.113.2"]
