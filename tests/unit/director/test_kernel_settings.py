"""Kernel settings that a killed director has left behind, and interfaces that forward."""

from __future__ import annotations

from errno import ENOSPC
from pathlib import Path

import pytest

from director import kernel_settings
from director.kernel_settings import forwarding, kept_for_the_next_director

INTERFACES = ("eth0", "eth1")
BEFORE = {
    "ip_forward": "0",
    "conf/all/rp_filter": "2",
    "conf/all/send_redirects": "1",
    "conf/eth0/send_redirects": "1",
    "conf/eth1/send_redirects": "0",
    "conf/eth0/forwarding": "0",
    "conf/eth1/forwarding": "1",
}


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "ipv4"
    for name, value in BEFORE.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{value}\n")
    monkeypatch.setattr(kernel_settings, "IPV4", folder)
    return folder


@pytest.fixture
def socket(tmp_path: Path) -> str:
    return str(tmp_path / "control")


def now(settings: Path) -> dict[str, str]:
    return {name: (settings / name).read_text().strip() for name in BEFORE}


def start_and_be_killed(socket: str, settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after SIGKILL, nothing is cleaned up; the lock ends with the process."""
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda *_, **__: None)
        with kept_for_the_next_director(socket, INTERFACES):
            for name in ("conf/all/rp_filter", "conf/all/send_redirects", "conf/eth0/send_redirects"):
                (settings / name).write_text("0\n")


def test_the_next_director_starts_with_the_settings_from_before(
    socket: str, settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_and_be_killed(socket, settings, monkeypatch)
    assert now(settings) != BEFORE
    with kept_for_the_next_director(socket, INTERFACES):
        assert now(settings) == BEFORE
    assert not Path(socket + ".sysctls").exists()


def test_another_network_namespace_keeps_its_own(
    socket: str, settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_and_be_killed(socket, settings, monkeypatch)
    left = now(settings)
    monkeypatch.setattr(kernel_settings, "_namespace", lambda: 7)
    with kept_for_the_next_director(socket, INTERFACES):
        assert now(settings) == left


def test_a_second_director_leaves_the_settings_of_the_first(socket: str, settings: Path) -> None:
    with kept_for_the_next_director(socket, INTERFACES):
        (settings / "conf/all/rp_filter").write_text("0\n")
        with kept_for_the_next_director(socket, INTERFACES):
            pass
        assert now(settings)["conf/all/rp_filter"] == "0"
        assert Path(socket + ".sysctls").exists()


@pytest.mark.parametrize(
    "text",
    ["", "[", "[]", '{"values": 3}', '{"namespace": 1, "values": [1]}', '{"values": {"ip_forward": "1"}}'],
)
def test_a_malformed_file_is_ignored(socket: str, settings: Path, text: str) -> None:
    Path(socket + ".sysctls").write_text(text)
    with kept_for_the_next_director(socket, INTERFACES):
        assert now(settings) == BEFORE


def test_a_folder_that_cannot_be_written_is_left_to_the_listener(settings: Path, tmp_path: Path) -> None:
    with kept_for_the_next_director(str(tmp_path / "none" / "control"), INTERFACES):
        assert now(settings) == BEFORE


@pytest.mark.usefixtures("settings")
def test_interfaces_that_forward() -> None:
    assert forwarding(INTERFACES) == ["eth1"]
    assert forwarding(("eth9",)) == []


@pytest.mark.usefixtures("settings")
def test_a_full_disk_does_not_keep_a_director_from_running(
    socket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(*_: object) -> int:
        raise OSError(ENOSPC, "No space left on device")

    monkeypatch.setattr("os.pwrite", write)
    with kept_for_the_next_director(socket, INTERFACES):
        pass
    assert not Path(f"{socket}.sysctls").exists()
