"""IPv4 addresses as numbers, where a network or a hash has to be reckoned."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address


@lru_cache(maxsize=4096)
def number(address: str) -> int:
    """The 32 bits of an address in dotted decimal; 0 for what is none."""
    try:
        return int(IPv4Address(address))
    except AddressValueError:
        return 0
