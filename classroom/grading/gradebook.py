"""The gradebook: each submission with its mark, and each refusal with its reason.

A file is marked as soon as it is opened, and only its mark is kept. Then its owner is decided:

    one run, two students         the student for whom it was started; the other is refused
    one student, two accounts     the account with the student's name, or the first of those that have all
                                  runs; otherwise all are refused
    one account, several files    the latest, by the clock of the student's machine; or, by the teacher's
                                  choice, the first, or the best (the latest of those with most points)
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
from classroom.grading.collect import (
    Account,
    SubmittedFile,
    account_of,
    is_of_platform,
    own_account,
)
from classroom.grading.marking import Mark, mark
from classroom.submission import Refused, names_owner, opened, sanitize

# Exceptions that malformed content may cause in judges.
_MALFORMED = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class Entry:
    """A submission that counts, one of the student's `of` for this exercise; `notes` are for the teacher."""

    file: str
    mark: Mark
    notes: tuple[str, ...] = ()
    of: int = 1


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refused file; `class_name` is the class for which it was sealed, if that is not the teacher's."""

    file: str
    reason: str
    class_name: str = ""


@dataclass(frozen=True, slots=True)
class Gradebook:
    """`entries` by student, then by exercise."""

    entries: tuple[Entry, ...]
    refusals: tuple[Refusal, ...]
    count: str = "latest"

    @property
    def students(self) -> dict[str, list[Entry]]:
        """The entries of each student."""
        students: dict[str, list[Entry]] = defaultdict(list)
        for entry in self.entries:
            students[entry.mark.student].append(entry)
        return students

    @property
    def exercises(self) -> list[str]:
        """The exercises with an entry."""
        return [name for name in catalogue.names() if name in {entry.mark.exercise for entry in self.entries}]


Owner = tuple[str, str]  # exercise and student


@dataclass(frozen=True, slots=True)
class _MarkedFile:
    """The data kept of a file; `original`: the run's name shows that it was started for this student."""

    file: str
    account: Account
    owner: Owner
    run: str
    original: bool
    sealed_at: float  # by the clock of the student's machine
    digest: bytes
    mark: Mark
    notes: tuple[str, ...] = ()
    of: int = 1


class _File(Protocol):
    @property
    def file(self) -> str: ...


_In = TypeVar("_In", bound=_File)
_Out = TypeVar("_Out")


def grade_files(files: Iterable[SubmittedFile], key: PrivateKey, count: str = "latest") -> Gradebook:
    """Open, mark and compare all files; no file can keep the others from being graded.

    `count`, a key of COUNTS, says which of an account's submissions counts.
    """
    refusals: list[Refusal] = []
    marked = _collected(files, _Grader(key), refusals)
    runs = _by(marked, lambda file: file.run).values()
    marked = [file for run in runs for file in _originals(run, refusals)]
    accounts = _by(marked, lambda file: file.account)
    owners = _by(marked, lambda file: file.owner).values()
    settled = [_settled(claims, refusals, count) for claims in owners]
    entries = [_entry(file, accounts[file.account]) for file in settled if file]
    order = catalogue.names().index
    entries.sort(key=lambda entry: (natural_key(entry.mark.student), order(entry.mark.exercise)))
    return Gradebook(tuple(entries), tuple(sorted(refusals, key=lambda refusal: refusal.file)), count)


def _collected(things: Iterable[_In], work: Callable[[_In], _Out], refusals: list[Refusal]) -> list[_Out]:
    """The results of `work`; files that it refuses are added to `refusals`."""
    done = []
    for thing in things:
        try:
            done.append(work(thing))
        except Refused as refused:
            refusals.append(Refusal(sanitize(thing.file), str(refused), refused.class_name))
    return done


_Key = TypeVar("_Key")


def _by(marked: Iterable[_MarkedFile], key: Callable[[_MarkedFile], _Key]) -> dict[_Key, list[_MarkedFile]]:
    groups: dict[_Key, list[_MarkedFile]] = defaultdict(list)
    for file in marked:
        groups[key(file)].append(file)
    return groups


def natural_key(text: str) -> list[tuple[int, str]]:
    """A sort key that puts s2 before s10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"([0-9]+)", text) if part]


# ---- one file ----


class _Grader:
    """Opens and marks files; a copy is not marked again."""

    def __init__(self, key: PrivateKey) -> None:
        self._key = key
        self._known: dict[bytes, _MarkedFile | tuple[str, str]] = {}  # or why it is refused

    def __call__(self, file: SubmittedFile) -> _MarkedFile:
        data = file.read()
        digest = sha256(data).digest()
        if digest not in self._known:
            try:
                self._known[digest] = self._marked(data, digest)
            except Refused as refused:
                self._known[digest] = (str(refused), refused.class_name)
        known = self._known[digest]
        if isinstance(known, tuple):
            raise Refused(*known)
        notes = tuple(_misnamed(file.file, known.owner))
        return replace(known, file=file.file, account=account_of(file.file), notes=notes)

    def _marked(self, data: bytes, digest: bytes) -> _MarkedFile:
        submission = opened(data, self._key)
        try:
            variant = provenance.require(submission)
            return _MarkedFile(
                file="",
                account=(),
                owner=(submission.exercise, submission.student),
                run=submission.run,
                original=names_owner(submission),
                sealed_at=float(submission.journal[-1]["at"]),
                digest=digest,
                mark=mark(submission, variant),
            )
        except _MALFORMED as error:
            reason = sanitize(f"{type(error).__name__}: {error}")
            raise Refused(f"cannot be graded ({reason})") from None


def _misnamed(file: str, owner: Owner) -> Iterator[str]:
    """A note if the file's name is that of another submission: it may have been renamed."""
    known = "|".join(map(re.escape, catalogue.names()))
    last = file.rpartition("/")[2].rpartition(".")[0]
    named = re.search(rf"(?<![A-Za-z0-9])({known})-([A-Za-z0-9][A-Za-z0-9._@+-]*)", last)
    if named and named.groups() != owner:
        yield f"named as {sanitize(named[1])} of {sanitize(named[2])}"


