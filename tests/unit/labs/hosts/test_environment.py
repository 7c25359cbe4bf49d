"""The environment of a process inside a lab, whoever starts it, and the folders of libraries."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from labs.errors import Unable
from labs.hosts import environment
from labs.hosts.environment import cache_folder, lab_environment, state_folder, user_name
from labs.machine import capabilities
from labs.network.sandbox import run_in_sandbox
from labs.run.evidence import Evidence, runs_folder
from labs.wait import poll_until
from realserver_setup import syscalls

STRANGE = {
    **dict.fromkeys(
        ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "NO_PROXY"), "http://127.0.0.1:9"
    ),
    **dict.fromkeys(
        ("LD_PRELOAD", "BASH_ENV", "ENV", "PYTHONSTARTUP", "PYTHONHOME", "CURL_HOME"), "/no/where"
    ),
    "LC_ALL": "tr_TR.ISO-8859-9",
    "LANG": "C",
    "LC_NUMERIC": "de_DE",
    "LANGUAGE": "de",
    "IFS": "x",
    "PATH": "/no/where",
    "HOME": "/no/where",
    "LOGNAME": "somebody",
    "USER": "somebody",
    "PYTHONPATH": "/no/where",
    "LVS_SOCKET": "/no/where",
    "LVS_CLASS_SECRET": "/secret",
}
PASSES = {"TERM": "xterm", "COLUMNS": "80", "LVS_PATIENCE": "2", "LVS_TEST_MARK": "x", "LVS_RUNS": "/runs"}


def test_only_the_terminal_and_our_own_variables_pass() -> None:
    strange, tidy = lab_environment({**STRANGE, **PASSES}), lab_environment(PASSES)
    assert strange == tidy
    assert tidy.items() >= PASSES.items()


def test_an_empty_environment_makes_the_same() -> None:
    variables = lab_environment({})
    assert variables["TERM"] == "dumb"
    assert (variables["LANG"], variables["LC_ALL"]) == ("C.UTF-8", "C.UTF-8")
    assert variables["PATH"].startswith(f"{environment.BIN}:{environment.AVAILABILITY}:/usr/local/sbin:")
    assert {"HOME", "SHELL", "USER", "LOGNAME", "PYTHONPATH", "LVS_SOCKET"} <= variables.keys()


@pytest.fixture
def able() -> None:
    try:
        capabilities.require({})
    except Unable as missing:
        pytest.skip(str(missing))


@pytest.mark.usefixtures("able")
def test_the_sandbox_has_this_environment_and_its_own_umask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in STRANGE.items():
        monkeypatch.setenv(name, value)
    output_file = tmp_path / "told"

    def look() -> int:
        (tmp_path / "made").mkdir()
        output = subprocess.run(["env"], capture_output=True, text=True, check=True).stdout
        output_file.write_text(output)
        return 0

    before = os.umask(0o077)
    try:
        assert run_in_sandbox(look) == 0
    finally:
        os.umask(before)
    variables = dict(line.partition("=")[::2] for line in output_file.read_text().splitlines())
    terminal = dict.fromkeys(("COLUMNS", "LINES"), "")  # libreadline may set them by itself
    assert {**variables, **terminal} == {**lab_environment(os.environ), **terminal}
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o755


@pytest.mark.usefixtures("able")
def test_inherited_settings_of_new_networks_are_reset(tmp_path: Path) -> None:
    """Each is set to a value that no lab expects; the kernel then changes some others, too."""
    odd = {
        "ipv4/conf/all/rp_filter": "1",
        "ipv4/conf/default/arp_ignore": "1",
        "ipv4/conf/all/arp_announce": "2",
        "ipv4/conf/all/forwarding": "1",
        "ipv6/conf/all/accept_dad": "2",
        "ipv6/conf/default/accept_ra": "0",
        "ipv6/conf/all/forwarding": "1",
        "ipv6/conf/default/disable_ipv6": "1",
        "ipv6/conf/all/addr_gen_mode": "1",
        "ipv6/conf/default/drop_unsolicited_na": "1",
        "ipv6/conf/lo/hop_limit": "3",
        "ipv6/conf/default/use_tempaddr": "2",
    }
    output_file = tmp_path / "told"

    def look() -> int:
        with subprocess.Popen(["unshare", "--net", "sleep", "60"]) as host:
            own = os.readlink("/proc/self/ns/net")
            poll_until(lambda: os.readlink(f"/proc/{host.pid}/ns/net"), lambda net: net != own, 10)
            inside = ["nsenter", "--target", str(host.pid), "--net", "sh", "-c"]
            settings = " ".join(f"net/{name}={value}" for name, value in odd.items())
            subprocess.run([*inside, f"sysctl -qw {settings}"], check=True)
            subprocess.run(["sysctl", "-qw", *settings.split()], check=True)  # as if inherited here, too
            found = environment.settings_not_default()
            environment._inherited.update(found)
            environment.reset_settings(host.pid)
            names = " ".join(f"/proc/sys/net/{name}" for name in found)
            now = subprocess.run([*inside, f"cat {names}"], capture_output=True, text=True, check=True).stdout
            differ = {name for name, value in zip(found, now.split(), strict=True) if value != found[name]}
            output_file.write_text(f"{sorted(set(odd) - set(found))} {sorted(differ)}")
            host.kill()
        return 0

    assert run_in_sandbox(look) == 0
    assert output_file.read_text() == "[] []"


@pytest.mark.usefixtures("able")
@pytest.mark.skipif(
    Path("/proc/sys/net/core/devconf_inherit_init_net").read_text().strip() not in ("0", "2"),
    reason="here, new networks inherit the settings of IPv6, too",
)
def test_the_defaults_of_ipv6_are_those_of_a_new_network(tmp_path: Path) -> None:
    output_file = tmp_path / "told"

    def look() -> int:
        syscalls.unshare(syscalls.CLONE_NEWNET)
        output_file.write_text(str([name for name in environment.settings_not_default() if "ipv6" in name]))
        return 0

    assert run_in_sandbox(look) == 0
    assert output_file.read_text() == "[]"


@pytest.fixture
def homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary folder of this test, and a user without a home."""
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(environment, "_passwd_home", lambda: "")
    return tmp_path


