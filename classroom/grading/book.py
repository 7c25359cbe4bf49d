"""The class book: what was handed in, each with its mark; what was refused, and why."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Protocol, TypeVar

from nacl.public import PrivateKey

from classroom import catalogue
from classroom.grading import origin
from classroom.grading.intake import HandedIn
from classroom.grading.marking import Mark, mark
from classroom.plain import natural, plain
from classroom.submission import Refused, Submission, opened

# What judging content that nobody has foreseen may raise.
_ABSURD = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class Entry:
    """A submission that counts; `notes` are for the teacher."""

    file: str
    mark: Mark
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    file: str
    reason: str


@dataclass(frozen=True, slots=True)
class Book:
    """`entries` by student, then by exercise."""

    entries: tuple[Entry, ...]
    refusals: tuple[Refusal, ...]

    @property
    def students(self) -> dict[str, list[Entry]]:
        """What counts of each student."""
        students: dict[str, list[Entry]] = defaultdict(list)
        for entry in self.entries:
            students[entry.mark.student].append(entry)
        return students

    @property
    def exercises(self) -> list[str]:
        """Those of which something counts."""
        return [name for name in catalogue.names() if name in {entry.mark.exercise for entry in self.entries}]


@dataclass(frozen=True, slots=True)
class _Opened:
    file: str
    submission: Submission
    digest: bytes
    notes: tuple[str, ...] = ()

    @property
    def whose(self) -> tuple[str, str]:
        return self.submission.exercise, self.submission.student

    @property
    def made(self) -> float:
        """When it was handed in, by the clock of the student's machine."""
        return float(self.submission.journal[-1]["at"])


class _File(Protocol):
    @property
    def file(self) -> str: ...


_In = TypeVar("_In", bound=_File)
_Out = TypeVar("_Out")


def book(files: Iterable[HandedIn], key: PrivateKey) -> Book:
    """Open, compare and mark all of them; nothing that one of them says ends it."""
    refusals: list[Refusal] = []
    submissions = _sifted(files, lambda file: _open(file, key), refusals)
    runs = _runs(submissions)
    submissions = _sifted(submissions, lambda one: _own(one, runs[one.submission.run]), refusals)
    entries = _sifted(_latest(submissions), _marked, refusals)
    order = catalogue.names().index
    entries.sort(key=lambda entry: (natural(entry.mark.student), order(entry.mark.exercise)))
    return Book(tuple(entries), tuple(sorted(refusals, key=lambda one: one.file)))


def _sifted(things: Iterable[_In], work: Callable[[_In], _Out], refusals: list[Refusal]) -> list[_Out]:
    """What comes of each, where it is not refused."""
    done = []
    for thing in things:
        try:
            done.append(work(thing))
        except Refused as refused:
            refusals.append(Refusal(plain(thing.file), str(refused)))
    return done


def _open(file: HandedIn, key: PrivateKey) -> _Opened:
    data = file.read()
    submission = opened(data, key)
    return _Opened(file.file, submission, sha256(data).digest(), tuple(_misnamed(file.file, submission)))


def _misnamed(file: str, submission: Submission) -> Iterator[str]:
    """A note where the file's name is that of other evidence: whoever handed it in may have renamed it."""
    known = "|".join(map(re.escape, catalogue.names()))
    last = file.rpartition("/")[2].rpartition(".")[0]
    said = re.search(rf"(?<![A-Za-z0-9])({known})-([A-Za-z0-9][A-Za-z0-9._@+-]*)", last)
    if said and said.groups() != (submission.exercise, submission.student):
        yield f"its name says {plain(said[1])} of {plain(said[2])}"


def _runs(submissions: Sequence[_Opened]) -> dict[str, set[tuple[str, str]]]:
    """Whose each running exercise is said to have been."""
    runs: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for one in submissions:
        runs[one.submission.run].add(one.whose)
    return runs


def _own(one: _Opened, owners: set[tuple[str, str]]) -> _Opened:
    """Raises Refused where it is not evidence of this student's own lab."""
    others = sorted(owners - {one.whose}) if one.submission.run else []
    if others:
        named = ", ".join(f"{plain(exercise)} of {plain(student)}" for exercise, student in others)
        raise Refused(f"the same run of the lab was handed in as {named}, too")
    origin.require(one.submission)
    return one


def _latest(submissions: Sequence[_Opened]) -> list[_Opened]:
    """One of each student and exercise, the one made last; the others are noted with it."""
    groups: dict[tuple[str, str], list[_Opened]] = defaultdict(list)
    for one in submissions:
        groups[one.whose].append(one)
    return [_last(group) for group in groups.values()]


def _last(group: Sequence[_Opened]) -> _Opened:
    *older, last = sorted(group, key=lambda one: one.made)
    notes = [
        f"{'a copy' if one.digest == last.digest else 'an older one'} is {plain(one.file)}" for one in older
    ]
    return replace(last, notes=(*last.notes, *notes))


def _marked(one: _Opened) -> Entry:
    try:
        return Entry(plain(one.file), mark(one.submission), one.notes)
    except _ABSURD as error:
        told = plain(f"{type(error).__name__}: {error}")
        raise Refused(f"what it says can't be judged ({told})") from None
