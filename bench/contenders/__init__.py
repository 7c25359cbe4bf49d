"""The systems compared, each between client and server. A file adds its own in a tuple CONTENDERS.

yardsticks.py   no director, a plain router, and the smallest possible BPF program
directors.py    our director with each of its engines, one of which is kernel IPVS
others.py       alternatives: nftables, HAProxy, nginx
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
    methods: tuple[str, ...] = METHODS  # the forwarding methods it supports; () for the direct path
    family: Family = IPV4
    offload: bool = True  # False: the hosts compute their checksums in software
    obstacle: Callable[[], str] = _nothing  # why it can't run on this machine, or ""
    lacks: Mapping[str, str] = field(default_factory=dict)  # measures without a value, and why


@cache
def _all() -> dict[str, Contender]:
    """By name: first `_ORDER`, then the others in alphabetical order."""
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
    """The contenders that are measured by default: those of IPv4."""
    return of_family(4)


def of_family(family: int) -> tuple[str, ...]:
    """The contenders of IPv4 (4), IPv6 (6) or both (46)."""
    return tuple(name for name, contender in _all().items() if str(contender.family.version) in str(family))


def get(name: str) -> Contender:
    return _all()[name]