def test_the_users_own_cache_is_used(homes: Path) -> None:
    assert cache_folder({"HOME": str(homes)}) == homes / ".cache" / "lvs-lab"
    assert cache_folder({"HOME": "/", "XDG_CACHE_HOME": str(homes / "c")}) == homes / "c" / "lvs-lab"
    assert cache_folder({"HOME": "/", "LVS_CACHE": "/told"}) == Path("/told")
    assert state_folder({"HOME": str(homes)}) == homes / ".local" / "state" / "lvs-lab"


def test_what_a_lab_keeps_is_kept_in_its_users_home(homes: Path) -> None:
    """Such as the traceback of an internal error, although a lab has a HOME of its own."""
    assert state_folder(lab_environment({"HOME": str(homes)})) == homes / ".local" / "state" / "lvs-lab"


@pytest.mark.parametrize("home", ["", "relative", "/no/such/place", "/dev/null", "/proc/1"])
def test_a_home_that_does_not_exist_is_not_used(homes: Path, home: str) -> None:
    assert cache_folder({"HOME": home}) == homes / f"lvs-lab-{os.geteuid()}" / "lvs-lab"
    assert (homes / f"lvs-lab-{os.geteuid()}").stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_another_users_home_is_not_used(homes: Path) -> None:
    os.chown(homes, 12345, 12345)
    assert cache_folder({"HOME": str(homes), "XDG_CACHE_HOME": str(homes / "x")}).parent.name == "lvs-lab-0"


def test_a_folder_that_others_can_write_is_not_used(homes: Path) -> None:
    (homes / f"lvs-lab-{os.geteuid()}").mkdir()
    (homes / f"lvs-lab-{os.geteuid()}").chmod(0o777)
    with pytest.raises(Unable, match="accessible to others"):
        cache_folder({})


def test_the_real_user_counts_and_not_logname(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = user_name()
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "somebody")
    assert user_name() == mine
    monkeypatch.setattr("os.getuid", lambda: 4_000_000_123)  # whom passwd(5) does not know
    assert user_name() == "4000000123"


@pytest.mark.parametrize("where", ["file/runs", "file", "/proc/runs"])
def test_an_impossible_folder_for_runs_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LVS_RUNS", str(tmp_path / where))
    with pytest.raises(Unable, match="LVS_RUNS"):
        Evidence("lab-nat")


def test_a_relative_folder_for_runs_is_relative_to_the_current_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LVS_RUNS", "mine")
    assert runs_folder() == tmp_path / "mine"
