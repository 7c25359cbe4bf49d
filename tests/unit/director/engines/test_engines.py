"""The registry of engines, routes, fragments, and the rule that keeps the kernel out."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import pytest
from scapy.layers.inet import IP, UDP

from director import engines
from director.engines.engine import EngineError
from director.engines.scapy import host_kernel
from director.engines.scapy.engine import ScapyEngine
from director.engines.scapy.fake import FakeRoutes
from director.engines.scapy.host import Route
from director.engines.scapy.host_kernel import HostKernel, Nft
from director.engines.scapy.ipv4 import fragmented
from director.engines.scapy.next_hops import Routes
from tests.unit.director.engines.support import fake_wire
from tests.unit.director.engines.test_local_node import RecordingNft


def test_the_scapy_engine_is_found_by_its_name() -> None:
    assert "scapy" in engines.names()
    assert engines.load("scapy") is ScapyEngine


def test_an_unknown_interface_is_said_in_one_sentence() -> None:
    with pytest.raises(EngineError, match=r"^There is no network interface 'nothere': see `ip link`\.$"):
        ScapyEngine.open(["nothere"], lambda: 0.0)


# ---- fragments ----


def test_what_fits_is_left_alone() -> None:
    assert fragmented(b"x" * 1500, 1500) == (b"x" * 1500,)


def test_pieces_make_the_whole() -> None:
    packet = IP(src="192.0.2.1", dst="192.0.2.2", id=7, ttl=9) / UDP(sport=1, dport=2) / os.urandom(3000)
    sent = [IP(piece) for piece in fragmented(bytes(packet), 1500)]
    assert [piece.len for piece in sent] == [1500, 1500, 68]
    assert [(piece.frag * 8, int(piece.flags) & 1) for piece in sent] == [(0, 1), (1480, 1), (2960, 0)]
    assert {(piece.id, piece.ttl, piece.proto) for piece in sent} == {(7, 9, 17)}
    assert b"".join(bytes(piece.payload) for piece in sent) == bytes(packet)[20:]


# ---- routes ----


@pytest.fixture
def routes() -> Routes:
    table = {
        "198.51.100.101": Route("d-eth0", "203.0.113.2", "203.0.113.254"),
        "203.0.113.11": Route("d-eth0", "0.0.0.0", "0.0.0.0"),
        "10.0.0.1": Route("other", "10.0.0.9", "0.0.0.0"),
    }
    return Routes([fake_wire()], FakeRoutes(table.__getitem__))


def test_a_far_address_is_reached_by_its_gateway(routes: Routes) -> None:
    hop = routes.lookup("198.51.100.101")
    assert hop is not None
    assert (hop.source, hop.address, hop.wire.interface) == ("203.0.113.2", "203.0.113.254", "d-eth0")


def test_a_near_address_is_its_own_next_hop(routes: Routes) -> None:
    hop = routes.lookup("203.0.113.11")
    assert hop is not None
    assert (hop.source, hop.address) == (hop.wire.address, "203.0.113.11")


def test_no_way_over_an_interface_that_is_not_the_directors(routes: Routes) -> None:
    assert routes.lookup("10.0.0.1") is None
    assert routes.mtu_of("10.0.0.1") == 1500


@pytest.mark.parametrize(("learnt", "known"), [(1400, 1400), (9000, 1500), (20, 1500)])
def test_a_learnt_mtu_only_makes_the_way_narrower(routes: Routes, learnt: int, known: int) -> None:
    routes.learn_mtu("203.0.113.11", learnt, 0.0)
    assert routes.mtu_of("203.0.113.11") == known


# ---- the kernel ----


def test_the_rule_replaces_what_is_there_and_spares_lvs0() -> None:
    lines = host_kernel.block_script({"203.0.113.2", "203.0.113.1"}).splitlines()
    assert lines[:2] == ["table ip lvs", "delete table ip lvs"]
    assert any("elements = { 203.0.113.1, 203.0.113.2 };" in line for line in lines)
    assert any('iifname != { "lo", "lvs0" }' in line and line.endswith("drop") for line in lines)


def test_without_vips_the_set_is_empty() -> None:
    assert "elements" not in host_kernel.block_script(set())


def test_without_nft_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_args, **_more: None)
    with pytest.raises(EngineError, match="install the package nftables"):
        HostKernel([]).block({"203.0.113.1"})


def a_slow_nft(folder: Path, *lines: str) -> tuple[Nft, Path]:
    """An nft that reads its script once somebody lets it."""
    go, script = folder / "go", folder / "nft"
    script.write_text(f"#!/bin/sh\nuntil [ -e {go} ]; do sleep 0.01; done\n" + "\n".join(lines) + "\n")
    script.chmod(0o755)
    return Nft(str(script)), go


def test_nobody_waits_for_nft(tmp_path: Path) -> None:
    told = tmp_path / "told"
    nft, go = a_slow_nft(tmp_path, f"cat >> {told}")
    kept_out = HostKernel([], nft)
    steps = kept_out.block_in_steps({"203.0.113.1"})
    assert [next(steps) for _ in range(100)] == [None] * 100
    assert not told.exists()
    go.touch()
    for _ in steps:
        pass
    assert told.read_text() == host_kernel.block_script({"203.0.113.1"})
    assert list(kept_out.block_in_steps({"203.0.113.1"})) == []
    kept_out.block({"203.0.113.1"})  # it has been done
    assert told.read_text().count("203.0.113.1") == 1


def test_what_nft_refuses_is_told_in_its_words(tmp_path: Path) -> None:
    nft, go = a_slow_nft(tmp_path, "echo 'Operation not   permitted' >&2", "exit 1")
    go.touch()
    kept_out = HostKernel([], nft)
    for _ in range(2):  # it has not come to be
        with pytest.raises(EngineError, match=r"\(Operation not permitted\): it takes the ambient"):
            list(kept_out.block_in_steps({"203.0.113.1"}))


@pytest.mark.parametrize(
    ("number", "says"),
    [(errno.ENOENT, "(No such file or directory): try `modprobe"), (errno.EACCES, "mode 0666")],
)
def test_without_a_tun_device_it_says_so(monkeypatch: pytest.MonkeyPatch, number: int, says: str) -> None:
    def refuse(*_arguments: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(EngineError, match=rf"^/dev/net/tun can't be opened .*{re.escape(says)}"):
        HostKernel([]).start()


def test_close_puts_back_what_start_has_changed(tmp_path: Path) -> None:
    for interface in ("all", "d-eth0", "lvs0"):
        (tmp_path / interface).mkdir()
        for name in ("rp_filter", "send_redirects"):
            (tmp_path / interface / name).write_text("1")
    nft = RecordingNft()
    reading, writing = os.pipe()
    kept_out = HostKernel(["d-eth0"], nft, lambda _name: writing, tmp_path)
    kept_out.start()
    assert (tmp_path / "all" / "rp_filter").read_text() == "0"
    assert (tmp_path / "d-eth0" / "send_redirects").read_text() == "0"
    assert kept_out.deliver(b"packet")
    assert os.read(reading, 100) == b"packet"
    kept_out.block({"203.0.113.1"})
    kept_out.block({"203.0.113.1"})
    kept_out.close()
    kept_out.close()
    os.close(reading)
    assert nft.scripts[0] == host_kernel.delete(host_kernel.LOCAL_NODE)
    assert [script.count("203.0.113.1") for script in nft.scripts[1:]] == [1, 0]
    assert (tmp_path / "all" / "rp_filter").read_text() == "1"
    assert (tmp_path / "d-eth0" / "send_redirects").read_text() == "1"
