"""What dh, sh and mh have in common: numbers made of addresses, the same in every process."""

from __future__ import annotations

from director.core.packet import ip_to_int

_GOLDEN_RATIO = 0x61C88647  # Knuth's multiplicative hashing; the factor of Linux's hash_32
_WORD = (1 << 64) - 1
_START = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)


def fold(address: str, bits: int, port: int = 0) -> int:
    """An IPv4 address, plus a port if that counts too, as `bits` bits; neighbours are spread apart."""
    return ((ip_to_int(address) + port) * _GOLDEN_RATIO % (1 << 32)) >> (32 - bits)


def siphash(value: int, key: int) -> int:
    """SipHash-1-3 of a number of 32 bits, with `key` for both halves of the key; of the 64 bits, the low 32.

    Source: Aumasson and Bernstein, "SipHash", 2012; Linux's hsiphash on 64-bit machines.
    """
    state = [half ^ key for half in _START]
    for word in (4 << 56 | value, None):  # the length in bytes is in the last word's top
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
    v0 = v0 + v1 & _WORD
    v2 = v2 + v3 & _WORD
    v1 = _turned(v1, 13) ^ v0
    v3 = _turned(v3, 16) ^ v2
    v0 = _turned(v0, 32) + v3 & _WORD
    v2 = v2 + v1 & _WORD
    v3 = _turned(v3, 21) ^ v0
    v1 = _turned(v1, 17) ^ v2
    state[:] = v0, v1, _turned(v2, 32), v3


def _turned(word: int, bits: int) -> int:
    return (word << bits | word >> 64 - bits) & _WORD
