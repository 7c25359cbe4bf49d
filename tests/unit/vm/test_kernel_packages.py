"""The packages of a kernel, and what happens where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from labs.errors import BadRequest, Unable
from vm import kernel_packages

DEPENDS = {
    "linux-image-amd64": "linux-image-amd64\n  Depends: linux-image-6.1.0-56-amd64\n",
    "linux-image-6.1.0-56-amd64": "linux-image-6.1.0-56-amd64\n  Depends: kmod\n  Depends: initramfs-tools\n",
    "linux-image-generic": (
        "linux-image-generic\n  Depends: linux-image-6.8.0-31-generic\n"
        "  Depends: linux-modules-extra-6.8.0-31-generic\n  Depends: linux-firmware\n"
    ),
    "linux-image-6.8.0-31-generic": "x\n  Depends: linux-modules-6.8.0-31-generic\n",
}


@pytest.fixture(autouse=True)
def _packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_packages, "_output", lambda *command: DEPENDS.get(command[-1], ""))


@pytest.mark.parametrize(
    ("meta", "packages"),
    [
        ("linux-image-amd64", ["linux-image-6.1.0-56-amd64"]),
        (
            "linux-image-generic",
            [
                "linux-image-6.8.0-31-generic",
                "linux-modules-extra-6.8.0-31-generic",
                "linux-modules-6.8.0-31-generic",
            ],
        ),
        ("linux-image-nosuch", []),
    ],
)
def test_the_packages_of_a_kernel(meta: str, packages: list[str]) -> None:
    assert list(kernel_packages._parts(meta)) == packages


def test_a_cached_kernel_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LVS_CACHE", str(tmp_path))
    root = tmp_path / "kernel" / "linux-image-6.1.0-56-amd64"
    (root / "boot").mkdir(parents=True)
    (root / "boot" / "vmlinuz-6.1.0-56-amd64").touch()
    (root / "unpacked").touch()
    found = kernel_packages.ready(lambda _sentence: pytest.fail("nothing has to be fetched"))
    assert (found.root, found.release) == (root, "6.1.0-56-amd64")
    assert found.image.exists()


def test_without_package_lists_the_error_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LVS_CACHE", str(tmp_path))
    with pytest.raises(Unable, match="apt-get update"):
        kernel_packages.ready(lambda _sentence: None)


def test_an_unknown_series_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LVS_CACHE", str(tmp_path))
    with pytest.raises(BadRequest, match=r"--kernel 2\.4 is not known: choose one of 6\.1, 6\.12\."):
        kernel_packages.ready(lambda _sentence: None, "2.4")
    assert not list(tmp_path.iterdir())


def test_another_series_is_downloaded_from_its_own_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of this machine's apt only the address of the mirror is used, and nothing is changed."""
    monkeypatch.setenv("LVS_CACHE", str(tmp_path))
    monkeypatch.setattr(kernel_packages, "_KEYS", tmp_path / "keys.gpg")
    kernel_packages._KEYS.touch()
    image = "linux-image-6.12.117+deb13-amd64"
    known = {
        "--print-architecture": "amd64",
        "Label: Debian": "http://mirror.example/debian\nhttp://other.example/debian",
        "Label: Debian-Security": "http://updates.example/debian-security",
        "linux-image-amd64": f"linux-image-amd64\n  Depends: {image}\n",
    }
    monkeypatch.setattr(
        kernel_packages,
        "_output",
        lambda *command: known.get(command[-1 - ("Component: main" in command)], ""),
    )
    ran: list[list[str]] = []

    def run(command: list[str], folder: Path, _seconds: float) -> None:
        ran.append(command)
        if "download" in command:
            (folder / "boot").mkdir()
            (folder / "boot" / "vmlinuz-6.12.117+deb13-amd64").touch()

    monkeypatch.setattr(kernel_packages, "_run", run)
    found = kernel_packages.ready(lambda _sentence: None, "6.12")
    assert (found.root, found.release) == (tmp_path / "kernel-6.12" / image, "6.12.117+deb13-amd64")
    sources = tmp_path / "kernel-6.12" / "apt" / "sources.list"
    keys = kernel_packages._KEYS
    assert sources.read_text() == (
        f"deb [signed-by={keys}] http://mirror.example/debian trixie main\n"
        f"deb [signed-by={keys}] http://updates.example/debian-security trixie-security main\n"
    )
    assert [command[-1] for command in ran if command[0] == "apt-get"] == ["update", image]
    for command in ran[:2]:
        assert {f"Dir::Etc::SourceList={sources}", "Dir::Etc::SourceParts=/dev/null"} <= set(command)
    assert kernel_packages.ready(lambda _: pytest.fail("it is there"), "6.12") == found


def test_without_debians_keys_nothing_is_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LVS_CACHE", str(tmp_path))
    monkeypatch.setattr(kernel_packages, "_KEYS", tmp_path / "nowhere")
    with pytest.raises(Unable, match="install debian-archive-keyring"):
        kernel_packages.ready(lambda _sentence: None, "6.12")
