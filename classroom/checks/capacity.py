"""Capacity: the published arithmetic on paper, and a cluster whose slow links are the bottleneck.

Every measurement is a ratio: the throughput of several real servers in units of one server's. So a slow
machine gives the same answers as a fast one, as long as the links and not its processor are the bottleneck.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from classroom.checks import needs, title
from classroom.checks.trial_services import ipvsadm
from classroom.in_host import command
from classroom.model import Judge, Observations, Variant
from classroom.worksheet import BLANK, Section, answer, answers
from compare.scaling import shape_links
from labs.checks.result import Check
from labs.run.running import RunningLab

SERVERS = 4
_COUNTS = (1, 2, SERVERS)  # numbers of real servers, measured one after the other
_FILE = "/10m.bin"  # more than any link here carries in that time
_WARM, _SECONDS = 0.2, 0.9
_TRIES = 3
_SCRIPT = 4.0  # seconds for rules.sh
# Tolerances: of a measurement from the links' capacity before it is repeated, and in the end; and of a
# prediction from the measurement. Possible answers are at least a quarter apart.
_VERY_NEAR, _NEAR, _PREDICTED = 0.06, 0.12, 0.16

# ---- each student's figures ----

_MICROSECONDS, _BYTES, _KILOBYTES = (40, 50, 60, 75, 80), (500, 536, 600, 640), (300, 400, 500, 600)
_PAGES, _PAGE_SIZES = (90, 110, 130), (12, 15, 18)  # a second; kB
_SERVER_LINK, _TIMES = 125, 10  # of the order: kB/s, and the director's link in units of that
REPLIES_AT_DIRECTOR = {"VS-NAT": Fraction(1), "VS-DR": Fraction(1, 20)}  # as ./inv compare measures
_LAB_KBIT = 480  # a real server's link in the lab
_LAB_RATE = _LAB_KBIT * 125  # bytes a second, with their headers
_LAB_TIMES = (Fraction(3, 2), Fraction(2), Fraction(3))


@dataclass(frozen=True, slots=True)
class Figures:
    """A student's figures: `microseconds` to rewrite a packet of `bytes`; servers of `kilobytes` a second.

    The order is for `pages` a second of `page_size` kB. In the lab the director's link has `lab_times` the
    rate of a real server's link.
    """

    microseconds: int
    bytes: int
    kilobytes: int
    pages: int
    page_size: int
    lab_times: Fraction


def figures(variant: Variant) -> Figures:
    return Figures(
        variant.choose(_MICROSECONDS, "us"),
        variant.choose(_BYTES, "bytes"),
        variant.choose(_KILOBYTES, "kB/s"),
        variant.choose(_PAGES, "pages"),
        variant.choose(_PAGE_SIZES, "page size"),
        variant.choose(_LAB_TIMES, "director's link"),
    )


# ---- the worksheet ----

PROCESSOR, ORDER, LAB = "processor", "order", "lab"
_PACKETS, _RATE, _SERVERS = "packets per second", "MB per second", "real servers, whole ones"
_NEEDED = "real servers for the order"
_PHRASE = "most real servers behind one director"


def right(variant: Variant) -> dict[str, dict[str, float]]:
    """The right answers of the paper part, by section and label."""
    expected = figures(variant)
    packets = Fraction(1_000_000, expected.microseconds)
    needed = math.ceil(Fraction(expected.pages * expected.page_size, _SERVER_LINK))
    most = {method: math.floor(_TIMES / share) for method, share in REPLIES_AT_DIRECTOR.items()}
    return {
        PROCESSOR: {
            _PACKETS: float(packets),
            _RATE: float(packets * expected.bytes / 1_000_000),
            _SERVERS: math.floor(packets * expected.bytes / 1000 / expected.kilobytes),
        },
        ORDER: {
            _NEEDED: needed,
            **{f"{_PHRASE}, {method}": count for method, count in most.items()},
            **{f"directors, {method}": math.ceil(Fraction(needed, count)) for method, count in most.items()},
        },
    }


def growth(variant: Variant) -> dict[int, float]:
    """The expected throughput of 1, 2 and 4 real servers of the lab, in units of one server's."""
    through = variant.plan.replies_through_director
    limit = figures(variant).lab_times if through else Fraction(SERVERS)
    return {count: float(min(Fraction(count), limit)) for count in _COUNTS}


