"""Malformed frames."""

from __future__ import annotations

import random
import struct


def malformed(frame: bytes, chance: random.Random) -> bytes:
    """A frame that is truncated, replaced by noise, or has some bytes changed."""
    kind = chance.random()
    if kind < 0.2:
        return frame[: chance.randrange(len(frame) + 1)]
    if kind < 0.25:
        return frame[:14] + chance.randbytes(chance.randrange(80))
    changed = bytearray(frame)
    for _ in range(chance.randrange(1, 5)):
        changed[chance.randrange(14, len(changed))] = chance.choice((0, 255, chance.randrange(256)))
    return bytes(changed)


def with_correct_checksum(frame: bytes) -> bytes:
    """With a correct IP header checksum, so that damage after it is examined."""
    header = (frame[14] & 15) * 4 if len(frame) > 14 else 0
    if header < 20 or len(frame) < 14 + header:
        return frame
    cleared = frame[14:24] + b"\0\0" + frame[26 : 14 + header]
    total = sum(struct.unpack(f"!{header // 2}H", cleared))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return frame[:24] + struct.pack("!H", ~total & 0xFFFF) + frame[26:]


_NEXT_HEADERS = (0, 6, 17, 41, 43, 44, 50, 51, 58, 59, 60, 135, 4, 255)
_LENGTHS = (0, 1, 2, 7, 8, 20, 39, 40, 1280, 65535)


def malformed_ipv6(frame: bytes, chance: random.Random) -> bytes:
    """A frame of IPv6 whose extension headers or lengths do not match what follows, or damaged otherwise."""
    kind = chance.random()
    if kind < 0.4 or len(frame) < 54:
        return malformed(frame, chance)
    if kind < 0.5:
        return frame[:18] + struct.pack("!H", chance.choice((*_LENGTHS, chance.randrange(1500)))) + frame[20:]
    protocol, body = frame[20], frame[54:]
    for _ in range(chance.randrange(1, 10)):
        following, protocol = protocol, chance.choice(_NEXT_HEADERS)
        size = chance.choice((0, 0, 0, 1, 2, 255))
        rest = chance.randbytes(6) if chance.random() < 0.5 else b"\xc2\4\0\1\0\0"
        body = bytes([following, size]) + rest + body
    length = len(body) if chance.random() < 0.8 else chance.randrange(65536)
    whole = frame[:18] + struct.pack("!HB", length & 0xFFFF, protocol) + frame[21:54] + body
    return malformed(whole, chance) if chance.random() < 0.3 else whole
