"""Whose an address is, by what the kernel lets a socket do with it."""

from __future__ import annotations

import pytest

from director.core.errors import BadValue
from director.engines import interfaces


@pytest.mark.parametrize(
    ("address", "local"), [("127.0.0.1", True), ("127.3.2.1", True), ("198.51.100.77", False)]
)
def test_an_address_of_this_machine(address: str, local: bool) -> None:
    assert interfaces.is_local(address) is local


def test_the_broadcast_address_of_a_network_is_nobodys() -> None:
    with pytest.raises(BadValue, match=r"that of one host, got '127\.255\.255\.255'"):
        interfaces.is_local("127.255.255.255")
