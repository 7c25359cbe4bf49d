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
