"""What is handed in: one file, sealed for the teacher of a class.

    LVS-LAB EVIDENCE 1
    {"class": "...", "exercise": "e04", "student": "17"}
    the content, in a sealed box (X25519, XSalsa20-Poly1305), in base64

The key pair of a class follows from its secret (scrypt), which only the teacher has; a student's archive
has the public key. So whoever has the file can neither read nor change it, and a changed one does not open.
The second line tells people what it is; what counts is said again inside.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from base64 import b64decode, b64encode
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from secrets import token_hex
from typing import Any

from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, PublicKey, SealedBox

from classroom.sanitize import sanitize
from director.formats.dataclass_json import load
from labs.errors import BadRequest, LabError, Unable

MARK = "LVS-LAB EVIDENCE 1"
SUFFIX = ".lvs"
PRACTICE = "practice"  # the secret where there is no class: everybody knows it
PUBLIC = Path(__file__).resolve().parent / "class.pub"  # there in a student's archive
LARGEST = 2**20  # bytes of a file, and of its content; a lab's is 25,000, and a check adds 200
_MOST_PARTS = 100_000  # brackets, commas and colons of the content; a lab's has 2,500
_SALT = b"lvs-lab class key 1"
_KEY_NAME = re.compile(r"[0-9a-f]{8}", re.ASCII)
_SECOND_LINE = 500  # characters
_NONCE = 16  # characters of a run's name
_LATEST = 1e11  # seconds since 1970; more is no time


class Refused(LabError):
    """A file that is no evidence, was changed, or is somebody else's; the sentence says which."""


@dataclass(frozen=True, slots=True)
class Submission:
    """`seen` by the probes at the end, `state` as the doctor reads it, the journal, and the diagnosis.

    `run` is the running exercise that it comes from, `facts` are those of the case that ran there.
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
    """The name of a run that begins: no other has it, and it tells whose run it is."""
    nonce = token_hex(_NONCE // 2)
    return nonce + _of_whom(nonce, exercise, student)


def names_owner(submission: Submission) -> bool:
    """Whether the run was begun as this student's; False also where an older archive named it."""
    nonce, whose = submission.run[:_NONCE], submission.run[_NONCE:]
    return whose == _of_whom(nonce, submission.exercise, submission.student)


def _of_whom(nonce: str, exercise: str, student: str) -> str:
    return hashlib.sha256("\0".join((nonce, exercise, student)).encode()).hexdigest()[:16]


def private_key(secret: str) -> PrivateKey:
    """A class's own. Raises BadRequest for a secret that is none."""
    if not secret.strip():
        raise BadRequest("The class secret is empty: make one with head -c 30 /dev/urandom | base64.")
    seed = hashlib.scrypt(secret.strip().encode(), salt=_SALT, n=2**14, r=8, p=1, dklen=32)
    return PrivateKey(seed)


def public_key() -> PublicKey:
    """That of the class this archive was made for, or the practice key."""
    if PUBLIC.exists():
        return PublicKey(bytes.fromhex(PUBLIC.read_text().strip()))
    return private_key(PRACTICE).public_key


def key_name(key: PublicKey) -> str:
    """A few letters by which people tell two classes apart."""
    return hashlib.sha256(bytes(key)).hexdigest()[:8]


def sealed(submission: Submission, key: PublicKey) -> str:
    """The file's text. Raises Unable where no teacher could open it."""
    text = json.dumps(asdict(submission), sort_keys=True).encode()
    if len(text) > LARGEST or _parts(text) > _MOST_PARTS:
        raise Unable(
            f"Too much was written down for one file ({len(text) // 1024} kB, {LARGEST // 1024} at most): "
            "start the exercise again, mend it, and hand it in."
        )
    content = zlib.compress(text, 6)
    box = b64encode(SealedBox(key).encrypt(content)).decode()
    return f"{MARK}\n{_second_line(submission, key)}\n{box}\n"


def opened(data: bytes, key: PrivateKey) -> Submission:
    """What a file says. Raises Refused, also where a single byte of it was changed."""
    second, box = _lines(data)
    submission = _read(_unsealed(box, second, key))
    if second != _second_line(submission, key.public_key).encode():
        inside = f"{sanitize(submission.exercise, 40)} of {sanitize(submission.student, 64)}"
        raise Refused(f"its second line was changed: inside it is {inside}")
    return submission


def _second_line(submission: Submission, key: PublicKey) -> str:
    about = {"class": key_name(key), "exercise": submission.exercise, "student": submission.student}
    return json.dumps(about)


def _lines(data: bytes) -> tuple[bytes, bytes]:
    """The second and the third; they may end as mail programs and Windows have it."""
    if len(data) > LARGEST:
        raise Refused("too large for evidence")
    mark, *lines = data.replace(b"\r\n", b"\n").split(b"\n", 3)
    if mark != MARK.encode():
        raise Refused("no evidence of an exercise, or its first line was changed")
    if len(lines) < 3:
        raise Refused("cut short: the end of the file is missing")
    if lines[2]:
        raise Refused("changed after it was made: something was added at its end")
    return lines[0], lines[1]


def _unsealed(line: bytes, second: bytes, key: PrivateKey) -> bytes:
    """What is in the box; the second line is asked only for why it does not open."""
    try:
        box = b64decode(line, validate=True)
        if b64encode(box) != line:  # the last letter has bits that don't count
            raise ValueError
        return SealedBox(key).decrypt(box)
    except (CryptoError, ValueError, TypeError):
        raise Refused(_why_closed(_class_in(second), key_name(key.public_key))) from None


def _why_closed(given: str, mine: str) -> str:
    if given in ("", mine):
        return "changed or cut short after it was made: it does not open"
    if given == _practice_name():
        return "sealed with the practice key: it was not made with this class's archive"
    return f"sealed for another class ({given}, this one is {mine}): give the secret of that class"


@cache
def _practice_name() -> str:
    return key_name(private_key(PRACTICE).public_key)


def _class_in(second: bytes) -> str:
    """The class that a second line names, if it does."""
    if len(second) > _SECOND_LINE:
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
        if _parts(text) > _MOST_PARTS:
            raise Refused("too large for evidence")
        submission = load(Submission, json.loads(text))
        if all(map(_is_entry, submission.journal)):
            return submission
    except (ValueError, RecursionError, zlib.error):
        pass
    raise Refused("it opens, but what it says has not the form of evidence")


def _parts(text: bytes) -> int:
    """At least as many as the values that JSON makes of it: a few bytes can cost a hundred as an object."""
    return sum(map(text.count, (b"[", b"{", b",", b":")))


def _inflated(data: bytes) -> bytes:
    inflate = zlib.decompressobj()
    content = inflate.decompress(data, LARGEST + 1)
    if len(content) > LARGEST:
        raise Refused("too large for evidence")
    if not inflate.eof:
        raise ValueError("cut short")
    return content


def _is_entry(entry: dict[str, Any]) -> bool:
    """JSON can be anything; marking relies on this much."""
    if not isinstance(entry.get("what"), str):
        return False
    at = entry.get("at")
    return isinstance(at, (int, float)) and 0 <= at < _LATEST
