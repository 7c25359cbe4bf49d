"""The kernel's side of IPVS: written with ipvsadm, nft and sysctls, read with ipvsadm and from /proc/net."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from socket import inet_ntoa
from typing import Any

from director.core.family import IPV4, IPV6, canonical
from director.core.marks import Mark
from director.core.packet import TCP, UDP
from director.core.statistics import COUNTERS
from director.engines.engine import EngineError
from director.engines.ipvs import prerequisites
from director.formats.ipvsadm_words import endpoint

Run = Callable[[Sequence[str], str], "subprocess.CompletedProcess[str]"]

_TIME_LIMIT = 30.0  # seconds for a program; an emulated machine is slow
_IP = {IPV4.version: "ip", IPV6.version: "ip6"}  # the families in nftables' words
_MARKS = "table {} lvs_marks"
_PROTOCOLS = {0: "{ tcp, udp }", TCP: "tcp", UDP: "udp"}


@dataclass(frozen=True, slots=True)
class Counted:
    """The kernel's counters of a service or a server; `load` is active and inactive connections."""

    counters: Mapping[str, int]
    load: tuple[int, int] = (0, 0)


def run(command: Sequence[str], text: str) -> subprocess.CompletedProcess[str]:
    """Run a program with `text` as its input. Raises EngineError if it can't be run, or takes too long."""
    try:
        return subprocess.run(
            command, input=text, capture_output=True, text=True, timeout=_TIME_LIMIT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineError(f"{command[0]} can't be run ({error}).") from None


class KernelIpvs:
    """IPVS in this kernel, with its sysctls."""

    def __init__(self, proc: Path = Path("/proc"), run: Run = run) -> None:
        self._net = proc / "net"
        self._run = run
        self.sysctls = proc / "sys/net/ipv4/vs"
        self.forwarding = {
            IPV4: proc / "sys/net/ipv4/ip_forward",
            IPV6: proc / "sys/net/ipv6/conf/all/forwarding",
        }
        self._marked = {IPV4.version}  # the families that have had firewall marks

    # ---- write ----

    def restore(self, lines: Sequence[str]) -> None:
        """Carry out lines of ipvsadm. Raises EngineError in the kernel's words; the other lines are done."""
        done = self._run([_ipvsadm(), "-R"], "".join(f"{line}\n" for line in lines))
        if done.returncode or done.stderr.strip():
            raise EngineError(f"Kernel IPVS has refused a rule ({_reasons(done)[-1]}).")

    def ipvsadm(self, *words: str) -> str:
        """The output of one command. Raises EngineError in ipvsadm's words."""
        done = self._run([_ipvsadm(), *words], "")
        if done.returncode:
            raise EngineError(f"{_reasons(done)[-1]} (ipvsadm {words[0]}).")
        return done.stdout

    def load_marks(self, marks: Sequence[Mark]) -> None:
        """Replace the firewall marks. Raises EngineError."""
        self._marked |= {mark.network.version for mark in marks}
        done = self._run(["nft", "-f", "-"], marks_script(marks, self._marked))
        if done.returncode:
            raise EngineError(f"nft can't load the firewall marks ({_reasons(done)[0]}).")

    # ---- read ----

    def has_rules(self) -> bool:
        """Whether there are services."""
        return len((self._net / "ip_vs").read_text().splitlines()) > 3

    def counted(self) -> dict[tuple[str, ...], Counted]:
        """By ("TCP", "ADDRESS:PORT"), ("FWM", "MARK") or ("FWM", "MARK IPv6"), then a server's endpoint."""
        found = dict(self._listing("--stats", _counters))
        for key, load in self._listing("", _load):
            if key in found:
                found[key] = Counted(found[key].counters, load)
        return found

    def _listing(
        self, option: str, read: Callable[[list[str]], Any]
    ) -> Iterator[tuple[tuple[str, ...], Any]]:
        """The rows of a listing of ipvsadm, each with its key."""
        done = self._run([_ipvsadm(), "-Ln", "--exact", *option.split()], "")
        service: tuple[str, ...] = ()
        for line in done.stdout.splitlines()[3:]:
            words = line.split()
            if words[0] == "->":
                yield (*service, words[1]), read(words)
            else:
                if words[2] == str(IPV6):
                    words[1:3] = [" ".join(words[1:3])]
                service = words[0], words[1]
                yield service, read(words) if option else (0, 0)

    def is_up_to_date(self) -> bool:
        """Whether the counters are current: the kernel adds up its processors' counters every 2 s."""
        rows = [line.split() for line in (self._net / "ip_vs_stats_percpu").read_text().splitlines()]
        rows = [row for row in rows if len(row) == 1 + len(COUNTERS)]
        total = next((row[1:] for row in rows if row[0] == "~"), [])
        processors = [[int(word, 16) for word in row[1:]] for row in rows if _is_hexadecimal(row[0])]
        return [int(word, 16) for word in total] == [sum(column) for column in zip(*processors, strict=True)]

    def totals(self) -> dict[str, int]:
        """The counters over all services."""
        for line in (self._net / "ip_vs_stats").read_text().splitlines():
            words = line.split()
            if len(words) == len(COUNTERS) and all(map(_is_hexadecimal, words)):
                return dict(zip(COUNTERS, (int(word, 16) for word in words), strict=True))
        return {}

    def connections(self) -> Iterator[dict[str, Any]]:
        """The connection table, in the form of the director's own listing."""
        with (self._net / "ip_vs_conn").open() as lines:
            for line in islice(lines, 1, None):
                protocol, *numbers, state, expires = line.split()[:9]
                client, vip, server = (_endpoint(*numbers[at : at + 2]) for at in (0, 2, 4))
                ends = {"client": client, "vip": vip, "server": server}
                yield {"protocol": protocol, "expires": float(expires), "state": state, **ends}


def marks_script(marks: Sequence[Mark], versions: Collection[int] = (IPV4.version,)) -> str:
    """A script for nft: the first rule that matches marks a packet before IPVS; replaces earlier rules."""
    return "".join(_marks_table(version, marks) for version in sorted(versions))


def _marks_table(version: int, marks: Sequence[Mark]) -> str:
    table = _MARKS.format(_IP[version])
    begin = f"{table}\ndelete {table}\n"
    rules = "\n        ".join(_mark_rule(mark) for mark in marks if mark.network.version == version)
    chain = "type filter hook prerouting priority mangle"
    if not rules:
        return begin
    return f"{begin}{table} {{\n    chain before_ipvs {{\n        {chain}\n        {rules}\n    }}\n}}\n"


def _mark_rule(mark: Mark) -> str:
    protocol = f"meta l4proto {_PROTOCOLS[mark.protocol]}"
    ports = f"th dport {mark.first}-{mark.last}"
    ip = _IP[mark.network.version]
    return f"{ip} daddr {mark.network} {protocol} {ports} meta mark set {mark.mark} accept"


def _reasons(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The lines in which a program says why it failed; a killed one says nothing."""
    return (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()


def _counters(words: list[str]) -> Counted:
    return Counted(dict(zip(COUNTERS, map(int, words[2:7]), strict=True)))


def _load(words: list[str]) -> tuple[int, int]:
    return int(words[4]), int(words[5])


def _is_hexadecimal(word: str) -> bool:
    return all(letter in "0123456789abcdefABCDEF" for letter in word)


def _endpoint(address: str, port: str) -> str:
    text = canonical(address) if ":" in address else inet_ntoa(bytes.fromhex(address))
    return endpoint(text, int(port, 16))


def _ipvsadm() -> str:
    return prerequisites.program() or "ipvsadm"
