"""The class book: what was handed in, each with its mark; what was refused, and why.

Each file is marked as soon as it is opened, and nothing else of it is kept. Then it is settled whose it is:

    one run under two names       the name that it was begun with counts, the other is refused
    one name, two accounts        the student's counts: the one with the name, or the first one where both
                                  have the same runs; otherwise all are refused
    one account, several files    the one made last counts, by the clock of the student's machine
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Protocol, TypeVar

from nacl.public import PrivateKey

from classroom import catalogue
from classroom.grading import provenance
from classroom.grading.accounts import Account, account_of, is_of_platform, own_account
from classroom.grading.collect import SubmittedFile
from classroom.grading.marking import Mark, mark
from classroom.sanitize import natural_key, sanitize
from classroom.submission import Refused, names_owner, opened

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
class Gradebook:
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


Whose = tuple[str, str]  # exercise and student


@dataclass(frozen=True, slots=True)
class _Marked:
    """What is kept of a file; `began`: its run's name says that it was begun as this student's."""

    file: str
    account: Account
    whose: Whose
    run: str
    began: bool
    made: float  # when it was handed in, by the clock of the student's machine
    digest: bytes
    mark: Mark
    notes: tuple[str, ...] = ()


class _File(Protocol):
    @property
    def file(self) -> str: ...


_In = TypeVar("_In", bound=_File)
_Out = TypeVar("_Out")


def grade_files(files: Iterable[SubmittedFile], key: PrivateKey) -> Gradebook:
    """Open, mark and compare all of them; nothing that one of them says ends it."""
    refusals: list[Refusal] = []
    marked = _sifted(files, _Grader(key), refusals)
    runs = _by(marked, lambda one: one.run).values()
    marked = [one for run in runs for one in _originals(run, refusals)]
    accounts = _by(marked, lambda one: one.account)
    settled = [_settled(claims, refusals) for claims in _by(marked, lambda one: one.whose).values()]
    entries = [_entry(one, accounts[one.account]) for one in settled if one]
    order = catalogue.names().index
    entries.sort(key=lambda entry: (natural_key(entry.mark.student), order(entry.mark.exercise)))
    return Gradebook(tuple(entries), tuple(sorted(refusals, key=lambda one: one.file)))


def _sifted(things: Iterable[_In], work: Callable[[_In], _Out], refusals: list[Refusal]) -> list[_Out]:
    """What comes of each, where it is not refused."""
    done = []
    for thing in things:
        try:
            done.append(work(thing))
        except Refused as refused:
            refusals.append(Refusal(sanitize(thing.file), str(refused)))
    return done


_Key = TypeVar("_Key")


def _by(marked: Iterable[_Marked], key: Callable[[_Marked], _Key]) -> dict[_Key, list[_Marked]]:
    groups: dict[_Key, list[_Marked]] = defaultdict(list)
    for one in marked:
        groups[key(one)].append(one)
    return groups


# ---- one file ----


class _Grader:
    """From a file to its mark; copies are not judged again."""

    def __init__(self, key: PrivateKey) -> None:
        self._key = key
        self._known: dict[bytes, _Marked | str] = {}  # or why it was refused

    def __call__(self, file: SubmittedFile) -> _Marked:
        data = file.read()
        digest = sha256(data).digest()
        if digest not in self._known:
            try:
                self._known[digest] = self._marked(data, digest)
            except Refused as refused:
                self._known[digest] = str(refused)
        known = self._known[digest]
        if isinstance(known, str):
            raise Refused(known)
        notes = tuple(_misnamed(file.file, known.whose))
        return replace(known, file=file.file, account=account_of(file.file), notes=notes)

    def _marked(self, data: bytes, digest: bytes) -> _Marked:
        submission = opened(data, self._key)
        try:
            variant = provenance.require(submission)
            return _Marked(
                file="",
                account=(),
                whose=(submission.exercise, submission.student),
                run=submission.run,
                began=names_owner(submission),
                made=float(submission.journal[-1]["at"]),
                digest=digest,
                mark=mark(submission, variant),
            )
        except _ABSURD as error:
            told = sanitize(f"{type(error).__name__}: {error}")
            raise Refused(f"what it says can't be judged ({told})") from None


def _misnamed(file: str, whose: Whose) -> Iterator[str]:
    """A note where the file's name is that of other evidence: whoever handed it in may have renamed it."""
    known = "|".join(map(re.escape, catalogue.names()))
    last = file.rpartition("/")[2].rpartition(".")[0]
    said = re.search(rf"(?<![A-Za-z0-9])({known})-([A-Za-z0-9][A-Za-z0-9._@+-]*)", last)
    if said and said.groups() != whose:
        yield f"its name says {sanitize(said[1])} of {sanitize(said[2])}"