def label(count: int) -> str:
    return f"{count} real servers deliver"


def sections(variant: Variant) -> tuple[Section, ...]:
    """The worksheet with its blanks."""
    expected, method = figures(variant), variant.plan.method.name
    director = float(_LAB_KBIT * expected.lab_times)
    notes = {
        PROCESSOR: f"A director takes {expected.microseconds} us to rewrite a packet of {expected.bytes} "
        "bytes, the average.\n"
        f"How many real servers that each send {expected.kilobytes} kB/s can its processor serve?",
        ORDER: f"A customer expects {expected.pages} pages of {expected.page_size} kB a second.\n"
        f"A real server's link carries {_SERVER_LINK} kB/s, the director's {_TIMES} times as much in each "
        "direction.\nWith VS-DR a twentieth of all bytes passes through the director.",
    }
    paper = tuple(
        Section(name, notes[name], dict.fromkeys(cells, BLANK)) for name, cells in right(variant).items()
    )
    note = (
        f"This lab: VS-{method}, real servers' links of {_LAB_KBIT} kbit/s, the director's links of "
        f"{director:g} kbit/s in each\ndirection. How much do all clients get, in units of what one real "
        "server delivers?"
    )
    return (*paper, Section(LAB, note, {label(count): BLANK for count in _COUNTS if count > 1}))


# ---- the lab ----


def slow_links(running: RunningLab, variant: Variant) -> None:
    """Limit the links of director and real servers to their rates."""
    shape_links(running, _LAB_KBIT, int(_LAB_KBIT * figures(variant).lab_times))


def delivered(running: RunningLab, variant: Variant) -> dict[str, Any]:
    """c1's throughput with 1, 2 and 4 real servers, a connection to each: `rates`, bytes a second by number.

    A busy machine may disturb a measurement, so one that differs from the links' capacity is repeated. Then
    the rules of rules.sh are restored. `error` is the director's, if it refused rules.
    """
    found: dict[str, Any] = {"rates": {}, "error": ""}
    for _ in range(_TRIES):
        for count in _COUNTS:
            if not found["error"] and not _as_expected(found, count, variant, _VERY_NEAR):
                found["error"] = _give_rules(count, variant)
                found["rates"][str(count)] = _rate(running, count)
    running.network.hosts["d"].run(["sh", str(running.evidence.scripts / "d" / "rules.sh")], timeout=_SCRIPT)
    return found


def _as_expected(found: Mapping[str, Any], count: int, variant: Variant, near: float) -> bool:
    """Whether `count` real servers delivered what the links carry, in units of one server's throughput."""
    unit = _LAB_RATE if count == 1 else found["rates"].get("1", 0.0)
    rate, wanted = found["rates"].get(str(count), 0.0), growth(variant)[count]
    return bool(unit) and abs(rate / unit - wanted) <= near * wanted


def _give_rules(count: int, variant: Variant) -> str:
    """A service with the first `count` real servers; returns the director's error, or ""."""
    service, flag = f"-t {variant.plan.vip}:80", variant.facts["flag"]
    servers = [
        f"-a {service} -r {server.address}:{server.http_port} {flag}"
        for server in variant.plan.servers[:count]
    ]
    ipvsadm([f"-D {service}"])  # refused where there is none
    return ipvsadm([f"-A {service} -s rr", *servers])


