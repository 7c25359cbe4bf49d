"""Which packages a kernel is made of, and what is said where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from labs.errors import Unable
from vm import kernel

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
    monkeypatch.setattr(kernel, "_output", lambda *command: DEPENDS.get(command[-1], ""))


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
def test_the_parts_of_a_kernel(meta: str, packages: list[str]) -> None:
    assert list(kernel._parts(meta)) == packages


def test_one_that_is_unpacked_is_used_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LVS_CACHE", str(tmp_path))
    root = tmp_path / "kernel" / "linux-image-6.1.0-56-amd64"
    (root / "boot").mkdir(parents=True)
    (root / "boot" / "vmlinuz-6.1.0-56-amd64").touch()
    (root / "unpacked").touch()
    found = kernel.ready(lambda _sentence: pytest.fail("nothing has to be fetched"))
    assert (found.root, found.release) == (root, "6.1.0-56-amd64")
    assert found.image.exists()


def test_without_lists_of_packages_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LVS_CACHE", str(tmp_path))
    with pytest.raises(Unable, match="apt-get update"):
        kernel.ready(lambda _sentence: None)
