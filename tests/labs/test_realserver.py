"""Set-up scripts and servers in their own network namespaces: what they really do.

Everything runs in a child process that has left the machine's network. Nothing here can change it, and
nothing remains when the child ends.
"""

from __future__ import annotations

import ctypes
import ftplib
import http.client
import io
import os
import pickle
import re
import shutil
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import ARP, Ether

from director.core.real_server import Method
from labs.wait import patient, poll_until
from realserver_setup import files
from realserver_setup.apply import Result, apply
from realserver_setup.build import (
    ClientSetup,
    DirectorSetup,
    Interface,
    RealServerSetup,
    Route,
    RouterSetup,
    Setup,
)
from realserver_setup.errors import DaemonFailed, ScriptFailed
from realserver_setup.forked_programs import run_forked
from realserver_setup.forkserver_client import Daemon, Launcher, ftp_commands
from realserver_setup.httpd import Httpd
from realserver_setup.render import DIALECTS, script_for
from realserver_setup.tunl0 import open_device

T = TypeVar("T")
VIP = "203.0.113.1"
CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x00020000, 0x10000000, 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


def leave_network() -> None:
    """Enter new network and mount namespaces; as an ordinary user, a user namespace first."""
    user, group = os.geteuid(), os.getegid()
    flags = CLONE_NEWNET | CLONE_NEWNS | (0 if user == 0 else CLONE_NEWUSER)
    if LIBC.unshare(flags) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    if user != 0:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")


def inside(work: Callable[[], T]) -> T:
    """Call `work` in a child process with its own namespaces, and return its result."""
    theirs, ours = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(theirs)
        answer: tuple[bool, object] = (False, "no answer")
        try:
            leave_network()
            answer = (True, work())
        finally:
            if any(sys.exc_info()):
                answer = (False, traceback.format_exc())
            with os.fdopen(ours, "wb") as pipe:
                pickle.dump(answer, pipe)
            os._exit(0)
    os.close(ours)
    with os.fdopen(theirs, "rb") as pipe:
        worked, answer_of_child = pickle.load(pipe)
    os.waitpid(child, 0)
    assert worked, answer_of_child
    return answer_of_child  # type: ignore[no-any-return]


def _refused() -> str:
    """Why the machine can't do it; empty if it can."""
    if not all(shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") for program in NEEDED):
        return f"needs {', '.join(NEEDED)}"
    child = os.fork()
    if child == 0:
        try:
            leave_network()
            os.close(os.open("/dev/net/tun", os.O_RDWR))
        except OSError as error:
            os._exit(error.errno or 1)
        os._exit(0)
    number = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return f"no namespaces or no /dev/net/tun here: {os.strerror(number)}" if number else ""


NEEDED = ("ip", "ifconfig", "route", "ethtool", "sysctl")
pytestmark = pytest.mark.skipif(bool(_refused()), reason=_refused() or "can be done here")


@pytest.fixture(autouse=True)
def _path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}:/usr/sbin:/sbin")


class Here:
    """The host of this process."""

    name = "here"

    def run(self, argv: Sequence[str], text: str | None = None) -> Result:
        done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=patient(30))
        return Result(done.returncode, done.stdout, done.stderr)


def sh(command: str) -> str:
    return subprocess.run(
        ["sh", "-ec", command], capture_output=True, text=True, check=True, timeout=patient(30)
    ).stdout


# ---- set-up scripts: idempotent, undone completely, equal in both dialects

