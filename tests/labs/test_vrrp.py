"""lvs-vrrp and the real keepalived on one network: who owns the VIP, in both roles and both versions."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest

from labs.wait import patient
from tests.labs.support import FROM_CHECKOUT, sandboxed

TRIAL = Path(__file__).with_name("vrrp_trial.py")
OURS, KEEPALIVED = ("203.0.113.3", "fe80::3"), ("203.0.113.2", "fe80::2")
IN_TURNS = {
    "alone": "k",
    "ours comes": "o",
    "ours stops": "k",
    "ours alone": "o",
    "it comes": "k",
    "it stops": "o",
}

pytestmark = pytest.mark.skipif(
    not shutil.which("keepalived"), reason="keepalived is missing (packages-ha.txt: apt install keepalived)"
)


EACH = pytest.mark.parametrize("results", [2, 3, 6], ids=["version 2", "version 3", "IPv6"], indirect=True)
ONLY_IPV6 = pytest.mark.parametrize("results", [6], ids=["IPv6"], indirect=True)
ONLY_2 = pytest.mark.parametrize("results", [2], ids=["version 2"], indirect=True)
ONLY_3 = pytest.mark.parametrize("results", [3], ids=["version 3"], indirect=True)


@pytest.fixture(scope="module")
def results(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("vrrp")
    command = sandboxed(sys.executable, str(TRIAL), str(request.param), str(folder))
    done = subprocess.run(command, capture_output=True, text=True, timeout=patient(110), env=FROM_CHECKOUT)
    logs = "".join(log.read_text() for log in sorted(folder.glob("[ko].log")))
    assert done.returncode == 0, done.stdout + done.stderr + logs
    result: dict[str, Any] = json.loads((folder / "results.json").read_text())
    return result


@ONLY_3
def test_the_directors_synchronisation_follows(results: dict[str, Any]) -> None:
    daemons = [results["higher_keepalived"][name] for name in ("its daemon", "its daemon then")]
    assert [re.split(r"[(,)]", daemon)[:3] for daemon in daemons] == [
        [f"{role} sync daemon ", "mcast=o-eth0", " syncid=51"] for role in ("master", "backup")
    ]


@ONLY_3
def test_keepalived_takes_over_from_ours_and_ours_from_it(results: dict[str, Any]) -> None:
    turns = results["higher_keepalived"]
    owners = {name: turns[name] for name in turns if "daemon" not in name}
    assert owners == {
        "alone": "o",
        "it comes": "k",
        "it stops": "o",
        "it comes again": "k",
        "ours stops": "k",
    }


@ONLY_3
def test_ours_takes_over_from_keepalived_and_it_from_ours(results: dict[str, Any]) -> None:
    assert {name: owner for name, owner in results["higher_ours"].items() if name != "told"} == {
        "alone": "k",
        "ours comes": "o",
        "a script fails": "k",
        "a script succeeds": "o",
        "a script with a weight fails": "k",
        "a script with a weight succeeds": "o",
        "its interface fails": "k",
        "its interface is back": "o",
        "ours stops": "k",
        "ours is killed": "k",
        "ours may not preempt": "k",
        "it stops": "o",
        "nobody": "",
    }


@ONLY_3
def test_events_say_what_has_failed(results: dict[str, Any]) -> None:
    events = {tuple(event) for event in results["higher_ours"]["told"]}
    assert events >= {
        ("FAULT", 150, "script nofailing is down"),
        ("BACKUP", 50, "script noworse is down"),
        ("FAULT", 150, "interface o-eth0 is down"),
    }


@ONLY_2
def test_each_gives_way_to_the_other_with_the_same_password(results: dict[str, Any]) -> None:
    assert results["password"] == {**IN_TURNS, "another password": "k o"}


@ONLY_IPV6
def test_each_gives_way_to_the_other_over_ipv6(results: dict[str, Any]) -> None:
    assert results["ipv6"] == {**IN_TURNS, "nobody": ""}


@pytest.mark.parametrize("results", [3, 6], ids=["version 3", "IPv6"], indirect=True)
def test_the_vip_keeps_the_virtual_routers_mac_address(results: dict[str, Any]) -> None:
    """Ours and keepalived's are the same; what ours has made for it is gone at the end."""
    found = dict(results["virtual_mac"])
    is_ipv6 = "ipv6" in results
    mac = f"00:00:5e:00:0{2 if is_ipv6 else 1}:33"
    left = found.pop("left")
    assert found.pop("served", "1000000 bytes") == "1000000 bytes"
    expected = {name: f"{owner} {mac}" for name, owner in {**IN_TURNS, "killed, and again": "o"}.items()}
    assert found == {**expected, "nobody": ""}
    assert "o-eth0" in left
    assert "vrrp" not in left
    events = {line.split()[0] for line in results["captured"] if re.search(r"^00:00:5e:.* VRRP ", line)}
    assert events == {mac}


def frames(results: dict[str, Any], sources: tuple[str, ...]) -> list[str]:
    """From a host's first advertisement on: all its frames, without its addresses."""
    source = next(
        source for source in sources if any(f" {source} VRRP " in line for line in results["captured"])
    )
    mac = next(line.split()[0] for line in results["captured"] if f" {source} VRRP " in line)
    mine = [line.partition(" ")[2] for line in results["captured"] if line.startswith(mac)]
    first = next(place for place, frame in enumerate(mine) if "VRRP" in frame)
    return [frame.removeprefix(f"{source} ") for frame in mine[first:]]


@EACH
def test_a_new_master_sends_what_keepalived_sends(results: dict[str, Any]) -> None:
    """An advertisement, then five rounds of gratuitous ARP or neighbour advertisements: the same frames."""
    ours, theirs = (
        [first, *takewhile(lambda frame: "VRRP" not in frame, rest)]
        for first, *rest in (frames(results, sources) for sources in (OURS, KEEPALIVED))
    )
    assert len(ours) == 11
    assert ours == theirs
