"""Heartbeats on the wire: lines of text in a UDP datagram, signed with the key of authkeys.

    >>>
    t=status            or shutdown: the node has given up its resources and ends
    src=d1
    hg=5f3c21aa         hexadecimal: when the node started, in seconds
    seq=2f              hexadecimal: messages since then
    rsc=203.0.113.1     the groups it holds, each named after its first resource
    auth=1 c2a94b...    number of the key, and HMAC of all above
    <<<

The format is that of heartbeat's own messages, with fewer fields. Anyone on the network can send one: `read`
checks all of it, and raises Malformed.
"""

from __future__ import annotations

import hmac
import zlib
from dataclasses import dataclass

from availability.heartbeat.node import Heartbeat

MAX_SIZE = 1400  # bytes
_FIRST, _LAST = ">>>", "<<<"
_TYPES = {"status": False, "shutdown": True}
_FIELDS = ("t", "src", "hg", "seq", "rsc")
_DIGITS = frozenset("0123456789abcdef")
_MAX_DIGITS = 16


class Malformed(Exception):
    """Not a heartbeat of this cluster. The message is the reason, to follow "with"."""


@dataclass(frozen=True, slots=True)
class Key:
    """A line of authkeys. `method` is sha1, md5, or crc, which only detects damage."""

    number: int
    method: str
    secret: str = ""

    def sign(self, text: str) -> str:
        data = text.encode()
        if self.method == "crc":
            return f"{zlib.crc32(data):08x}"
        return hmac.new(self.secret.encode(), data, self.method).hexdigest()


def write(beat: Heartbeat, key: Key | None) -> bytes:
    kind = "shutdown" if beat.is_last else "status"
    started, number = beat.age
    values = (kind, beat.node, f"{started:x}", f"{number:x}", " ".join(sorted(beat.held)))
    lines = [_FIRST, *(f"{name}={value}" for name, value in zip(_FIELDS, values, strict=True))]
    text = _joined(lines)
    if key:
        text += f"auth={key.number} {key.sign(text)}\n"
    return f"{text}{_LAST}\n".encode()


def read(data: bytes, key: Key | None) -> Heartbeat:
    """Decode a datagram. Raises Malformed."""
    try:
        lines = data.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise Malformed("characters that are not ASCII") from None
    if len(data) > MAX_SIZE or lines[:1] != [_FIRST] or lines[-2:] != [_LAST, ""]:
        raise Malformed(f"{len(data)} bytes that are not a message")
    signature = lines[-3] if lines[-3].startswith("auth=") else ""
    signed = lines[:-3] if signature else lines[:-2]
    if key and not hmac.compare_digest(signature, f"auth={key.number} {key.sign(_joined(signed))}"):
        raise Malformed("a wrong signature, or none")
    parts = [line.partition("=") for line in signed[1:]]
    if tuple(name for name, _, _ in parts) != _FIELDS:
        raise Malformed("fields other than t, src, hg, seq and rsc")
    kind, node, started, number, held = (value for _, _, value in parts)
    if kind not in _TYPES:
        raise Malformed("a type that is neither status nor shutdown")
    return Heartbeat(node, (_number(started), _number(number)), frozenset(held.split()), _TYPES[kind])


def _joined(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _number(word: str) -> int:
    if not 1 <= len(word) <= _MAX_DIGITS or not set(word) <= _DIGITS:
        raise Malformed("a number that is not hexadecimal")
    return int(word, 16)