OUTSIDE, SECOND = Interface("e0", "203.0.113.2", 24), Interface("e1", "172.16.0.1", 24)
SETUPS: dict[str, Setup] = {
    "nat": RealServerSetup(Method.NAT, "rs", Interface("e0", "172.16.0.2", 24), "172.16.0.1", VIP),
    "tun": RealServerSetup(Method.TUN, "rs", Interface("e0", "192.0.2.2", 27), "192.0.2.1", VIP),
    "dr": RealServerSetup(Method.DR, "rs", Interface("e0", "203.0.113.11", 24), "203.0.113.254", VIP),
    "director": DirectorSetup(
        Method.NAT, "d", VIP, OUTSIDE, SECOND, "203.0.113.254", routes=(Route("192.0.2.0/27", "172.16.0.9"),)
    ),
    "router": RouterSetup(
        "r", (OUTSIDE, SECOND), (Route("default", "203.0.113.254"), Route("192.0.2.0/27", "172.16.0.9"))
    ),
    "client": ClientSetup("c", Interface("e0", "198.51.100.101", 24), "198.51.100.254"),
}
VIP6, ROUTER6 = "2001:db8:cb00:71::1", "2001:db8:cb00:71::254"
OUTSIDE6, SECOND6 = Interface("e0", "2001:db8:cb00:71::2", 64), Interface("e1", "fd00:ac10::1", 64)
SETUPS |= {
    "nat6": RealServerSetup(Method.NAT, "rs", Interface("e0", "fd00:ac10::2", 64), "fd00:ac10::1", VIP6),
    "tun6": RealServerSetup(
        Method.TUN, "rs", Interface("e0", "2001:db8:c000:200::2", 64), "2001:db8:c000:200::1", VIP6
    ),
    "dr6": RealServerSetup(Method.DR, "rs", Interface("e0", "2001:db8:cb00:71::11", 64), ROUTER6, VIP6),
    "director6": DirectorSetup(Method.NAT, "d", VIP6, OUTSIDE6, SECOND6, ROUTER6),
    "router6": RouterSetup("r", (OUTSIDE6, SECOND6), (Route("2001:db8:c000:200::/64", "fd00:ac10::9"),)),
    "client6": ClientSetup("c", Interface("e0", "2001:db8:c633:64::101", 64), "2001:db8:c633:64::254"),
}
DEVICES = ("e0", "e1", "tunl0", "ip6tnl0")
SETTINGS = ("rp_filter", "arp_ignore", "arp_announce", "send_redirects", "forwarding")


def new_host() -> None:
    """A host as the labs hand it over: cables plugged in, devices up, nothing else."""
    sh("ip link set lo up")
    for tunnel in ("tunl0", "ip6tnl0"):
        open_device(tunnel)  # stays open, and the device there, until this process ends
    for device in ("e0", "e1"):
        sh(f"ip link add {device} type veth peer name {device}p")
        sh(f"ip link set {device} up; ip link set {device}p up")
        Path(f"/proc/sys/net/ipv4/conf/{device}/rp_filter").write_text("1")
    for name in ("default", "all", "tunl0"):
        Path(f"/proc/sys/net/ipv4/conf/{name}/rp_filter").write_text("0" if name == "all" else "1")


def state() -> str:
    """Everything about the host that a script may have changed, but for routes of link-local addresses."""
    lines = sh("ip -o -4 addr show; ip -4 route show table all").splitlines()
    shown = sh("ip -o -6 addr show scope global").replace(
        " tentative", ""
    )  # until the kernel gets round to it
    lines += [line.partition(" valid_lft")[0] for line in shown.splitlines()]
    lines += [line for line in sh("ip -6 route").splitlines() if not line.startswith(("fe80", "ff00"))]
    lines += [
        line.split()[1] + str("UP" in re.split("[<,>]", line)) for line in sh("ip -o link").splitlines()
    ]
    for device in ("all", *DEVICES):
        for setting in SETTINGS:
            value = Path(f"/proc/sys/net/ipv4/conf/{device}/{setting}").read_text().strip()
            lines.append(f"{device}.{setting} {value}")
        for setting in ("forwarding", "accept_dad", "accept_ra"):
            value = Path(f"/proc/sys/net/ipv6/conf/{device}/{setting}").read_text().strip()
            lines.append(f"{device}.ipv6.{setting} {value}")
    for path in ("ipv4/ip_forward", "ipv6/conf/all/disable_ipv6", "ipv6/conf/e0/disable_ipv6"):
        if Path("/proc/sys/net", path).exists():
            lines.append(f"{path} {Path('/proc/sys/net', path).read_text().strip()}")
    for device in ("e0", "e1"):
        lines += [
            f"{device} {line}" for line in sh(f"ethtool -k {device}").splitlines() if "tx-check" in line
        ]
    return "\n".join(lines)