# ---- whose it is ----


def _originals(run: Sequence[_Marked], refusals: list[Refusal]) -> list[_Marked]:
    """Those that were handed in of a run under the name that it was begun with; the others are refused."""
    names = _by(run, lambda one: one.whose)
    if len(names) == 1:
        return list(run)
    ages = {whose: min(map(_age, ones)) for whose, ones in names.items()}
    oldest = min(ages.values())
    first = [whose for whose, age in ages.items() if age == oldest]
    original = first[0] if len(first) == 1 else None  # nobody's, where that can't be known
    told = {whose: f"{_told(whose)} ({sanitize(ones[0].file)})" for whose, ones in names.items()}
    for whose, ones in names.items():
        if whose != original:
            others = ", ".join(told[other] for other in first[:3] if other != whose)
            why = sanitize(f"the same run of the lab was handed in as {others}, too")
            refusals += [Refusal(sanitize(one.file), why) for one in ones]
    if original is None:
        return []
    copies = ", ".join(told[whose] for whose in names if whose != original)
    note = sanitize(f"its run was handed in as {copies}, too, which is refused")
    return [replace(one, notes=(*one.notes, note)) for one in names[original]]


def _age(one: _Marked) -> tuple[bool, float]:
    """Sorts the original before what was made of it: by the run's name, or else by the clock."""
    return not one.began, one.made


def _settled(claims: Sequence[_Marked], refusals: list[Refusal]) -> _Marked | None:
    """What counts of all that was handed in for one student and exercise; the others are noted or refused."""
    accounts = _by(claims, lambda one: one.account)
    told = _told(claims[0].whose)
    home = _home(accounts, student=claims[0].whose[1])
    if home is None:
        who = sanitize(" and ".join(sorted(map(_who, accounts))))
        why = f"different runs were handed in for {told}, by {who}: keep the student's own, and grade again"
        refusals += [Refusal(sanitize(one.file), why) for one in claims]
        return None
    own = accounts[home]
    known = {one.digest for one in own}
    *older, last = sorted(own, key=lambda one: one.made)
    for one in claims:
        if one.account == home:
            continue
        if one.digest in known:
            older.append(one)
        else:
            why = f"handed in by {_who(one.account)}; for {told} counts what {_who(home)} has handed in"
            refusals.append(Refusal(sanitize(one.file), why))
    notes = [
        f"{'a copy' if one.digest == last.digest else 'an older one'} is {sanitize(one.file)}"
        for one in older
    ]
    return replace(last, notes=(*last.notes, *notes))


def _home(accounts: Mapping[Account, Sequence[_Marked]], student: str) -> Account | None:
    """The account whose files count; None where that can't be known."""
    if len(accounts) == 1:
        return next(iter(accounts))
    named = own_account(accounts, student)
    if named is not None:
        return named
    runs = {account: {one.run for one in own} for account, own in accounts.items()}
    every = set().union(*runs.values())
    whole = [account for account in accounts if runs[account] == every]  # others have no run of their own
    return min(whole, key=lambda one: (min(file.made for file in accounts[one]), not one), default=None)


def _told(whose: Whose) -> str:
    exercise, student = whose
    return f"{sanitize(exercise)} of {sanitize(student)}"


def _who(account: Account) -> str:
    return sanitize("/".join(account) or "somebody without a folder")


def _entry(one: _Marked, submitted_files: Iterable[_Marked]) -> Entry:
    """`handed_in`: all from the same account."""
    others = sorted({other.whose[1] for other in submitted_files} - {one.whose[1]}, key=natural_key)
    notes = one.notes
    if others and is_of_platform(one.account, one.file):
        notes += (f"{_who(one.account)} has handed in for {', '.join(map(sanitize, others))}, too",)
    return Entry(sanitize(one.file), one.mark, notes)
