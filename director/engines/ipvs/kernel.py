"""The kernel's side of IPVS: what it is told by ipvsadm, nft and sysctls, and what it tells in /proc/net."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from socket import inet_ntoa
from typing import Any

from director.core.statistics import COUNTERS
from director.engines.engine import EngineError
from director.engines.ipvs import prerequisites

SYSCTLS = Path("/proc/sys/net/ipv4/vs")
FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
_NET = Path("/proc/net")
_PATIENCE = 30.0  # seconds for a program; an emulated machine is slow


@dataclass(frozen=True, slots=True)
class Counted:
    """What the kernel has counted for a service or a server; `load` is active and inactive connections."""

    counters: Mapping[str, int]
    load: tuple[int, int] = (0, 0)


def restore(lines: Sequence[str]) -> None:
    """Carry out lines of ipvsadm. Raises EngineError with the kernel's words, after the others are done."""
    done = _run([_ipvsadm(), "-R"], "".join(f"{line}\n" for line in lines))
    if done.returncode or done.stderr.strip():
        reason = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1]
        raise EngineError(f"Kernel IPVS has refused a rule ({reason}).")


def counted() -> dict[tuple[str, ...], Counted]:
    """By ("TCP", "ADDRESS:PORT") or ("FWM", "MARK"); for servers with their own end behind it."""
    found = dict(_table("--stats", _counters))
    for key, load in _table("", _load):
        if key in found:
            found[key] = Counted(found[key].counters, load)
    return found


def is_up_to_date() -> bool:
    """Whether the counters are those of now: the kernel adds up what its processors count every 2 s."""
    rows = [line.split() for line in (_NET / "ip_vs_stats_percpu").read_text().splitlines()]
    rows = [row for row in rows if len(row) == 1 + len(COUNTERS)]
    added_up = next((row[1:] for row in rows if row[0] == "~"), [])
    processors = [[int(word, 16) for word in row[1:]] for row in rows if _is_hexadecimal(row[0])]
    return [int(word, 16) for word in added_up] == [sum(column) for column in zip(*processors, strict=True)]


def totals() -> dict[str, int]:
    """What the kernel has counted for all services together."""
    for line in (_NET / "ip_vs_stats").read_text().splitlines():
        words = line.split()
        if len(words) == len(COUNTERS) and all(map(_is_hexadecimal, words)):
            return dict(zip(COUNTERS, (int(word, 16) for word in words), strict=True))
    return {}


def has_rules() -> bool:
    """Whether there are services."""
    return len((_NET / "ip_vs").read_text().splitlines()) > 3


def connections() -> Iterator[dict[str, Any]]:
    """The connection table, in the form of the director's own listing."""
    with (_NET / "ip_vs_conn").open() as lines:
        for line in islice(lines, 1, None):
            protocol, *numbers, state, expires = line.split()[:9]
            client, vip, server = (_end(*numbers[at : at + 2]) for at in (0, 2, 4))
            ends = {"client": client, "vip": vip, "server": server}
            yield {"protocol": protocol, "expires": float(expires), "state": state, **ends}


def load_marks(script: str) -> None:
    """Raises EngineError."""
    done = _run(["nft", "-f", "-"], script)
    if done.returncode:
        raise EngineError(f"nft can't load the firewall marks ({done.stderr.strip().splitlines()[0]}).")


def _table(option: str, read: Callable[[list[str]], Any]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The rows of a listing of ipvsadm, each with its key."""
    done = _run([_ipvsadm(), "-Ln", "--exact", *option.split()], "")
    service: tuple[str, ...] = ()
    for line in done.stdout.splitlines()[3:]:
        words = line.split()
        if words[0] == "->":
            yield (*service, words[1]), read(words)
        else:
            service = words[0], words[1]
            yield service, read(words) if option else (0, 0)


def _counters(words: list[str]) -> Counted:
    return Counted(dict(zip(COUNTERS, map(int, words[2:7]), strict=True)))


def _load(words: list[str]) -> tuple[int, int]:
    return int(words[4]), int(words[5])


def _is_hexadecimal(word: str) -> bool:
    return all(letter in "0123456789abcdefABCDEF" for letter in word)


def _end(address: str, port: str) -> str:
    return f"{inet_ntoa(bytes.fromhex(address))}:{int(port, 16)}"


def _ipvsadm() -> str:
    return prerequisites.program() or "ipvsadm"


def _run(command: Sequence[str], text: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, input=text, capture_output=True, text=True, timeout=_PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineError(f"{command[0]} can't be run ({error}).") from None
