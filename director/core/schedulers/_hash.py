"""What dh, sh and mh share: hashes of addresses, the same in every process."""

from __future__ import annotations

from functools import lru_cache

from director.core.family import ip_to_int

_GOLDEN_RATIO = 0x61C88647  # Knuth's multiplicative hashing; the factor of Linux's hash_32
_MASK = (1 << 64) - 1
_START = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)


@lru_cache(maxsize=4096)
def word(address: str) -> int:
    """An address as one number of 32 bits: the four words of IPv6 are combined by exclusive or."""
    number = ip_to_int(address)
    while number >> 32:
        number = number >> 32 ^ number & 0xFFFFFFFF
    return number


def fold(address: str, bits: int, port: int = 0) -> int:
    """An address, plus a port if that counts too, as `bits` bits; similar addresses are spread apart."""
    return ((word(address) + port) * _GOLDEN_RATIO % (1 << 32)) >> (32 - bits)


def siphash(value: int, key: int) -> int:
    """SipHash-1-3 of the low 32 bits of a number, with `key` as both halves of the key.

    Of the 64 bits, only the low 32 are returned.

    Source: Aumasson and Bernstein, "SipHash", 2012; Linux's hsiphash on 64-bit machines.
    """
    state = [half ^ key for half in _START]
    for word in (4 << 56 | value & 0xFFFFFFFF, None):  # the top byte of the last word is the length in bytes
        if word is None:
            state[2] ^= 0xFF
            for _ in range(3):
                _round(state)
        else:
            state[3] ^= word
            _round(state)
            state[0] ^= word
    return (state[0] ^ state[1] ^ state[2] ^ state[3]) & 0xFFFFFFFF


def _round(state: list[int]) -> None:
    v0, v1, v2, v3 = state
    v0 = v0 + v1 & _MASK
    v2 = v2 + v3 & _MASK
    v1 = _rotate(v1, 13) ^ v0
    v3 = _rotate(v3, 16) ^ v2
    v0 = _rotate(v0, 32) + v3 & _MASK
    v2 = v2 + v1 & _MASK
    v3 = _rotate(v3, 21) ^ v0
    v1 = _rotate(v1, 17) ^ v2
    state[:] = v0, v1, _rotate(v2, 32), v3


def _rotate(word: int, bits: int) -> int:
    return (word << bits | word >> 64 - bits) & _MASK
