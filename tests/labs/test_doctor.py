"""The doctor in running labs: healthy ones, broken ones, and asked from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from labs.run.control_server import SOCKET
from labs.wait import patient, poll_until
from tests.labs.support import FROM_CHECKOUT

TRIAL = Path(__file__).parent / "doctor_trial.py"
VIP = "203.0.113.1"
_CONF = "/proc/sys/net/ipv4/conf"
FAULTS: dict[str, list[tuple[str, str, str, str]]] = {  # method: cause, host, what breaks it, what mends it
    "nat": [
        ("no_gateway", "rs1", "ip route del default", "ip route add default via 172.16.0.1"),
        ("no_service", "d", f"ippfvsadm -D -t {VIP}:80", "sh rules.sh"),
        ("ip_forward", "d", "sysctl -w net.ipv4.ip_forward=1", "sysctl -w net.ipv4.ip_forward=0"),
    ],
    "tun": [
        ("vip_missing", "rs3", f"ip addr del {VIP}/32 dev tunl0", f"ip addr add {VIP}/32 dev tunl0"),
        ("rp_filter", "rs1", f"echo 1 > {_CONF}/all/rp_filter", f"echo 0 > {_CONF}/all/rp_filter"),
        (
            "icmp_filtered",
            "r0",
            "nft 'add table ip f; add chain ip f c { type filter hook forward priority 0; }; "
            "add rule ip f c icmp type destination-unreachable drop'",
            "nft delete table ip f",
        ),
    ],
    "dr": [
        (
            "arp_answered",
            "rs1",
            f"echo 0 > {_CONF}/rs1-eth0/arp_ignore",
            f"echo 1 > {_CONF}/rs1-eth0/arp_ignore",
        ),
        ("checksum_offload", "c1", "ethtool -K c1-eth0 tx on", "ethtool -K c1-eth0 tx off"),
        ("short_timeout", "d", "ipvsadm --set 2 0 0", "ipvsadm --set 900 120 300"),
    ],
}


@pytest.mark.parametrize("method", FAULTS)
def test_only_what_is_broken_is_found(method: str, runs: Path) -> None:
    faults = [
        {"name": cause, "break": [[host, broken]], "mend": [[host, mended]]}
        for cause, host, broken, mended in FAULTS[method]
    ]
    done = subprocess.run(
        [sys.executable, str(TRIAL), method],
        input="\n".join(map(json.dumps, faults)),
        env={**FROM_CHECKOUT, "LVS_RUNS": str(runs)},
        capture_output=True,
        text=True,
    )
    told = [json.loads(line) for line in done.stdout.splitlines()]
    found = {one["name"]: [tuple(cause[:2]) for cause in one["causes"]] for one in told}
    expected: dict[str, list[tuple[str, str]]] = {"healthy": []}
    for cause, host, *_ in FAULTS[method]:
        expected |= {f"{cause} broken": [(cause, host)], f"{cause} mended": []}
    assert found == expected, done.stderr
    assert [one for one in told if not one["same"] or one["errors"] or one["director"]] == []


def inv(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """As typed in another terminal."""
    return subprocess.run(
        [sys.executable, "-m", "invoke", *arguments],
        cwd=FROM_CHECKOUT["PYTHONPATH"],
        env={**os.environ, "LVS_RUNS": str(folder)},
        capture_output=True,
        text=True,
        timeout=patient(60),
    )


def test_a_running_lab_is_examined_from_outside(tmp_path: Path) -> None:
    lab = subprocess.Popen(
        [sys.executable, "-m", "invoke", "lab-nat", "--cli"],
        cwd=FROM_CHECKOUT["PYTHONPATH"],
        env={**os.environ, "LVS_RUNS": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert poll_until(lambda: list(tmp_path.glob(f"*/{SOCKET}")), bool, 60)
        well = inv(tmp_path, "doctor")
        assert (well.returncode, "Nothing wrong was found" in well.stdout) == (0, True), well.stdout
        assert inv(tmp_path, "shell", "rs1", "--command", "ip route del default").returncode == 0
        ill = inv(tmp_path, "doctor")
        assert (ill.returncode, "no_gateway" in ill.stdout) == (1, True), ill.stdout + ill.stderr
    finally:
        lab.communicate("exit\n", timeout=patient(60))
    assert "The labs can run here" in inv(tmp_path, "doctor").stdout
