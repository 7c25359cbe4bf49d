"""The registry of engines, and what they ask the kernel about this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from director import engines
from director.core.errors import BadValue
from director.engines import interfaces
from director.engines.engine import EngineError, is_initial_root
from director.engines.scapy.engine import ScapyEngine


def test_the_scapy_engine_is_found_by_its_name() -> None:
    assert "scapy" in engines.names()
    assert engines.load("scapy") is ScapyEngine


def test_an_unknown_interface_is_named_in_one_sentence() -> None:
    with pytest.raises(EngineError, match=r"^There is no network interface 'nothere': see `ip link`\.$"):
        ScapyEngine.open(["nothere"], lambda: 0.0)


@pytest.mark.parametrize(
    ("address", "local"), [("127.0.0.1", True), ("127.3.2.1", True), ("198.51.100.77", False)]
)
def test_an_address_of_this_machine(address: str, local: bool) -> None:
    assert interfaces.is_local(address) is local


def test_a_broadcast_address_is_refused() -> None:
    with pytest.raises(BadValue, match=r"the address of one host, got '127\.255\.255\.255'"):
        interfaces.is_local("127.255.255.255")


@pytest.mark.parametrize(
    ("uid_map", "root"), [("0 0 4294967295", True), ("0 1000 1", False), ("1000 1000 1", False)]
)
def test_root_of_a_user_namespace_is_recognized(uid_map: str, root: bool, tmp_path: Path) -> None:
    (tmp_path / "uid_map").write_text(f"         {uid_map}\n")
    assert is_initial_root(tmp_path / "uid_map") is root
