"""The three complete labs: healthy, they pass every check; broken, they fail the right one."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from scapy.utils import RawPcapNgReader

from director.core import schedulers
from labs.methods import METHODS
from labs.run import pcapng
from labs.run.merged_capture import PROFILE
from labs.run.packet_table import records
from labs.run.pcapng import FILE
from labs.wait import patient
from tests.labs.forked import run_forked
from tests.labs.support import FROM_CHECKOUT, Finished

RunLab = Callable[..., Finished]
LABS = ("lab-nat", "lab-tun", "lab-dr")
ROOT = Path(__file__).resolve().parents[2]
SCHEDULER_TRIAL = Path(__file__).with_name("scheduler_trial.py")
DOCUMENTED = (ROOT / "README.md").read_text()


@pytest.fixture(scope="module", params=LABS)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Each lab run once, by the command that the documentation gives."""
    runs = tmp_path_factory.mktemp(request.param)
    done = subprocess.run(
        [ROOT / "inv", request.param],
        cwd=ROOT,
        env={**os.environ, "LVS_RUNS": str(runs)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=patient(120),
    )
    reports = [json.loads(file.read_text()) for file in runs.glob("*/report.json")]
    return Finished(done.returncode, done.stdout, reports[0] if reports else {})


def test_a_healthy_lab_passes_every_check(run: Finished) -> None:
    assert run.code == 0, run.output
    assert run.report["ok"]
    assert run.failed == []
    assert "PASSED" in run.output


def test_the_report_has_the_documented_fields(run: Finished) -> None:
    report = run.report
    lab = report["lab"]
    assert {"lab", "engine", "ok", "seconds", "servers", "checks", "packets"} <= report.keys()
    assert f"./inv {lab}" in DOCUMENTED
    assert report["seconds"]["total"] > 0
    assert [set(server) >= {"name", "address", "weight", "connections"} for server in report["servers"]] == [
        True
    ] * 3
    assert all(server["connections"] > 0 for server in report["servers"])
    columns = {"packet", "source", "dest"}
    columns |= {"lab-tun": {"outer_source", "outer_dest"}, "lab-dr": {"source_mac", "dest_mac"}}.get(
        lab, set()
    )
    assert columns <= {column for row in report["packets"] for column in row}
    assert len(report["packets"]) == {"lab-nat": 4, "lab-tun": 4, "lab-dr": 3}[lab]


NO_VIP = "ip addr del 203.0.113.1/32 dev "
ARP, BALANCE = "only the director answers ARP", "wrr"


@pytest.mark.parametrize(
    ("lab", "host", "broken", "fails", "passes"),
    [
        pytest.param(
            "lab-nat", "rs1", "ip route del default", BALANCE, ARP, id="NAT: a server without gateway"
        ),
        pytest.param(
            "lab-dr",
            "rs1",
            "for i in all rs1-eth0; do echo 0 > /proc/sys/net/ipv4/conf/$i/arp_ignore; done",
            ARP,
            "",
            id="DR: ARP not silenced",
        ),
        pytest.param(
            "lab-dr", "rs2", "ip addr del 203.0.113.1/32 dev lo", BALANCE, ARP, id="DR: VIP missing"
        ),
        pytest.param(
            "lab-tun", "rs3", "ip addr del 203.0.113.1/32 dev tunl0", BALANCE, ARP, id="TUN: VIP missing"
        ),
        pytest.param("lab-nat", "d", "ippfvsadm -C", BALANCE, ARP, id="NAT: no rules"),
        pytest.param(
            "lab-dr --family 6",
            "rs1",
            "ip addr add 2001:db8:cb00:71::1/128 dev rs1-eth0 nodad",
            "only the director answers neighbour discovery",
            "",
            id="DR, IPv6: VIP on the LAN's interface",
        ),
    ],
)
def test_a_broken_lab_fails_the_right_check(
    run_lab: RunLab, lab: str, host: str, broken: str, fails: str, passes: str
) -> None:
    run = run_lab(*lab.split(), faults={host: broken}, checks="only_director_answers, as_scheduled")
    assert run.code == 1, run.output
    assert run.report.get("ok") is False, run.output
    assert not run.check(fails)["ok"], run.output
    if passes:
        assert run.check(passes)["ok"], run.output


def test_a_director_that_dies_is_a_failed_check_and_the_report_stays(run_lab: RunLab) -> None:
    kill = "kill -9 $(pgrep -f '[p]ython.* lvs-director ')"
    run = run_lab("lab-dr", faults={"d": kill}, checks="only_director_answers")
    assert run.code == 1, run.output
    assert run.failed == ["the director is still running"], run.output


COUNTING = ("lc", "wlc")  # what other schedulers have sent counts for them: they come first
SCHEDULERS = sorted(schedulers.names(), key=lambda name: name not in COUNTING)


@pytest.mark.parametrize("lab", LABS)
def test_every_scheduler_does_what_it_is_for(lab: str, tmp_path: Path) -> None:
    """Each of them in one of the labs."""
    names, report = SCHEDULERS[LABS.index(lab) :: len(LABS)], tmp_path / "report.json"
    arguments = (lab.removeprefix("lab-"), str(report), *names)
    environment = {**FROM_CHECKOUT, "LVS_RUNS": str(tmp_path)}
    done = run_forked(SCHEDULER_TRIAL, arguments, environment, 120)
    assert done.returncode == 0, done.stdout + done.stderr
    checks = [check["name"] for check in json.loads(report.read_text())["checks"] if check["ok"]]
    named = [name.partition(" spreads ")[0] for name in checks if " spreads " in name]
    assert named == names


def test_iproute2_builds_the_same_lab_and_the_controller_runs_on_os_ken_as_well(run_lab: RunLab) -> None:
    run = run_lab("lab-tun", "--dialect", "iproute2", "--controller", "os-ken")
    assert run.code == 0, run.output


def test_two_labs_at_once_do_not_interfere(start: Callable[..., object], run_lab: RunLab) -> None:
    """One of them with a single server, which is a lab, too."""
    other = start("lab-nat")
    run = run_lab("lab-nat", "--servers", "1")
    output, _ = other.communicate(timeout=patient(120))  # type: ignore[attr-defined]
    assert run.code == 0, run.output
    assert other.returncode == 0, output  # type: ignore[attr-defined]


# ---- IPv6 ----

# One lab for each method, each dialect in two of them; the last has a VIP of each version.
IN_IPV6 = {
    "lab-nat": ("6", "1999"),
    "lab-tun": ("6", "iproute2"),
    "lab-dr": ("6", "1999"),
    "lab-dr, both": ("46", "iproute2"),
}


@pytest.fixture(scope="module", params=IN_IPV6)
def in_ipv6(request: pytest.FixtureRequest, run_lab: RunLab) -> Finished:
    family, dialect = IN_IPV6[request.param]
    run = run_lab(request.param.partition(",")[0], "--family", family, "--dialect", dialect)
    assert run.code == 0, run.output
    return run


def test_a_lab_in_ipv6_passes_every_check(in_ipv6: Finished) -> None:
    report = in_ipv6.report
    dual = report["family"] == 46
    assert report["family"] in (6, 46)
    assert in_ipv6.failed == []
    names = [check["name"] for check in report["checks"]]
    assert len(set(names)) == len(names)
    label = "IPv6: " if dual else ""
    assert f"{label}only the director answers neighbour discovery for the VIP" in names
    assert f"{label}ftp put of 1m.bin, EPRT" in names
    assert ("only the director answers ARP for the VIP" in names) is dual
    assert all(server["connections"] > 0 for server in report["servers"])
    assert sum(":" in server["address"] for server in report["servers"]) == 3
    assert len(report["servers"]) == (6 if dual else 3)


def test_its_packet_table_has_ipv6_addresses(in_ipv6: Finished) -> None:
    rows = [row for row in in_ipv6.report["packets"] if row["source"].startswith("[")]
    assert len(rows) == {"lab-nat": 4, "lab-tun": 4, "lab-dr": 3}[in_ipv6.report["lab"]]
    assert rows[0]["dest"] == rows[-1]["source"] == "[2001:db8:cb00:71::1]:80"
    outer = [(row["outer_source"], row["outer_dest"]) for row in rows if "outer_source" in row]
    if in_ipv6.report["lab"] == "lab-tun":  # from the DIP, although the VIP is on the same interface
        ((source, dest),) = outer
        assert source == "2001:db8:cb00:71::2"
        assert dest in [server["address"] for server in in_ipv6.report["servers"]]


def test_its_captures_become_one_file_that_names_its_addresses(in_ipv6: Finished) -> None:
    pcaps = Path(in_ipv6.report["folder"]) / "pcap"
    pcapng.merge(pcaps, pcaps / FILE)
    names = json.loads((pcaps / pcapng.ABOUT).read_text())["names"]
    assert names["2001:db8:cb00:71::1"] == "VIP"
    assert names["fe80::cbff:fe00:7102"] == "d"
    comments = (pcaps / FILE).read_bytes().count(b"packet table: ")
    assert comments == len(in_ipv6.report["packets"])


# ---- Wireshark ----


def _merged(run: Finished) -> Path:
    """The merged capture of that run."""
    folder = Path(run.report["folder"])
    done = subprocess.run(
        [ROOT / "inv", "wireshark", "--lab", folder.name],
        cwd=ROOT,
        env={**os.environ, "LVS_RUNS": str(folder.parent)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=patient(60),
    )
    assert done.returncode == 0, done.stderr
    assert f"Written: {folder / FILE}" in done.stdout
    return folder / FILE


def test_the_captures_become_one_file(run: Finished) -> None:
    file = _merged(run)
    captures = (file.parent / "pcap").glob("*.pcap")
    single = sum(sum(1 for _ in records(capture.read_bytes())) for capture in captures)
    with RawPcapNgReader(str(file)) as packets:
        assert sum(1 for _ in packets) == single > 1000
    rows = [f"packet table: {row['packet']}".encode() for row in run.report["packets"]]
    content = file.read_bytes()
    assert [content.count(row) for row in rows] == [1] * len(rows)


# What each button of the profile shows: in which labs, and a filter that every packet shown passes. In the
# labs that are left out it shows nothing; None: there it does not matter.
NAT, TUN, DR = LABS
VIP_IS = "ip.addr == 203.0.113.1"
BY_DIRECTOR = "eth.src == 02:00:cb:00:71:02"
PROMISES: dict[str, tuple[tuple[str, ...], str]] = {
    "Any//packet table": (LABS, "frame.comment && tcp.port == 40001"),
    "Any//one connection": (LABS, "ip.addr == 198.51.100.101"),
    "Any//connections": (LABS, "tcp.seq_raw && tcp.ack_raw == 0"),
    "Any//refused, reset": (LABS, "tcp"),
    "NAT//outside": (LABS, VIP_IS),
    "NAT//inside": ((NAT,), "ip.addr == 172.16.0.0/24 && !(ip.addr == 203.0.113.0/24)"),
    "NAT//remapped port": ((NAT,), 'ip.addr == 172.16.0.3 && !(frame.interface_name contains "r0")'),
    "NAT//ftp addresses": (LABS, "tcp.srcport == 21"),
    "TUN//encapsulated": ((TUN,), f"ip.src == 203.0.113.2 && ip.dst == 192.0.2.0/24 && {VIP_IS}"),
    "TUN//decapsulated": ((TUN,), "ip.dst == 203.0.113.1"),
    "TUN//too big": ((TUN,), "ip.src == 203.0.113.1 && icmp.mtu == 1480"),
    "TUN//replies": (LABS, "!(ip.proto == 4) && tcp.srcport == 80"),
    "DR//who has the VIP": (LABS, "arp.src.proto_ipv4 != 203.0.113.1"),
    "DR//who answers": (LABS, BY_DIRECTOR),
    "DR//asked from the VIP": ((), "arp"),
    "DR//duplicate asked": ((), "ipv6"),
    "DR//no router": ((), "ipv6"),
    "DR//new MAC": (LABS, "eth.dst == 02:00:cb:00:71:02 || eth.src == 02:00:cb:00:71:02"),
    "DR//past the director": ((NAT,), BY_DIRECTOR),
}
# The same in IPv6, where it differs. Without EPSV's 227 reply, ftp has no addresses.
_VIP6 = "ipv6.addr == 2001:db8:cb00:71::1"
PROMISES6: dict[str, tuple[tuple[str, ...], str]] = {
    **PROMISES,
    "Any//one connection": (LABS, "ipv6.addr == 2001:db8:c633:64::101"),
    "NAT//outside": (LABS, _VIP6),
    "NAT//inside": ((NAT,), "ipv6.addr == fd00:ac10::/64 && !(ipv6.addr == 2001:db8:cb00:71::/64)"),
    "NAT//remapped port": ((NAT,), 'ipv6.addr == fd00:ac10::3 && !(frame.interface_name contains "r0")'),
    "NAT//ftp addresses": ((), "ftp"),
    "TUN//encapsulated": (
        (TUN,),
        f"ipv6.src == 2001:db8:cb00:71::2 && ipv6.dst == 2001:db8:c000:200::/56 && {_VIP6}",
    ),
    "TUN//decapsulated": ((TUN,), f"!(ipv6.nxt == 41) && ipv6.dst == {_VIP6[13:]}"),
    "TUN//too big": ((TUN,), f"ipv6.src == {_VIP6[13:]} && icmpv6.mtu == 1460"),
    "TUN//replies": (LABS, "!(ipv6.nxt == 41) && tcp.srcport == 80"),
    "DR//who has the VIP": (LABS, f"ipv6.src != {_VIP6[13:]}"),
}


def _buttons() -> dict[str, str]:
    """The filter of each button of the profile."""
    lines = (PROFILE / "dfilter_buttons").read_text().splitlines()
    rows = csv.reader(line for line in lines if not line.startswith("#"))
    return {label: shown.replace("\\x22", '"') for _, label, shown, _ in rows}


def _counts(file: Path, filters: Sequence[str], home: Path) -> list[int]:
    """How many packets each filter shows; tshark reads the file once."""
    profiles = home / ".config" / "wireshark" / "profiles"
    shutil.copytree(PROFILE, profiles / "LVS", dirs_exist_ok=True)
    statistics = ",".join(["io,stat,0", *filters])
    done = subprocess.run(
        ["tshark", "-C", "LVS", "-r", str(file), "-q", "-z", statistics],
        env={**os.environ, "HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=patient(60),
    )
    assert done.returncode == 0, done.stderr
    assert "profile" not in done.stderr, done.stderr
    row = next(line for line in done.stdout.splitlines() if "<>" in line)
    return [int(cell) for cell in row.strip("| ").split("|")[1::2]]  # frames and bytes take turns


needs_tshark = pytest.mark.skipif(
    not shutil.which("tshark"), reason="tshark is missing: sudo apt-get install tshark"
)


@needs_tshark
def test_every_filter_of_the_profile_shows_what_it_promises(run: Finished, tmp_path: Path) -> None:
    assert _unkept(run, PROMISES, tmp_path) == {}


@needs_tshark
def test_every_filter_shows_the_same_in_ipv6(in_ipv6: Finished, tmp_path: Path) -> None:
    if in_ipv6.report["family"] == 6:  # in a lab with both, each shows packets of both
        assert _unkept(in_ipv6, PROMISES6, tmp_path) == {}


def _unkept(
    run: Finished, promises: Mapping[str, tuple[tuple[str, ...], str]], home: Path
) -> dict[str, tuple[int, int]]:
    """The buttons that show something else: how many packets, and how many of them as promised."""
    buttons = _buttons()
    assert buttons.keys() == promises.keys()
    stricter = [f"({shown}) && ({promises[label][1]})" for label, shown in buttons.items()]
    counts = _counts(_merged(run), [*buttons.values(), *stricter], home)
    shown, passed = counts[: len(buttons)], counts[len(buttons) :]
    found = dict(zip(buttons, zip(shown, passed, strict=True), strict=True))
    assert found["Any//packet table"][0] == len(run.report["packets"])
    return {
        label: (count, strict)
        for label, (count, strict) in found.items()
        if count != strict or (count > 0) != (run.report["lab"] in promises[label][0])
    }


def test_lessons_name_the_buttons_that_there_are() -> None:
    named = set()
    for lesson in (ROOT / "labs" / f"vs_{method}" / "README.md" for method in METHODS):
        table = lesson.read_text().partition("## In Wireshark")[2].partition("\n## ")[0]
        rows = re.findall(r"^\| .*\? \| (\w+), (.*?) \|", table, re.MULTILINE)
        assert len(rows) >= 5
        named |= {f"{menu}//{label}" for menu, label in rows}
    assert named == set(_buttons())
