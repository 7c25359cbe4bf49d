"""What dh, sh and mh have in common: numbers made of addresses, the same in every process."""

from __future__ import annotations

from hashlib import blake2b

from director.core.addresses import number

_GOLDEN_RATIO = 0x61C88647  # Knuth's multiplicative hashing; the factor of Linux's hash_32


def fold(address: str, bits: int, port: int = 0) -> int:
    """An IPv4 address, plus a port if that counts too, as `bits` bits; neighbours are spread apart."""
    return ((number(address) + port) * _GOLDEN_RATIO % (1 << 32)) >> (32 - bits)


def digest(text: str, salt: bytes) -> int:
    """A number of 64 bits, different for each `salt` (up to 16 bytes)."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8, salt=salt).digest(), "big")
