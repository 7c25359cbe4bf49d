"""Random scenarios: connections are opened, closed and reopened while the rules change."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from oracle.scenario import Scenario

# All but twos, which is random.
SCHEDULERS = ("dh", "fo", "lblc", "lblcr", "lc", "mh", "nq", "ovf", "rr", "sed", "sh", "wlc", "wrr")
SEED = 1999
CONNECTIONS = 25  # in a scenario
SCENARIOS = 7  # for each method and scheduler in the standard run: 2,275 connections in each method
_LIVES = (  # the packets of a connection in order: c from the client, s from the server
    "cS sSA cA cPA sA sPA cA cFA sFA cA",
    "cS sSA cA cPA sPA sFA cA cFA sA",
    "cS sSA cA cPA sPA cRA",
    "cS sSA cA cPA sR",
    "cS sSA cA sFA cFA sA cS sSA",
    "cS cS sSA sSA cA cA cFA cA",
    "cS sRA cS sRA",
    "cS sSA cRA cS sSA cA",
    "cS cR cS",
    "cS cFA sFA cA cS",
    "cA cS sSA cA",
    "cSA sA cPA",
    "cFPU cS cF",
)
_DATAGRAMS = ("c s c s", "c c c", "c s s")
_LONGEST = {"c": 1420, "s": 1320}  # bytes of data that fit the sender's cable
_ICMPV6_ERRORS = ("1/0", "1/4", "2/0", "3/0", "4/1")


def standard(method: str, seed: int = SEED, scenarios: int = SCENARIOS) -> list[Scenario]:
    """The scenarios of the standard run, with every scheduler."""
    return [
        generated(seed, method, scheduler, number) for scheduler in SCHEDULERS for number in range(scenarios)
    ]


def generated(seed: int, method: str, scheduler: str, number: int) -> Scenario:
    draw = Random(f"{seed} {method} {scheduler} {number}")
    lines = tuple(_Author(draw, method, scheduler).lines())
    return Scenario(f"{scheduler} {seed}/{number}", method, lines)


def for_ipv6(scenario: Scenario) -> Scenario:
    """The scenario with what IPv6 adds: extension headers, fragments, long packets, and ICMPv6 errors."""
    draw = Random(f"{scenario.name.split()[1].partition('/')[0]} {scenario.method} {scenario.name}")
    lines = []
    for line in scenario.lines:
        lines.append(_for_ipv6(line, draw, scenario.method))
        name = line.partition(" ")[0]
        if name != "ipvsadm" and scenario.method == "nat" and draw.random() < 0.03:
            lines.append(f"{name} icmp={draw.choice(_ICMPV6_ERRORS)}")
    return Scenario(scenario.name, scenario.method, tuple(lines))


def _for_ipv6(line: str, draw: Random, method: str) -> str:
    if line.startswith("ipvsadm"):
        return line
    dice = draw.random()
    if " len=" in line and dice < 0.1:
        longest = _LONGEST[line[0]]
        length = min(draw.choice((1279, 1320, 1361, 1400, 1420)), longest)
        line = f"{line.partition(' len=')[0]} len={length}"
    if " udp" in line and method != "tun" and dice > 0.5:  # a tunnel may fragment elsewhere
        return f"{line} cut={draw.randrange(8, 24, 8)}"
    if draw.random() < 0.1:
        return f"{line} ext={draw.choice(('0', '60', '60,60', '0,60'))}"
    return line


class _Author:
    def __init__(self, draw: Random, method: str, scheduler: str) -> None:
        self._draw = draw
        self._nat = method == "nat"
        self._scheduler = scheduler
        self._ends = {n: self._end(n) for n in draw.sample(range(1, 10), draw.randint(2, 5))}
        self._configured: list[int] = []
        self._opened: set[int] = set()

    def _end(self, number: int) -> str:
        return f"RS{number}:{self._draw.choice((80, 8000)) if self._nat else 80}"

    def lines(self) -> Iterator[str]:
        for service in ("-t VIP:80", "-u VIP:80"):
            yield f"ipvsadm -A {service} -s {self._scheduler}{self._policy()}"
        for number in self._ends:
            yield from self._add(number)
        lives = {number: self._life() for number in range(1, CONNECTIONS + 1)}
        waiting = list(lives)
        open_now: list[int] = []
        while waiting or open_now:
            if self._draw.random() < 0.06:
                yield from self._change()
            if waiting and (not open_now or self._draw.random() < 0.3):
                open_now.append(waiting.pop(0))
            number = self._draw.choice(open_now)
            yield self._packet(number, lives[number].pop(0))
            if not lives[number]:
                open_now.remove(number)

    def _policy(self) -> str:
        draw = self._draw
        flags = [f"{self._scheduler}-{flag}" for flag in ("fallback", "port") if draw.random() < 0.3]
        options = f" -b {','.join(flags)}" if flags and self._scheduler in ("sh", "mh") else ""
        return options + (" -p 600" if draw.random() < 0.15 else "")

    def _life(self) -> list[str]:
        draw = self._draw
        udp = draw.random() < 0.15
        packets = draw.choice(_DATAGRAMS if udp else _LIVES).split()
        packets = packets[: draw.randint(1, len(packets))]
        return [f"{packet} udp" for packet in packets] if udp else packets

    def _packet(self, number: int, packet: str) -> str:
        draw, (word, *udp) = self._draw, packet.split()
        options = [f"at={draw.randint(1, 250)}"] if number not in self._opened else []
        self._opened.add(number)
        if udp or "P" in word:
            options.append(f"len={draw.choice((0, 1, 2, 7, 100, 536))}")
        if draw.random() < 0.2:
            options.append(draw.choice(("df", "ttl=2", "ttl=200", "tos=16", "id=0", "id=65535")))
        if "S" in word and draw.random() < 0.3:
            options.append("opt=020405b401010402")  # a maximum segment size; SACK permitted
        return " ".join(filter(None, [f"{word[0]}{number}", word[1:], *udp, *options]))

    # ---- rules ----

    def _add(self, number: int) -> Iterator[str]:
        self._configured.append(number)
        for service in ("-t VIP:80", "-u VIP:80"):
            yield f"ipvsadm -a {service} -r {self._ends[number]} HOW -w {self._weight()}"

    def _weight(self) -> int:
        return self._draw.choice((0, 1, 1, 1, 2, 3, 4, 6))

    def _change(self) -> Iterator[str]:
        draw = self._draw
        away = [number for number in self._ends if number not in self._configured]
        dice = draw.random()
        if self._configured and dice < 0.6:
            number = draw.choice(self._configured)
            limits = f" -x {draw.randint(1, 6)}" if draw.random() < 0.2 else ""
            line = f"-r {self._ends[number]} HOW -w {self._weight()}{limits}"
            yield f"ipvsadm -e -t VIP:80 {line}"
        elif self._configured and dice < 0.8:
            number = draw.choice(self._configured)
            self._configured.remove(number)
            for service in ("-t VIP:80", "-u VIP:80"):
                yield f"ipvsadm -d {service} -r {self._ends[number]}"
        elif away:
            yield from self._add(draw.choice(away))
