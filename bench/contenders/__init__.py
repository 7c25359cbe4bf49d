"""What can stand between client and server: one file per contender; adding the file adds the contender.

A contender's file has

    ABOUT        one line: what it is
    METHODS      in which of nat, tun and dr it can work; () for the direct path
    OFFLOAD      False if the hosts' network cards must compute checksums in software
    cannot()     why it can't run on this machine; empty where it can
    set_up()     lets it work on a testbed
    LACKS        optional: the measures that it has nothing for, and why: {name: reason}
"""

from __future__ import annotations

import importlib
from functools import cache
from types import ModuleType

from bench import _files

ORDER = (
    *("direct", "redirect", "router"),
    *("ipvs", "ebpf", "ebpf_short_cut", "nftables", "haproxy", "nginx", "scapy"),
)


@cache
def names() -> tuple[str, ...]:
    """In the order in which a table shows them; the ones that it does not know come last."""
    return _files.names(__path__, ORDER)


def load(name: str) -> ModuleType:
    return importlib.import_module(f"{__name__}.{name}")
