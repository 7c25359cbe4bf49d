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
import zlib
from base64 import b64decode, b64encode
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, PublicKey, SealedBox

from classroom.diagnosis import Diagnosis
from labs.errors import BadRequest, LabError

MARK = "LVS-LAB EVIDENCE 1"
SUFFIX = ".lvs"
PRACTICE = "practice"  # the secret where there is no class: everybody knows it
PUBLIC = Path(__file__).resolve().parent / "class.pub"  # there in a student's archive
_LARGEST = 64 * 2**20  # bytes of a file, and of what it says
_SALT = b"lvs-lab class key 1"


class Refused(LabError):
    """A file that is no evidence, was changed, or is somebody else's; the sentence says which."""


@dataclass(frozen=True, slots=True)
class Submission:
    """`seen` by the probes at the end, `state` as the doctor reads it, the journal, and the diagnosis."""

    exercise: str
    student: str
    seen: dict[str, Any]
    state: dict[str, Any]
    journal: list[dict[str, Any]]
    diagnosis: dict[str, str] = field(default_factory=dict)

    @property
    def diagnosed(self) -> Diagnosis:
        return Diagnosis(**self.diagnosis)


def private_key(secret: str) -> PrivateKey:
    """A class's own. Raises BadRequest for a secret that is none."""
    if not secret.strip():
        raise BadRequest("The class secret is empty: choose some words that nobody guesses.")
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
    """The file's text."""
    content = zlib.compress(json.dumps(asdict(submission), sort_keys=True).encode(), 6)
    about = {"class": key_name(key), "exercise": submission.exercise, "student": submission.student}
    box = b64encode(SealedBox(key).encrypt(content)).decode()
    return f"{MARK}\n{json.dumps(about)}\n{box}\n"


def opened(file: Path, key: PrivateKey) -> Submission:
    """What a file says. Raises Refused."""
    about, box = _parts(file)
    if about.get("class") != key_name(key.public_key):
        raise Refused(f"sealed for another class ({about.get('class')}): is the class secret the right one?")
    try:
        content = _inflated(SealedBox(key).decrypt(box))
        submission = Submission(**json.loads(content))
    except (CryptoError, ValueError, TypeError):
        raise Refused("changed after it was made: it does not open") from None
    if (about.get("exercise"), about.get("student")) != (submission.exercise, submission.student):
        raise Refused(
            f"its second line was changed: inside it is {submission.exercise} of {submission.student}"
        )
    return submission


def _parts(file: Path) -> tuple[dict[str, Any], bytes]:
    """The second line, and the box."""
    if file.stat().st_size > _LARGEST:
        raise Refused("too large for evidence")
    lines = file.read_text(errors="replace").splitlines()
    if len(lines) != 3 or lines[0] != MARK:
        raise Refused("no evidence of an exercise, or cut short")
    try:
        about = json.loads(lines[1])
        box = b64decode(lines[2], validate=True)
    except ValueError:
        raise Refused("changed after it was made: it can't be read") from None
    if not isinstance(about, dict):
        raise Refused("changed after it was made: it can't be read")
    return about, box


def _inflated(data: bytes) -> bytes:
    inflate = zlib.decompressobj()
    content = inflate.decompress(data, _LARGEST)
    if not inflate.eof:
        raise ValueError("too long")
    return content
