"""The compiled headers compared with Scapy's own."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from director.engines.scapy.headers import Header, IPHeader, TCPHeader, UDPHeader

HEADERS = (IPHeader, TCPHeader, UDPHeader)
FIELDS = [(header, name) for header in HEADERS for name in header.__annotations__]


def ids(value: Any) -> str:
    return str(getattr(value, "__name__", value))


@pytest.mark.parametrize(("header", "size"), [(IPHeader, 20), (TCPHeader, 20), (UDPHeader, 8)], ids=ids)
def test_header_length_is_the_rfcs(header: type[Header], size: int) -> None:
    assert header.size == size


@pytest.mark.parametrize(("header", "name"), FIELDS, ids=ids)
@given(data=st.binary(min_size=20, max_size=20))
def test_reads_what_scapy_reads(header: type[Header], name: str, data: bytes) -> None:
    theirs = header.layer(data[: header.size])
    value = theirs.getfieldval(name)
    assert getattr(header(data), name) == (value if isinstance(value, str) else int(value))


@pytest.mark.parametrize(("header", "name"), FIELDS, ids=ids)
@given(data=st.binary(min_size=20, max_size=20), other=st.binary(min_size=20, max_size=20))
def test_writes_one_field_and_nothing_else(
    header: type[Header], name: str, data: bytes, other: bytes
) -> None:
    ours, value = header(data), getattr(header(other), name)
    others = [field for field in header.__annotations__ if field != name]
    before = [getattr(ours, field) for field in others]
    setattr(ours, name, value)
    assert getattr(ours, name) == value
    assert [getattr(ours, field) for field in others] == before
    setattr(ours, name, getattr(header(data), name))
    assert bytes(ours) == data[: header.size]


@pytest.mark.parametrize(("name", "value"), [("ttl", 256), ("flags", 8), ("frag", -1), ("len", 1 << 16)])
def test_a_number_that_does_not_fit_changes_nothing(name: str, value: int) -> None:
    header = IPHeader(bytes(20))
    with pytest.raises((ValueError, struct.error)):
        setattr(header, name, value)
    assert bytes(header) == bytes(20)