def _rate(running: RunningLab, count: int) -> float:
    client = running.clients[0]
    flowing = command("http_flow", client.vip, 80, count, _FILE, _WARM, _SECONDS)
    done = client.host.run(flowing, timeout=3 * (_WARM + _SECONDS))
    found = json.loads(done.stdout or '{"bytes": 0, "seconds": 1, "receiving": 0}')
    return round(found["bytes"] / found["seconds"], 1) if found["receiving"] == count else 0.0


# ---- judges ----

# What a student may have missed, by label.
_LOOK_AT = {
    _PACKETS: "it rewrites one packet after the other",
    _RATE: "packets times bytes",
    _SERVERS: "the director's rate divided by a server's, rounded down",
    _NEEDED: "the order's bytes a second divided by a link's, rounded up",
}
_LINKS = "which link is full first, and which bytes pass through it?"


def _paper(section: str, name: str, doc: str) -> Judge:
    @needs(answers)
    def judge(observations: Observations, variant: Variant) -> Check:
        return _compared(title(judge), section, right(variant)[section], observations["answers"])

    judge.__name__, judge.__doc__ = name, doc
    return judge


def _compared(
    name: str, section: str, wanted: Mapping[str, float], filled: Mapping[str, Any], near: float = 0.01
) -> Check:
    """The number of right answers, and the first wrong one; never the right one."""
    wrong = []
    for cell, value in wanted.items():
        given = answer(filled, section, cell)
        number = _number(given or "")
        if given is None:
            wrong.append(f"[{section}] has no line {cell!r}")
        elif not given:
            wrong.append(f"[{section}] {cell!r} is blank")
        elif number is None or abs(number - value) > near * value:
            wrong.append(f"[{section}] {cell}: not {given}; {_LOOK_AT.get(cell, _LINKS)}")
    expected = f"{len(wanted)} right"
    if not wrong:
        return Check(name, True, expected, expected)
    observed = [f"{len(wanted) - len(wrong)} right", wrong[0], *filled["wrong"][:1]]
    return Check(name, False, expected, "; ".join(observed))


_NUMBER = re.compile(r"[0-9][0-9 ,']*(?:\.[0-9]+)?|\.[0-9]+", re.ASCII)


def _number(given: str) -> float | None:
    """The number that an answer begins with; 16,667 and 16 667 are the same number."""
    found = _NUMBER.match(given)
    return float(re.sub(r"[ ,']", "", found[0])) if found else None


processor_sized = _paper(PROCESSOR, "processor_sized", "The published arithmetic, with other figures.")
order_sized = _paper(ORDER, "order_sized", "The order: how many real servers, and directors.")


@needs(delivered)
def links_measured(observations: Observations, variant: Variant) -> Check:
    """The lab delivers what its links carry."""
    found = observations["delivered"]
    if found["error"]:
        return Check(title(links_measured), False, "rules for the measurement", found["error"])
    near = all(_as_expected(found, count, variant, _NEAR) for count in _COUNTS)
    links = "the links are the limit"
    observed = (
        links if near else "another bottleneck: were links or rules changed, or is the machine overloaded?"
    )
    return Check(title(links_measured), near, links, observed)


@needs(answers, delivered)
def growth_predicted(observations: Observations, variant: Variant) -> Check:
    """The lab's throughput grows as predicted."""
    found = _measured(observations["delivered"])
    measured = {label(count): value for count, value in found.items() if count > 1}
    if not measured:
        return Check(title(growth_predicted), False, "a measurement", "a real server delivered nothing")
    return _compared(title(growth_predicted), LAB, measured, observations["answers"], _PREDICTED)


def _measured(found: Mapping[str, Any]) -> dict[int, float]:
    """Throughput by number of real servers, in units of one server's; empty if any delivered nothing."""
    rates = {int(count): float(rate) for count, rate in found["rates"].items()}
    if not all(rates.values()) or 1 not in rates:
        return {}
    return {count: rate / rates[1] for count, rate in rates.items()}
