"""A submission: the one file a student hands in, sealed for the teacher of a class.

    LVS-LAB EVIDENCE 1
    {"class": "...", "exercise": "e04", "student": "17"}
    the content, in a sealed box (X25519, XSalsa20-Poly1305), in base64

Without the class's private key the file can neither be read nor changed: a changed file does not open. The
second line is for people only; the content repeats it.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from base64 import b64decode, b64encode
from dataclasses import dataclass, field, fields
from functools import cache
from secrets import token_hex
from typing import Any

from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, PublicKey, SealedBox

from classroom.keys import PRACTICE, key_name, private_key
from director.formats.dataclass_json import load
from labs.errors import LabError, Unable

MARK = "LVS-LAB EVIDENCE 1"
SUFFIX = ".lvs"
LARGEST = 2**20  # bytes of a file, and of its content; normal are 30,000 to 80,000, plus 200 for each check
_MAX_TOKENS = 100_000  # brackets, commas and colons in the content; normal are 3,000 to 8,000
_KEY_NAME = re.compile(r"[0-9a-f]{8}", re.ASCII)
_MAX_SECOND_LINE = 500  # characters
_NONCE = 16  # characters of a run's name
_MAX_SHOWN = 300  # characters of foreign text in a message
_LATEST = 1e11  # seconds since 1970, the largest credible time


class Refused(LabError):
    """The file is not a submission, was changed, or belongs to another student; the message says which.

    `class_name` is the class for which it was sealed, if that is not the teacher's.
    """

    def __init__(self, reason: str, class_name: str = "") -> None:
        super().__init__(reason)
        self.class_name = class_name


@dataclass(frozen=True, slots=True)
class Submission:
    """A submission: `seen` are the probes' last observations, by probe; `state` is the doctor's LabState.

    `run` identifies the session, `facts` are those of its variant. These fields, and the names of probes and
    facts, are the file format, which older archives write too.
    """

    exercise: str
    student: str
    seen: dict[str, Any]
    state: dict[str, Any]
    journal: list[dict[str, Any]]
    diagnosis: dict[str, str] = field(default_factory=dict)
    run: str = ""
    facts: dict[str, str] = field(default_factory=dict)


def new_run(exercise: str, student: str) -> str:
    """A unique name for a session, which proves its owner."""
    nonce = token_hex(_NONCE // 2)
    return nonce + _owner_mark(nonce, exercise, student)


def names_owner(submission: Submission) -> bool:
    """Whether the session was started for this student; False also for names from older archives."""
    nonce, whose = submission.run[:_NONCE], submission.run[_NONCE:]
    return whose == _owner_mark(nonce, submission.exercise, submission.student)


def _owner_mark(nonce: str, exercise: str, student: str) -> str:
    return hashlib.sha256("\0".join((nonce, exercise, student)).encode()).hexdigest()[:16]


def sealed(submission: Submission, key: PublicKey) -> str:
    """The file's text. Raises Unable if it would be too large to open."""
    content = {item.name: getattr(submission, item.name) for item in fields(submission)}
    text = json.dumps(content, sort_keys=True).encode()
    if len(text) > LARGEST or _tokens(text) > _MAX_TOKENS:
        raise Unable(
            f"The submission is too large ({len(text) // 1024} kB, at most {LARGEST // 1024}): start the "
            "exercise again, repair it, and hand it in."
        )
    box = b64encode(SealedBox(key).encrypt(zlib.compress(text, 6))).decode()
    return f"{MARK}\n{_second_line(submission, key)}\n{box}\n"


def opened(data: bytes, key: PrivateKey) -> Submission:
    """The submission in a file. Raises Refused, even if a single byte was changed."""
    second, box = _lines(data)
    submission = _read(_unsealed(box, second, key))
    if second != _second_line(submission, key.public_key).encode():
        inside = f"{sanitize(submission.exercise, 40)} of {sanitize(submission.student, 64)}"
        raise Refused(f"its second line was changed: the content is {inside}")
    return submission


def _second_line(submission: Submission, key: PublicKey) -> str:
    about = {"class": key_name(key), "exercise": submission.exercise, "student": submission.student}
    return json.dumps(about)


def _lines(data: bytes) -> tuple[bytes, bytes]:
    """The second and third line; mail programs and Windows may have changed line ends."""
    if len(data) > LARGEST:
        raise Refused("too large for a submission")
    mark, *lines = data.replace(b"\r\n", b"\n").split(b"\n", 3)
    if mark != MARK.encode():
        raise Refused("not a submission, or its first line was changed")
    if len(lines) < 3:
        raise Refused("cut short: the end of the file is missing")
    if lines[2]:
        raise Refused("changed after it was written: something was added at the end")
    return lines[0], lines[1]


def _unsealed(line: bytes, second: bytes, key: PrivateKey) -> bytes:
    """The content of the box; the second line is used only to explain why it does not open."""
    try:
        box = b64decode(line, validate=True)
        if b64encode(box) != line:  # unused bits of the last letter must not vary
            raise ValueError
        return SealedBox(key).decrypt(box)
    except (CryptoError, ValueError, TypeError):
        given, expected = _class_in(second), key_name(key.public_key)
        raise Refused(_why_closed(given, expected), given if given != expected else "") from None


def _why_closed(given: str, expected: str) -> str:
    if given in ("", expected):
        return "changed or cut short after it was written: it cannot be decrypted"
    if given == _practice_name():
        return "sealed with the practice key, not with this class's archive"
    return f"sealed for another class ({given}, not {expected}): give the secret of that class"


@cache
def _practice_name() -> str:
    return key_name(private_key(PRACTICE).public_key)


def _class_in(second: bytes) -> str:
    """The class named in a second line, or ""."""
    if len(second) > _MAX_SECOND_LINE:
        return ""
    try:
        about = json.loads(second)
    except (ValueError, RecursionError):
        return ""
    given = str(about.get("class")) if isinstance(about, dict) else ""
    return given if _KEY_NAME.fullmatch(given) else ""


def _read(content: bytes) -> Submission:
    try:
        text = _inflated(content)
        if _tokens(text) > _MAX_TOKENS:
            raise Refused("too large for a submission")
        submission = load(Submission, json.loads(text))
        if all(map(_is_entry, submission.journal)):
            return submission
    except (ValueError, RecursionError, zlib.error):
        pass
    raise Refused("decrypted, but not a valid submission")


def _tokens(text: bytes) -> int:
    """An upper bound of the number of JSON values in a text; each takes up to 100 bytes of memory."""
    return sum(map(text.count, (b"[", b"{", b",", b":")))


def _inflated(data: bytes) -> bytes:
    inflate = zlib.decompressobj()
    content = inflate.decompress(data, LARGEST + 1)
    if len(content) > LARGEST:
        raise Refused("too large for a submission")
    if not inflate.eof:
        raise ValueError("cut short")
    return content


def _is_entry(entry: dict[str, Any]) -> bool:
    """Whether marking can use a journal entry."""
    if not isinstance(entry.get("what"), str):
        return False
    at = entry.get("at")
    return isinstance(at, (int, float)) and 0 <= at < _LATEST


def sanitize(text: object, most: int = _MAX_SHOWN) -> str:
    """Foreign text that is safe to print: one line of bounded length, with `?` for unprintable characters."""
    line = re.sub(r"\s+", " ", str(text)[: 2 * most]).strip()
    shown = "".join(letter if letter.isprintable() else "?" for letter in line)
    return shown if len(shown) <= most else f"{shown[: most - 3]}..."
