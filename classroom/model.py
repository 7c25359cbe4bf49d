"""The data of an exercise, and a student's variant of it.

An exercise is independent of the student: it names hosts by words that `Variant.hosts` resolves.

    {server}   the real server drawn for this student             servers    all real servers
    {other}    the next one                                       directors  one director, or both
                                                                  everyone   every host
    d, r0, c1  the host of that name; with two directors (the lab `ha`), these are d1 and d2
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any, TypeVar

from director.formats.ipvsadm_words import FORWARDING
from labs.checks.result import Check
from labs.methods import METHODS, TITLES
from labs.network.addresses import Addressing
from labs.network.topology import Role
from labs.plan import Plan, plan_for
from labs.run.options import HaOptions, LabOptions
from labs.run.running import RunningLab

SERVERS, DIRECTORS, EVERYONE = "servers", "directors", "everyone"
SERVER, OTHER = "{server}", "{other}"
WORKDIR = "work"  # folder, inside the run's, with the files a student fills in or writes

T = TypeVar("T")
_FACT = re.compile(r"\{(\w+)\}")

Observations = Mapping[str, Any]  # what the probes returned, by the probe's name; JSON
Judge = Callable[[Observations, "Variant"], Check]
Change = Callable[[Plan, "Variant"], Plan]
Prepare = Callable[[RunningLab, "Variant"], object]
Files = Callable[["Variant"], Mapping[str, str]]  # name: text


def lab_title(method: str, family: int = 4) -> str:
    """The lab's title for people: VS-NAT, or lab-NAME if it is not a method's, and whether it is in IPv6."""
    return TITLES.get(method, f"lab-{method}") + (" in IPv6" if family == 6 else "")


@dataclass(frozen=True, slots=True)
class Edit:
    """A change to a set-up script: `put` replaces every line that contains `find`.

    An empty `put` deletes those lines, an empty `find` appends `put`; `whole` replaces the script.
    Both may contain names of `Variant.facts` in braces; `put` may also contain {line}, the original
    line, and {work}, the folder of the student's files. `script` is a name such as `realserver.sh`.
    """

    on: str
    script: str
    find: str = ""
    put: str = ""
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Fault:
    """One of an exercise's equivalent faults; `methods` limits it to some labs (empty: all).

    `change` makes changes that scripts cannot, such as adding a host.
    """

    edits: tuple[Edit, ...] = ()
    methods: tuple[str, ...] = ()
    change: Change | None = None


@dataclass(frozen=True, slots=True)
class Exercise:
    """An exercise. `methods`: the labs that it can run in; `family`: the IP version of their addresses.

    `base` and `change` turn a lab into the exercise's working lab, to which a fault is added; `prepare` makes
    changes to the running lab that scripts cannot. `files` are written before the lab is built, for the
    student to complete. Without `diagnosis` there is no form to fill in. `userspace_switches` handle packets
    as bytes, and so lose the kernel's per-packet metadata. It has no `view` if that would show the answer.
    """

    methods: tuple[str, ...]
    checks: tuple[Judge, ...]
    family: int = 4
    servers: tuple[int, ...] = (3, 4)
    schedulers: tuple[str, ...] = ("rr",)
    base: tuple[Edit, ...] = ()
    change: Change | None = None
    prepare: Prepare | None = None
    files: Files | None = None
    diagnosis: bool = True
    captures: bool = False
    view: bool = True
    userspace_switches: bool = False


@dataclass(frozen=True, slots=True)
class Repair:
    """Commands that repair the fault, typed on a host (or on several: the words above)."""

    on: str
    commands: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Solution:
    """For teachers only, one per fault: the right diagnosis, the checks that fail, and one repair.

    `host` is a word as above; `fails` are names of check functions; any of `evidence`, keys of
    diagnosis.EVIDENCE, is accepted.
    """

    fails: tuple[str, ...]
    repairs: tuple[Repair, ...]
    cause: str = ""
    host: str = ""
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True)
class Variant:
    """A student's variant of an exercise. `fault` is None in the working lab; `number` is its index."""

    exercise: str
    student: str
    definition: Exercise
    method: str
    servers: int
    scheduler: str
    addresses: Addressing
    server: str
    other: str
    number: int | None
    fault: Fault | None

    @property
    def options(self) -> LabOptions:
        kind = LabOptions if self.method in METHODS else HaOptions
        return kind(
            servers=self.servers,
            scheduler=self.scheduler,
            family=self.definition.family,
            addresses=self.addresses,
        )

    @cached_property
    def plan(self) -> Plan:
        """The lab with the changes of exercise and fault, before their edits of scripts."""
        plan = plan_for(self.method, self.options)
        for change in (self.definition.change, self.fault.change if self.fault else None):
            plan = change(plan, self) if change else plan
        return plan

    @cached_property
    def facts(self) -> Mapping[str, str]:
        """The words that texts, edits and repairs may contain in braces: addresses, and the hosts drawn."""
        plan = plan_for(self.method, self.options)
        nodes = {node.name: node for node in plan.topology.nodes}
        servers = {server.name: server for server in plan.servers}
        server, other = servers[self.server], servers[self.other]
        return {
            **{name: node.address for name, node in nodes.items()},
            "student": self.student,
            "vip": plan.vip,
            "dip": plan.addresses.dip,
            "inside": plan.topology.director.interfaces[-1].address,
            "director": plan.topology.director.name,
            "method": self.method,
            "flag": FORWARDING[plan.method.value],
            "scheduler": self.scheduler,
            "server": self.server,
            "rip": server.address,
            "port": str(server.http_port),
            "interface": f"{self.server}-eth0",
            "server_mac": nodes[self.server].interfaces[0].mac,
            "other": self.other,
            "other_rip": other.address,
            "other_port": str(other.http_port),
            "count": str(len(plan.servers)),
            "clients": ", ".join(node.name for node in plan.nodes(Role.CLIENT)),
        }

    def filled(self, text: str) -> str:
        """`text` with its facts filled in; other braces stay."""
        return _FACT.sub(lambda found: self.facts.get(found[1], found[0]), text)

    def choose(self, options: Sequence[T], purpose: str) -> T:
        """One of `options`, drawn from the student's id for `purpose`."""
        return drawn(options, self.exercise, self.student, purpose)

    def hosts(self, word: str) -> tuple[str, ...]:
        """The hosts that a word in an exercise means."""
        if word == SERVERS:
            return tuple(server.name for server in self.plan.servers)
        if word == DIRECTORS:
            return tuple(node.name for node in self.plan.topology.directors)
        if word == EVERYONE:
            return tuple(node.name for node in self.plan.topology.nodes)
        return ({SERVER: self.server, OTHER: self.other}.get(word, word),)


def drawn(options: Sequence[T], *words: str) -> T:
    """One of `options`, by a digest of `words`, so that adding a draw changes no other."""
    digest = sha256("\0".join(words).encode()).digest()
    return options[int.from_bytes(digest[:8], "big") % len(options)]