def states(setup: Setup, dialect: str) -> list[str]:
    """A new host's state at first, after each of two runs, and after each of two undos."""
    new_host()
    observed = [state()]
    for undo in (False, False, True, True):
        apply(script_for(setup, dialect, undo), Here())
        observed.append(state())
    return observed


@pytest.fixture(scope="module", params=SETUPS)
def role(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def observed(role: str) -> dict[str, list[str]]:
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    return {dialect: inside(partial(states, SETUPS[role], dialect)) for dialect in DIALECTS}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_script_that_runs_twice_changes_nothing_more(observed: dict[str, list[str]], dialect: str) -> None:
    before, once, twice, *_ = observed[dialect]
    assert once != before
    assert twice == once


@pytest.mark.parametrize("dialect", DIALECTS)
def test_undo_brings_the_host_back_also_when_run_twice(observed: dict[str, list[str]], dialect: str) -> None:
    before, _, _, undone, undone_twice = observed[dialect]
    assert undone == before
    assert undone_twice == before


def test_both_dialects_lead_to_the_same_state(observed: dict[str, list[str]]) -> None:
    """But for what ifconfig can't say of an IPv6 address, and for the metric that route gives IPv6."""
    both = (
        [re.sub(r" nodad| deprecated| metric \d+", "", line) for line in observed[dialect]]
        for dialect in DIALECTS
    )
    old, new = ([sorted(text.splitlines()) for text in states] for states in both)
    assert old == new


def test_the_state_shows_what_was_set(role: str, observed: dict[str, list[str]]) -> None:
    once = observed["1999"][1]
    expected = {
        "nat": ("inet 172.16.0.2/24", "default via 172.16.0.1 dev e0", "e0 tx-checksumming: off"),
        "tun": (
            f"inet {VIP}/32 brd {VIP} scope global tunl0",
            f"{VIP} dev tunl0 scope link",
            "tunl0.rp_filter 0",
            "e0.arp_ignore 1",
        ),
        "dr": (f"inet {VIP}/32 brd {VIP} scope global lo:0", "e0.arp_ignore 1", "e0.arp_announce 2"),
        "director": (f"inet {VIP}/32 brd {VIP} scope global e0:0", "ip_forward 0", "all.send_redirects 0"),
        "router": ("ip_forward 1", "192.0.2.0/27 via 172.16.0.9 dev e1", "e1.rp_filter 0"),
        "client": ("inet 198.51.100.101/24", "default via 198.51.100.254 dev e0"),
        "nat6": ("inet6 fd00:ac10::2/64", "default via fd00:ac10::1 dev e0", "e0.ipv6.accept_dad 0"),
        "tun6": (f"inet6 {VIP6}/128", "default via 2001:db8:c000:200::1 dev e0"),
        "dr6": (f"lo    inet6 {VIP6}/128", f"default via {ROUTER6} dev e0", "e0.ipv6.accept_ra 0"),
        "director6": (f"inet6 {VIP6}/128", f"default via {ROUTER6} dev e0", "all.ipv6.forwarding 0"),
        "router6": ("all.ipv6.forwarding 1", "2001:db8:c000:200::/64 via fd00:ac10::9 dev e1"),
        "client6": ("inet6 2001:db8:c633:64::101/64", "default via 2001:db8:c633:64::254 dev e0"),
    }[role]
    assert [text for text in expected if text not in once] == []


@pytest.mark.parametrize("dialect", DIALECTS)
def test_without_tunl0_there_is_one_sentence_and_no_partial_setup(dialect: str) -> None:
    def work() -> tuple[str, bool]:
        new_host()
        sh("ip link set tunl0 name other0")
        before = sh("ip -4 addr; ip -4 route; ethtool -k e0; sysctl -a --pattern '(arp|rp_filter|ipv6)'")
        with pytest.raises(ScriptFailed) as failed:
            apply(script_for(SETUPS["tun"], dialect), Here())
        after = sh("ip -4 addr; ip -4 route; ethtool -k e0; sysctl -a --pattern '(arp|rp_filter|ipv6)'")
        return failed.value.output, after == before

    output, unchanged = inside(work)
    assert output.startswith("rs: there is no device tunl0")
    assert unchanged


def arp_answered(asker: str, *targets: str) -> list[str]:
    """Ask who has each of `targets`, from the other end of e0's cable; those that are answered for.

    The last must be answered: once it is, an earlier one that was not never will be.
    """
    with closing(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))) as wire:
        wire.bind(("e0p", 0))
        wire.settimeout(patient(10))
        source = wire.getsockname()[4].hex(":")
        answered: list[str] = []
        for target in targets:
            arp = ARP(hwsrc=source, psrc=asker, pdst=target)
            wire.send(bytes(Ether(src=source, dst="ff:ff:ff:ff:ff:ff") / arp))
        while targets[-1] not in answered:
            observed = ARP(wire.recv(65535)[14:])
            answered += [observed.psrc] if observed.op == 2 else []
        return answered


