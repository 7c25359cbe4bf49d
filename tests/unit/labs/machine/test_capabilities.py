"""What this machine lacks is reported in one sentence, before anything is built."""

from __future__ import annotations

import errno
import shutil
import subprocess
from pathlib import Path
from subprocess import TimeoutExpired

import pytest

from labs.errors import Unable
from labs.machine import capabilities
from labs.run.options import LabOptions


@pytest.fixture
def ordinary_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)


@pytest.mark.parametrize("program", ["ovs-vswitchd", "nginx", "tcpdump", "nft"])
def test_a_missing_program_is_named_with_its_package(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = shutil.which

    def which(name: str, path: str | None = None) -> str | None:
        return None if name == program else found(name, path=path)

    monkeypatch.setattr("shutil.which", which)
    package = capabilities.PROGRAMS[program]
    with pytest.raises(Unable, match=f"Not installed: {package}: run `sudo apt-get install {package}`"):
        capabilities.require()


def test_a_kernel_without_ipv6_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(capabilities, "SYSCTLS", tmp_path)
    capabilities.require_for(LabOptions(family=4))
    with pytest.raises(Unable, match=r"^--family 46: this kernel has no IPv6: start it without"):
        capabilities.require_for(LabOptions(family=46))


@pytest.mark.usefixtures("ordinary_user")
@pytest.mark.parametrize(("setting", "value"), list(capabilities.SETTINGS.items()))
def test_the_setting_that_forbids_user_namespaces_is_named(
    setting: str, value: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / setting).parent.mkdir(parents=True)
    (tmp_path / setting).write_text(value + "\n")
    monkeypatch.setattr(capabilities, "SYSCTLS", tmp_path)
    monkeypatch.setattr(capabilities, "_try_user_namespace", lambda: errno.EPERM)
    with pytest.raises(Unable, match=f"{setting.replace('/', '.')}={value}.*sudo"):
        capabilities.require({})


@pytest.mark.usefixtures("ordinary_user")
def test_user_namespaces_refused_for_an_unknown_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(capabilities, "SYSCTLS", tmp_path)
    monkeypatch.setattr(capabilities, "_try_user_namespace", lambda: errno.ENOSPC)
    with pytest.raises(Unable, match=r"No space left.*sudo"):
        capabilities.require({})


def test_a_closed_tun_device_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capabilities, "TUN", "/no/such/device")
    with pytest.raises(Unable, match="modprobe tun"):
        capabilities.require({})


@pytest.mark.parametrize("error", [FileNotFoundError(2, "unshare"), TimeoutExpired("unshare", 10)])
def test_netem_that_cannot_be_tried_is_absent(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(capabilities, "load_modules_if_root", lambda _: None)
    monkeypatch.setattr(subprocess, "run", run)
    assert not capabilities.has_netem()