# ---- owners ----


def _originals(run: Sequence[_MarkedFile], refusals: list[Refusal]) -> list[_MarkedFile]:
    """The files of a run from the student for whom it was started; the others are refused."""
    names = _by(run, lambda file: file.owner)
    if len(names) == 1:
        return list(run)
    ages = {owner: min(map(_age, files)) for owner, files in names.items()}
    oldest = min(ages.values())
    first = [owner for owner, age in ages.items() if age == oldest]
    original = first[0] if len(first) == 1 else None  # None if it cannot be decided
    labels = {owner: f"{_label(owner)} ({sanitize(files[0].file)})" for owner, files in names.items()}
    for owner, files in names.items():
        if owner != original:
            others = ", ".join(labels[other] for other in first[:3] if other != owner)
            why = sanitize(f"the same run was also submitted as {others}")
            refusals += [Refusal(sanitize(file.file), why) for file in files]
    if original is None:
        return []
    copies = ", ".join(labels[owner] for owner in names if owner != original)
    note = sanitize(f"its run was also submitted as {copies}, which is refused")
    return [replace(file, notes=(*file.notes, note)) for file in names[original]]


def _age(file: _MarkedFile) -> tuple[bool, float]:
    """A sort key with the original first: by the run's name, else by the clock."""
    return not file.original, file.sealed_at


def _latest(files: Sequence[_MarkedFile]) -> _MarkedFile:
    return sorted(files, key=lambda file: file.sealed_at)[-1]


def _best(files: Sequence[_MarkedFile]) -> _MarkedFile:
    return sorted(files, key=lambda file: (file.mark.points, file.sealed_at))[-1]


def _first(files: Sequence[_MarkedFile]) -> _MarkedFile:
    return min(files, key=lambda file: file.sealed_at)


COUNTS = {"latest": _latest, "best": _best, "first": _first}  # which of one account's submissions counts


def _settled(claims: Sequence[_MarkedFile], refusals: list[Refusal], count: str) -> _MarkedFile | None:
    """The file that counts for one student and exercise; the others are noted or refused."""
    accounts = _by(claims, lambda file: file.account)
    label = _label(claims[0].owner)
    home = _home(accounts, student=claims[0].owner[1])
    if home is None:
        who = sanitize(" and ".join(sorted(map(_who, accounts))))
        why = f"different runs of {label} were submitted by {who}: keep the student's own, and grade again"
        refusals += [Refusal(sanitize(file.file), why) for file in claims]
        return None
    own = accounts[home]
    known = {file.digest for file in own}
    chosen = COUNTS[count](own)
    others = [file for file in own if file is not chosen]
    for file in claims:
        if file.account == home:
            continue
        if file.digest in known:
            others.append(file)
        else:
            why = f"submitted by {_who(file.account)}; for {label} only files from {_who(home)} count"
            refusals.append(Refusal(sanitize(file.file), why))
    notes = [_other(file, chosen) for file in sorted(others, key=lambda file: file.sealed_at)]
    return replace(chosen, notes=(*chosen.notes, *notes), of=len(known))


def _other(file: _MarkedFile, chosen: _MarkedFile) -> str:
    """A note about a file that does not count: `older submission, 70 points: e04-ada.lvs`."""
    if file.digest == chosen.digest:
        return f"copy: {sanitize(file.file)}"
    when = "older" if file.sealed_at <= chosen.sealed_at else "later"
    return f"{when} submission, {file.mark.points} points: {sanitize(file.file)}"


def _home(accounts: Mapping[Account, Sequence[_MarkedFile]], student: str) -> Account | None:
    """The account whose files count, or None if it cannot be decided."""
    if len(accounts) == 1:
        return next(iter(accounts))
    named = own_account(accounts, student)
    if named is not None:
        return named
    runs = {account: {file.run for file in own} for account, own in accounts.items()}
    every = set().union(*runs.values())
    whole = [account for account in accounts if runs[account] == every]  # the others have no run of their own
    return min(
        whole,
        key=lambda account: (min(file.sealed_at for file in accounts[account]), not account),
        default=None,
    )


def _label(owner: Owner) -> str:
    exercise, student = owner
    return f"{sanitize(exercise)} of {sanitize(student)}"


def _who(account: Account) -> str:
    return sanitize("/".join(account) or "an unknown account")


def _entry(file: _MarkedFile, submitted: Iterable[_MarkedFile]) -> Entry:
    """`submitted` are all files from the same account."""
    others = sorted({other.owner[1] for other in submitted} - {file.owner[1]}, key=natural_key)
    notes = file.notes
    if others and is_of_platform(file.account, file.file):
        notes += (f"{_who(file.account)} also submitted for {', '.join(map(sanitize, others))}",)
    return Entry(sanitize(file.file), file.mark, notes, file.of)