@pytest.mark.parametrize(
    ("role", "asker", "own", "expected"),
    [
        ("tun", "192.0.2.1", "192.0.2.2", ["192.0.2.2"]),
        ("dr", "203.0.113.254", "203.0.113.11", ["203.0.113.11"]),
        ("director", "203.0.113.254", "203.0.113.2", [VIP, "203.0.113.2"]),
    ],
)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_only_the_director_answers_arp_for_the_vip(
    role: str, asker: str, own: str, expected: list[str], dialect: str
) -> None:
    def work() -> tuple[list[str], list[str]]:
        new_host()
        apply(script_for(SETUPS[role], dialect), Here())
        silenced = arp_answered(asker, VIP, own)
        Path("/proc/sys/net/ipv4/conf/e0/arp_ignore").write_text("0")
        return silenced, arp_answered(asker, VIP, own)

    silenced, broken = inside(work)
    assert silenced == expected
    assert broken == [VIP, own]  # it is this setting that does it


# ---- daemons, started by the fork server


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("daemons")
    return files.make_root(folder / "rs1", "rs1", files.make_shared(folder / "shared").values())


def daemon(kind: str, log: Path, **options: object) -> Daemon:
    assert kind in ("ftpd", "tunl0")
    return Daemon("rs1", os.getpid(), "ftpd" if kind == "ftpd" else "tunl0", log, options)


def test_ftp_in_all_modes(root: Path, tmp_path: Path) -> None:
    """Active and passive, with the commands of RFC 959; anonymous and as the user; both directions."""
    log = tmp_path / "ftpd.log"

    def transfer(passive: bool, user: str) -> tuple[list[str], bytes]:
        with ftplib.FTP("127.0.0.1", user, user, timeout=patient(10)) as ftp:
            ftp.set_pasv(passive)
            got = io.BytesIO()
            ftp.retrbinary("RETR 1m.bin", got.write)
            ftp.storbinary(f"STOR upload/{user}-{passive}", io.BytesIO(got.getvalue()))
            return ftp.nlst(), got.getvalue()

    def work() -> list[tuple[list[str], bytes]]:
        sh("ip link set lo up")
        with Launcher() as launcher:
            launcher.start(daemon("ftpd", log, root=str(root)))
            return [transfer(passive, user) for passive in (True, False) for user in ("anonymous", "student")]

    expected = (root / "1m.bin").read_bytes()
    for names, content in inside(work):
        assert sorted(names) == sorted(files.LISTING)
        assert content == expected
    uploads = sorted(path for path in (root / "upload").iterdir() if path.name != "by-http")
    assert [path.name for path in uploads] == [
        "anonymous-False",
        "anonymous-True",
        "student-False",
        "student-True",
    ]
    assert all(path.read_bytes() == expected for path in uploads)
    commands = ftp_commands(log)
    assert {entry.client for entry in commands} == {"127.0.0.1"}
    assert sum(entry.command == "STOR" for entry in commands) == 4
    assert "student" not in {entry.argument for entry in commands if entry.command == "PASS"}


