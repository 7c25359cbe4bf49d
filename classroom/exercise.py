"""What an exercise is made of, as values: the lab it begins with, its equivalent faults, its checks.

Nothing here knows a student: hosts are named by words that `case.py` replaces.

    {server}   the real server that the student's id has picked       servers   all real servers
    {other}    the next one                                           everyone  every host
    d, r0, c1  the host of that name
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labs.checks.result import Check
from labs.plan import Plan

if TYPE_CHECKING:  # which need this file
    from classroom.variants import Variant
    from labs.run.running import RunningLab

SERVERS, EVERYONE = "servers", "everyone"
SERVER, OTHER = "{server}", "{other}"

Seen = Mapping[str, Any]  # what probes have seen, by the probe's name; JSON
Judge = Callable[[Seen, "Variant"], Check]
Change = Callable[[Plan, "Variant"], Plan]
Prepare = Callable[["RunningLab", "Variant"], object]
Files = Callable[["Variant"], Mapping[str, str]]  # name: text

WORK = "work"  # the folder, inside that of the run, with what a student fills in or writes


@dataclass(frozen=True, slots=True)
class Edit:
    """A set-up script as somebody has changed it: lines with `find` in them become `put`.

    Without `put` they are gone, without `find` it is added at the end; `whole`, nothing else is left.
    Both may hold names of `Case.facts` in braces, and `put` {line}, the line as it was, and {work},
    the folder of the student's files. `script` is a name such as `realserver.sh`.
    """

    on: str
    script: str
    find: str = ""
    put: str = ""
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Fault:
    """One of the equivalent faults of an exercise; `methods`: in which labs it can be, empty for all.

    `change` is for what no script says, such as one machine more.
    """

    edits: tuple[Edit, ...] = ()
    methods: tuple[str, ...] = ()
    change: Change | None = None


@dataclass(frozen=True, slots=True)
class Exercise:
    """`methods`: the labs that it can be played in. `base` and `change` make the lab that works,
    a fault is added to that; `prepare` does in the running lab what scripts can't. `files` are what
    the student fills in or writes: they are there before the lab is built. An exercise that has
    nothing to diagnose has no form to be filled in. `userspace_switches` see packets as bytes: what
    kernels tell one another of a packet is lost there.
    """

    title: str
    methods: tuple[str, ...]
    checks: tuple[Judge, ...]
    servers: tuple[int, ...] = (3, 4)
    schedulers: tuple[str, ...] = ("rr",)
    base: tuple[Edit, ...] = ()
    change: Change | None = None
    prepare: Prepare | None = None
    files: Files | None = None
    diagnosis: bool = True
    captures: bool = False
    userspace_switches: bool = False


@dataclass(frozen=True, slots=True)
class Repair:
    """Commands that mend it, typed on a host (or on several: the words above)."""

    on: str
    commands: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Solution:
    """What only teachers have, one for each fault: the right answers, what fails, and a way to mend it.

    `host` is a word as above. `fails` are names of checks, `evidence` those of diagnosis.EVIDENCE
    that settle it.
    """

    fails: tuple[str, ...]
    repairs: tuple[Repair, ...]
    cause: str = ""
    host: str = ""
    evidence: tuple[str, ...] = ()
