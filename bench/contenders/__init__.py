"""What can stand between client and server. A file of this package adds its contenders by a tuple CONTENDERS.

yardsticks.py   no director at all, a plain router, and the least that any BPF program costs
directors.py    our director with each of its engines; kernel IPVS is one of them
others.py       what people use instead: nftables, HAProxy, nginx
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache

from bench.testbed import Testbed
from director.core.family import IPV4, Family
from labs.methods import METHODS

_ORDER = (
    *("direct", "redirect", "router"),
    *("ipvs", "ebpf", "ebpf_short_cut", "nftables", "haproxy", "nginx", "scapy"),
)


def _nothing() -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Contender:
    name: str
    about: str  # one line for the table
    set_up: Callable[[Testbed], object]  # start it on a testbed; may raise LabError
    methods: tuple[str, ...] = METHODS  # that it can forward by; () for the direct path
    family: Family = IPV4
    offload: bool = True  # False: the hosts compute their checksums in software
    obstacle: Callable[[], str] = _nothing  # why it can't run on this machine; empty where it can
    lacks: Mapping[str, str] = field(default_factory=dict)  # measures without a value, and why


@cache
def _all() -> dict[str, Contender]:
    """By name: those of `_ORDER`, then the others in alphabetical order."""
    modules = (
        importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)
    )
    known = {contender.name: contender for module in modules for contender in module.CONTENDERS}
    order = [*(name for name in _ORDER if name in known), *sorted(known.keys() - set(_ORDER))]
    return {name: known[name] for name in order}


def names() -> tuple[str, ...]:
    """In the order of the tables."""
    return tuple(_all())


def usual() -> tuple[str, ...]:
    """Those that are measured unless others are asked for: IPv4's."""
    return of_family(4)


def of_family(family: int) -> tuple[str, ...]:
    """Those of an IP version, 4 or 6, or of both (46)."""
    return tuple(name for name, contender in _all().items() if str(contender.family.version) in str(family))


def get(name: str) -> Contender:
    return _all()[name]