def test_ftp_addresses_and_ports_are_those_that_a_director_expects(root: Path, tmp_path: Path) -> None:
    """Active data comes from port 20 of the requested address; reply 227 has it, and a port in range."""

    def work() -> tuple[tuple[str, int], str, str]:
        sh(f"ip link set lo up; ip addr add {VIP}/32 dev lo")
        with Launcher() as launcher:
            launcher.start(
                daemon("ftpd", tmp_path / "ftpd.log", root=str(root), first_passive=30000, last_passive=30004)
            )
            with (
                ftplib.FTP(VIP, "anonymous", timeout=patient(10)) as ftp,
                closing(ftp.makeport()) as listener,
            ):
                ftp.putcmd("NLST")
                connection, peer = listener.accept()
                with closing(connection):
                    assert b"1m.bin" in connection.makefile("rb").read()
                ftp.getresp()
                ftp.getresp()
                return peer, ftp.sendcmd("PASV"), refusal(ftp)

    def refusal(ftp: ftplib.FTP) -> str:
        with pytest.raises(ftplib.error_perm) as refused:
            ftp.sendcmd("STOR name")
        return str(refused.value)

    peer, reply, refused = inside(work)
    assert peer == (VIP, 20)
    address, port = ftplib.parse227(reply)
    if address == VIP:  # Python's ftplib may distrust the address (bpo-43285); the text is what counts
        assert 30000 <= port <= 30004
    assert "203,0,113,1,117," in reply
    assert refused.startswith("550")  # only upload/ is writable


@pytest.mark.skipif(not shutil.which("nginx", path="/usr/sbin:/usr/bin"), reason="nginx is not installed")
def test_httpd_serves_keeps_connections_takes_uploads_and_logs(root: Path, tmp_path: Path) -> None:
    httpd = Httpd("rs1", tmp_path / "httpd", root, (80, 8000))
    content = (root / "1m.bin").read_bytes()

    def ask(
        connection: http.client.HTTPConnection, method: str, path: str, body: bytes = b""
    ) -> tuple[int, bytes]:
        connection.request(method, path, body or None)
        reply = connection.getresponse()
        return reply.status, reply.read()

    def work() -> tuple[list[tuple[int, bytes]], int]:
        sh("ip link set lo up")
        process = subprocess.Popen(httpd.prepare())
        poll_until(httpd.listens, bool, 10)
        try:
            with (
                closing(http.client.HTTPConnection("127.0.0.1", 80, timeout=patient(10))) as first,
                closing(http.client.HTTPConnection("127.0.0.1", 8000, timeout=patient(10))) as second,
            ):
                answers = [ask(first, "GET", "/name"), ask(first, "PUT", "/upload/by-http", content)]
                answers += [ask(first, "PUT", "/name", b"other"), ask(second, "GET", "/1m.bin")]
        finally:
            process.terminate()
            process.wait(patient(10))
        return answers, process.returncode

    answers, ended = inside(work)
    assert [status for status, _ in answers] == [200, 201, 405, 200]
    assert (answers[0][1], answers[3][1]) == (b"rs1\n", content)
    assert (root / "upload" / "by-http").read_bytes() == content
    assert [(r.client, r.port, r.connection, r.status) for r in httpd.requests()] == [
        ("127.0.0.1", 80, 1, 200),
        ("127.0.0.1", 80, 1, 201),
        ("127.0.0.1", 80, 1, 405),
        ("127.0.0.1", 8000, 2, 200),
    ]
    assert ended == 0


def udp(payload: bytes) -> bytes:
    return bytes(IP(src="198.51.100.101", dst=VIP) / UDP(sport=1234, dport=5000) / payload)


def test_tunl0_delivers_the_inner_packet(tmp_path: Path) -> None:
    """Also from fragments, and after malformed packets."""
    payloads = [b"first", bytes(range(256)) * 5 + b"the inner packet is larger than the path's MTU"]

    def work() -> list[bytes]:
        sh("ip link set lo up mtu 600")
        with Launcher() as launcher, closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as receiver:
            launcher.start(daemon("tunl0", tmp_path / "tunl0.log"))
            sh(f"ip addr add {VIP}/32 dev tunl0; ip link set tunl0 up")
            for name in ("all", "tunl0"):
                Path(f"/proc/sys/net/ipv4/conf/{name}/rp_filter").write_text("0")
            receiver.bind((VIP, 5000))
            receiver.settimeout(patient(10))
            with closing(socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_IPIP)) as sender:
                for packet in (b"", b"\x45", b"rubbish" * 9, udp(b"cut")[:-4], *map(udp, payloads)):
                    sender.sendto(packet, ("127.0.0.1", 0))
                return [receiver.recv(65535) for _ in payloads]

    assert inside(work) == payloads


