"""Runs a scenario on any director; the answers of two directors can be compared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple, Protocol, TypeVar

from oracle.scenario import Scenario, Step
from oracle.site import Place
from oracle.talk import Frame, Talks


class Entry(NamedTuple):
    """A connection in a director's table; `expires` in whole seconds, rounded down."""

    server: str
    state: str
    expires: int


class Load(NamedTuple):
    """A real server of a service."""

    weight: int
    active: int
    inactive: int


Row = TypeVar("Row", Entry, Load)


class Tables(NamedTuple):
    """`TCP CLIENT VIP` -> connection, `SERVICE SERVER` -> load; of one place only."""

    connections: Mapping[str, Entry]
    servers: Mapping[str, Load]


class Plane(Protocol):
    """A director with its wires."""

    def rules(self, lines: Sequence[str]) -> None:
        """Carry out lines of ipvsadm, as -R does; a refused one changes nothing."""

    def sysctl(self, name: str, value: int) -> None:
        """Change a setting."""

    def mark(self, protocol: str, vip: str, ports: str, mark: int) -> None:
        """Mark packets to these ports."""

    def wait(self, seconds: float) -> None:
        """Let time pass."""

    def exchange(self, frame: Frame) -> list[Frame]:
        """Put a frame on the wire; returns what the director sends because of it."""

    def look(self, place: Place) -> Tables:
        """What is in its tables."""


@dataclass(frozen=True)
class Answer:
    """The result of a step: frames sent, and what has changed in the tables."""

    out: tuple[Frame, ...]
    connections: Mapping[str, Entry | None]
    servers: Mapping[str, Load | None]


def play(scenario: Scenario, place: Place, plane: Plane) -> list[Answer]:
    """One answer for each step."""
    talks, before = Talks(place), Tables({}, {})
    words = place.words(scenario.method)
    answers = []
    for step in merged(scenario.steps):
        if step.kind == "ipvsadm":
            plane.rules([_said(line, words) for line in step.text.splitlines()])
            out: list[Frame] = []
        else:
            out = _carry_out(step, plane, talks, place)
        now = plane.look(place)
        news = _news(before.connections, now.connections), _news(before.servers, now.servers)
        answers.append(Answer(tuple(out), *news))
        before = now
    return answers


def merged(steps: Iterable[Step]) -> Iterator[Step]:
    """Consecutive rules become one step, whose text has a line for each."""
    for is_rules, group in groupby(steps, lambda step: step.kind == "ipvsadm"):
        if is_rules:
            rules = list(group)
            differs = next((step.differs for step in rules if step.differs), "")
            yield Step("\n".join(step.text for step in rules), "ipvsadm", differs=differs)
        else:
            yield from group


def _carry_out(step: Step, plane: Plane, talks: Talks, place: Place) -> list[Frame]:
    out: list[Frame] = []
    if step.kind == "sysctl":
        plane.sysctl(step.words[0], int(step.words[1]))
    elif step.kind == "mark":
        plane.mark(step.words[0], place.vip, step.words[1], place.mark)
    elif step.kind == "wait":
        plane.wait(float(step.words[0]))
    else:
        for frame in talks.frames(step):
            out += plane.exchange(frame)
        talks.heard(step, out)
    return out


def _said(line: str, words: Mapping[str, str]) -> str:
    """The line without `ipvsadm`, with addresses in place of words."""
    line = line.partition(" ")[2]
    for word, address in words.items():
        line = line.replace(word, address)
    return line


def _news(before: Mapping[str, Row], now: Mapping[str, Row]) -> dict[str, Row | None]:
    """What is new, has changed, or expires later than before; None for what is gone."""
    gone: dict[str, Row | None] = dict.fromkeys(before.keys() - now.keys())
    return {**gone, **{name: row for name, row in now.items() if _is_news(before.get(name), row)}}


def _is_news(before: Entry | Load | None, now: Entry | Load) -> bool:
    if isinstance(before, Entry) and isinstance(now, Entry):
        return before[:2] != now[:2] or now.expires > before.expires  # that time passes is not a change
    return before != now
