"""The director without a lab (docs/operating.md): lvs-director, with two capabilities instead of root."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from json import loads
from pathlib import Path
from typing import Any

import pytest

from labs.wait import patient
from tests.labs.operating_trial import RULES
from tests.labs.support import FROM_CHECKOUT, sandboxed

ROOT = Path(__file__).resolve().parents[2]
TRIAL = Path(__file__).with_name("operating_trial.py")
PAGE = ROOT / "docs" / "operating.md"
UNIT = ROOT / "director" / "systemd" / "lvs-director.service"
ANALYZE = shutil.which("systemd-analyze") or ""  # where there is a systemd, which no lab needs


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("operating")
    command = sandboxed(sys.executable, str(TRIAL), str(folder))
    done = subprocess.run(command, capture_output=True, text=True, timeout=patient(90), env=FROM_CHECKOUT)
    logs = "".join(log.read_text() for log in sorted(folder.glob("*.log")))
    assert done.returncode == 0, done.stdout + done.stderr + logs
    result: dict[str, Any] = loads((folder / "results.json").read_text())
    return result


def test_it_starts_with_saved_rules_and_says_so(results: dict[str, Any]) -> None:
    assert (results["told"], results["started"]) == ("READY=1", RULES)
    loaded, forwarding, *_ = results["log"].splitlines()
    assert loaded.startswith("lvs-director: The rules are those of ")
    assert forwarding == (
        "lvs-director: Forwarding on d-eth0, d-eth1; the control socket is /run/lvs-director.sock."
    )


def test_it_reloads_by_command_and_by_signal(results: dict[str, Any]) -> None:
    code, output, saved = results["reload"]
    assert (code, saved) == (0, RULES.replace("-w 1", "-w 3"))
    assert output.endswith("services 1, real servers 1, changes 1.\n")
    assert results["hangup"] == RULES.replace("-s wrr", "-s lc")


def test_a_connection_outlives_every_reload(results: dict[str, Any]) -> None:
    assert (results["served"], results["connections"]) == (["s", "s", "s"], "1")


def test_a_wrong_file_changes_nothing(results: dict[str, Any]) -> None:
    code, output, saved = results["wrong"]
    assert (code, output.count("\n"), saved) == (2, 1, results["hangup"])
    assert "line 1: " in output


def test_a_director_of_another_namespace_does_not_take_the_socket(results: dict[str, Any]) -> None:
    code, output = results["second"]
    assert (code, output.count("\n")) == (2, 1)
    assert "another process is listening there" in output
    assert "each director needs its own" in output


def test_a_client_on_its_own_host_gets_no_real_server(
    results: dict[str, Any],
) -> None:  # differs: own-clients
    assert results["own client"] == 7  # ECONNREFUSED


def test_a_stop_leaves_nothing(results: dict[str, Any]) -> None:
    assert (results["exit"], results["left"]) == (0, [])


def test_the_next_director_restores_what_a_killed_one_has_left(
    results: dict[str, Any],
) -> None:
    killed = results["killed"]
    assert killed["killed"] != killed["before"]
    assert killed["after"] == killed["before"]
    assert killed["left"] == []


def test_a_kernel_that_forwards_is_warned_of_at_the_start(results: dict[str, Any]) -> None:
    """Twice in this log, and not in the log of a host that does not forward."""
    warning = "Warning: the kernel also forwards packets from d-eth0, d-eth1, so clients of VS-NAT get "
    assert results["killed"]["log"].count(f"lvs-director: {warning}") == 2
    assert "Warning" not in results["log"]


@pytest.mark.parametrize(
    ("missing", "says"),
    [
        ("no CAP_NET_RAW", "d-eth0 can't be opened: the director needs the capability CAP_NET_RAW"),
        ("no CAP_NET_ADMIN", "the director needs the capability CAP_NET_ADMIN"),
        ("no interface", "There is no network interface 'd-eth9'"),
        ("no folder for the socket", "The control socket /proc/control can't be created"),
        ("rules that are refused", "can't be understood: line 1: "),
        ("no TUN device", "/dev/net/tun can't be opened (No such file or directory)"),
    ],
)
def test_what_is_missing_is_one_sentence(results: dict[str, Any], missing: str, says: str) -> None:
    code, output = results["refusals"][missing]
    assert (code, output.count("\n")) == (2, 1), output
    assert output.startswith("lvs-director: ")
    assert says in output


def test_a_refused_director_leaves_nothing(results: dict[str, Any]) -> None:
    assert results["after"] == ["7"]  # ECONNREFUSED, by the director's own kernel


def test_the_example_works_as_printed() -> None:
    """As root, for `ip netns`; its director runs as `nobody`, who must be able to read the checkout."""
    if os.geteuid():
        pytest.skip("docs/operating.md is typed as root")
    reader = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "test", "-r")
    if subprocess.run([*reader, ROOT / "director" / "bin" / "start.py"], check=False).returncode:
        pytest.skip(f"the user nobody can't read {ROOT}")
    blocks = "".join(re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL))
    command = sandboxed("sh", "-ec", f"mount -t tmpfs tmpfs /run\n{blocks}")
    done = subprocess.run(
        command, cwd=ROOT, env=FROM_CHECKOUT, capture_output=True, text=True, timeout=patient(90)
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines().count("200") == 2, done.stdout + done.stderr


@pytest.mark.skipif(not ANALYZE, reason="there is no systemd-analyze here")
def test_the_unit_is_valid(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/lvs-lab", str(ROOT)))
    done = subprocess.run(
        [ANALYZE, "verify", "--man=no", unit], capture_output=True, text=True, timeout=patient(60)
    )
    assert (done.returncode, done.stderr) == (0, "")