def test_tunl0_survives_a_device_that_is_down(tmp_path: Path) -> None:
    def work() -> bytes:
        sh("ip link set lo up")
        with Launcher() as launcher, closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as receiver:
            launcher.start(daemon("tunl0", tmp_path / "tunl0.log"))
            sender = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_IPIP)
            sender.sendto(udp(b"lost"), ("127.0.0.1", 0))
            sh(f"ip addr add {VIP}/32 dev tunl0; ip link set tunl0 up")
            for name in ("all", "tunl0"):
                Path(f"/proc/sys/net/ipv4/conf/{name}/rp_filter").write_text("0")
            receiver.bind((VIP, 5000))
            receiver.settimeout(patient(10))
            sender.sendto(udp(b"delivered"), ("127.0.0.1", 0))
            sender.close()
            return receiver.recv(65535)

    assert inside(work) in (b"delivered", b"lost")  # the first may have waited in the socket


def test_many_daemons_start_at_once_and_end_with_the_launcher(root: Path, tmp_path: Path) -> None:
    def work() -> tuple[int, list[int], list[int]]:
        with Launcher() as launcher:
            for port in range(2100, 2130):
                launcher.ask(
                    Daemon(
                        f"rs{port}", os.getpid(), "ftpd", tmp_path / "log", {"root": str(root), "port": port}
                    )
                )
            pids = launcher.wait()
            alive = [pid for pid in pids.values() if running(pid)]
        return len(pids), alive, [pid for pid in alive if not gone(pid)]

    count, alive, left = inside(work)
    assert count == len(alive) == 30
    assert left == []


def running(pid: int) -> bool:
    """Whether a process is there and no zombie (proc(5), third field of stat)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def gone(pid: int) -> bool:
    """Whether a process ends within ten seconds."""
    return not poll_until(lambda: running(pid), lambda alive: not alive, 10)


FAILURES: dict[str, tuple[Callable[[Path, Path], Daemon], str]] = {
    "the port is taken": (lambda log, root: daemon("ftpd", log, root=str(root)), "can't listen on port 21"),
    "no such folder": (
        lambda log, _: daemon("ftpd", log, root="/no/such"),
        "root: expected a folder that exists",
    ),
    "no such option": (lambda log, root: daemon("ftpd", log, root=str(root), colour="red"), "colour"),
    "no such process": (
        lambda log, root: Daemon("rs1", 2**22 + 1, "ftpd", log, {"root": str(root)}),
        "No such file",
    ),
    "no such log": (lambda _, root: daemon("ftpd", Path("/no/such/log"), root=str(root)), "No such file"),
    "a device name that is none": (
        lambda log, _: daemon("tunl0", log, device="a b"),
        "device: expected an interface",
    ),
    "a device that exists": (
        lambda log, _: daemon("tunl0", log, device="lo"),
        "The TUN device lo can't be created",
    ),
}


@pytest.mark.parametrize(("asked", "complaint"), FAILURES.values(), ids=FAILURES)
def test_a_daemon_that_cannot_start_says_why(
    asked: Callable[[Path, Path], Daemon], complaint: str, root: Path, tmp_path: Path
) -> None:
    def work() -> tuple[str, int]:
        with Launcher() as launcher, closing(socket.create_server(("0.0.0.0", 21))):
            with pytest.raises(DaemonFailed) as failed:
                launcher.start(asked(tmp_path / "log", root))
            return str(failed.value), launcher.start(
                daemon("ftpd", tmp_path / "log", root=str(root), port=2121)
            )

    printed, pid = inside(work)
    assert complaint in printed
    assert "of rs1: " in printed
    assert pid > 0


# ---- programs, forked by the fork server

PROGRAM = """\
from __future__ import annotations
import os, signal, sys
from dataclasses import dataclass

