"""The compiled headers compared with Scapy's own."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from director.engines.scapy.headers import Header, IPHeader, TCPHeader, UDPHeader

HEADERS = (IPHeader, TCPHeader, UDPHeader)


def ids(value: Any) -> str:
    return str(getattr(value, "__name__", value))


@pytest.mark.parametrize(("header", "size"), [(IPHeader, 20), (TCPHeader, 20), (UDPHeader, 8)], ids=ids)
def test_header_length_is_the_rfcs(header: type[Header], size: int) -> None:
    assert header.size == size


@pytest.mark.parametrize("header", HEADERS, ids=ids)
@given(data=st.binary(min_size=20, max_size=20))
def test_reads_what_scapy_reads(header: type[Header], data: bytes) -> None:
    ours, theirs = header(data), header.layer(data[: header.size])
    for name in header.__annotations__:
        value = theirs.getfieldval(name)
        assert getattr(ours, name) == (value if isinstance(value, str) else int(value)), name


@pytest.mark.parametrize("header", HEADERS, ids=ids)
@given(data=st.binary(min_size=20, max_size=20), other=st.binary(min_size=20, max_size=20))
def test_writes_one_field_and_nothing_else(header: type[Header], data: bytes, other: bytes) -> None:
    for name in header.__annotations__:
        made, value = header(data), getattr(header(other), name)
        others = [field for field in header.__annotations__ if field != name]
        before = [getattr(made, field) for field in others]
        setattr(made, name, value)
        assert getattr(made, name) == value
        assert [getattr(made, field) for field in others] == before, name
        setattr(made, name, getattr(header(data), name))
        assert bytes(made) == data[: header.size], name


@pytest.mark.parametrize(("name", "value"), [("ttl", 256), ("flags", 8), ("frag", -1), ("len", 1 << 16)])
def test_a_number_that_does_not_fit_changes_nothing(name: str, value: int) -> None:
    header = IPHeader(bytes(20))
    with pytest.raises((ValueError, struct.error)):
        setattr(header, name, value)
    assert bytes(header) == bytes(20)
