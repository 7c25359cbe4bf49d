"""Structs as bytes, and that layouts.py and maps.h agree."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from director.core.family import IPV4, canonical
from director.core.packet import TCP, UDP, Endpoint
from director.core.persistence import TemplateKey
from director.core.real_server import Method
from director.core.states import State
from director.engines.ebpf import compiler, layouts
from director.engines.ebpf.layouts import Structs

MAPS_H = Path(compiler.__file__).parent / "program" / "maps.h"
ports = st.integers(0, 65535)


def two_endpoints(version: Literal[4, 6]) -> st.SearchStrategy[tuple[Endpoint, Endpoint]]:
    ends = st.builds(Endpoint, st.ip_addresses(v=version).map(str).map(canonical), ports)
    return st.tuples(ends, ends)


pairs = st.one_of(two_endpoints(4), two_endpoints(6))
protocols = st.sampled_from([TCP, UDP])


@given(protocols, pairs)
def test_flow_keys_round_trip(protocol: int, ends: tuple[Endpoint, Endpoint]) -> None:
    source, destination = ends
    assert layouts.parse_flow_key(layouts.flow_key(protocol, source, destination)) == (
        protocol,
        source,
        destination,
    )


@given(st.sampled_from([0, TCP, UDP]), pairs)
def test_template_keys_round_trip(protocol: int, ends: tuple[Endpoint, Endpoint]) -> None:
    key = TemplateKey(protocol, ends[0].address, ends[1])
    assert layouts.parse_template_key(layouts.template_key(key)) == key


@given(
    st.sampled_from(State), st.sampled_from(Method), st.sampled_from([0, layouts.CORE_OWNED, layouts.REPLY])
)
def test_flags_hold_state_and_method(state: State, method: Method, flags: int) -> None:
    entry = layouts.Entry(1, layouts.make_flags(state, method, flags), 2, 3, bytes(4), bytes(2), 0, bytes(24))
    assert (entry.state, entry.method) == (state, method)
    assert layouts.with_state(entry.flags, State.CLOSE) & ~15 == entry.flags & ~15
    assert layouts.Entry.from_bytes(bytes(entry)) == entry


def test_a_connection_takes_128_bytes_as_in_the_paper() -> None:
    """In VS-NAT, with its two entries."""
    assert 2 * (layouts.OF[IPV4].flow_key.size + layouts.OF[IPV4].entry.size) == 128


@pytest.mark.parametrize("name", Structs.__slots__)
def test_structs_of_the_families_have_different_lengths(name: str) -> None:
    assert len({getattr(structs, name).size for structs in layouts.OF.values()}) == 2


def test_constants_are_those_of_the_program() -> None:
    """By name: flags, methods and types of events."""
    text = MAPS_H.read_text()
    defined = {
        name: int(value, 0)
        for name, value in re.findall(r"^#define (\w+)\s+(0x\w+|\d+)\b", text, re.MULTILINE)
    }
    for name in ("REPLY", "UPCALL", "CORE_OWNED", "FAST_REPLY", "REMOVED", "SYNCED", "MAX_PACKETS"):
        assert defined[name] == getattr(layouts, name)
    for name in (
        "HAS_WILDCARDS",
        "UPCALL_UNSOLICITED",
        "EMIT_EVENTS",
        "CLEAR_DF",
        "UPCALL_NEW",
        "UPCALL_SYN",
        "REDIRECT_PEER",
        "EXPIRE_QUIESCENT",
        "SEND_SYNC",
        "STAND_BY",
    ):
        assert defined[name] == getattr(layouts, name)
    enums = {
        name: members.split(", ")
        for name, members in re.findall(r"^enum (\w+) \{ ([A-Z_, ]+) \}", text, re.MULTILINE)
    }
    assert enums["method"] == [method.name for method in layouts.METHODS]
    assert [getattr(layouts, name) for name in enums["event_type"]] == [0, 1, 2, 3, 4]


def test_states_are_numbered_as_in_the_program() -> None:
    text = MAPS_H.read_text()
    (members,) = re.findall(r"^enum state \{ (.*) \};", text, re.MULTILINE)
    for name, number in re.findall(r"(\w+) = (\d+)", members):
        assert layouts.STATES[int(number)].name == name.removesuffix("_STATE")