@dataclass
class Said:
    words: list[str]

def main(how: str) -> object:
    print(Said(sys.argv[1:]), sys.stdin.read())
    print(*map(os.readlink, ("/proc/self/ns/net", "/proc/self/ns/mnt")))
    print("complaint", file=sys.stderr)
    if how == "killed":
        sys.stdout.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "waits":
        signal.pause()
    if how == "fails":
        raise ValueError("\u00fc")
    return {"text": "no such thing", "none": None}.get(how, 3)

if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
"""
WAYS = ("text", "none", "number", "fails", "killed")
SAYS_WELL = "if __name__ == '__main__': print('well')"


def test_a_forked_program_does_what_a_started_one_does(tmp_path: Path) -> None:
    """In the namespaces of another process: output, errors, and how it ends."""
    file, path = tmp_path / "program.py", tmp_path / "socket"
    file.write_text(PROGRAM)

    def started(pid: int, argv: Sequence[str]) -> Result:
        command = ["mnexec", "-a", str(pid), sys.executable, "-S", "-E", *argv]
        done = subprocess.run(command, input="text", capture_output=True, text=True, timeout=patient(30))
        return Result(done.returncode, done.stdout, done.stderr)

    def work() -> list[tuple[Result | None, Result]]:
        host = subprocess.Popen(["unshare", "--net", "--mount", "sleep", "1000"])
        own = os.readlink("/proc/self/ns/mnt")
        assert poll_until(lambda: os.readlink(f"/proc/{host.pid}/ns/mnt") != own, bool, 10)
        try:
            with Launcher(tmp_path / "log", path):
                poll_until(path.exists, bool, 10)
                asked = [[str(file), how, "a b"] for how in WAYS]
                return [
                    (run_forked(path, host.pid, argv, "text", patient(30)), started(host.pid, argv))
                    for argv in asked
                ]
        finally:
            host.kill()

    for forked, reference in inside(work):
        assert forked
        assert (forked.exit_code, forked.stdout) == (reference.exit_code, reference.stdout)
        lines, expected = forked.stderr.splitlines(), reference.stderr.splitlines()
        assert (lines[0], lines[-1]) == (expected[0], expected[-1])  # a traceback has other lines between


def test_a_forked_program_is_killed_when_its_time_is_up(tmp_path: Path) -> None:
    file, path = tmp_path / "program.py", tmp_path / "socket"
    file.write_text(PROGRAM)

    def work() -> tuple[bool, bool, str]:
        with Launcher(tmp_path / "log", path) as launcher:
            poll_until(path.exists, bool, 10)
            with pytest.raises(subprocess.TimeoutExpired):
                run_forked(path, os.getpid(), [str(file), "waits"], None, 0.5)
            children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children")
            left = poll_until(children.read_text, lambda text: not text, 10)
            file.write_text(SAYS_WELL)
            again = run_forked(path, os.getpid(), [str(file)], None, patient(30))
        gone = run_forked(path, os.getpid(), [str(file)], None, patient(30))
        return gone is None, not left, again.stdout if again else ""

    assert inside(work) == (True, True, "well\n")


def test_a_program_that_cannot_be_run_fails_alone(tmp_path: Path) -> None:
    file, path = tmp_path / "program.py", tmp_path / "socket"

    def work() -> list[Result | None]:
        with Launcher(tmp_path / "log", path):
            poll_until(path.exists, bool, 10)
            results = []
            for text, pid in (("print(", os.getpid()), (SAYS_WELL, 0), (SAYS_WELL, os.getpid())):
                file.write_text(text)
                results.append(run_forked(path, pid, [str(file)], None, patient(30)))
            return results

    malformed, nowhere, well = inside(work)
    assert malformed
    assert malformed.exit_code != 0
    assert nowhere
    assert (nowhere.exit_code, "FileNotFoundError" in nowhere.stderr) == (1, True)
    assert well == Result(0, "well\n", "")
