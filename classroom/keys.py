"""The key pair of a class, derived (scrypt) from the class secret, which only the teacher has.

A student's archive contains the public key.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from nacl.public import PrivateKey, PublicKey

from labs.errors import BadRequest

PRACTICE = "practice"  # the default secret, which is public
PUBLIC = Path(__file__).resolve().parent / "class.pub"  # in a student's archive
VARIABLE = "LVS_CLASS_SECRET"
NOTICE = (
    "No class secret given (--secret FILE, or LVS_CLASS_SECRET): using the practice key, with which anyone "
    "can read and forge submissions."
)
_SALT = b"lvs-lab class key 1"


def private_key(secret: str) -> PrivateKey:
    """A class's private key. Raises BadRequest for an empty secret."""
    if not secret.strip():
        raise BadRequest("The class secret is empty: make one with head -c 30 /dev/urandom | base64.")
    seed = hashlib.scrypt(secret.strip().encode(), salt=_SALT, n=2**14, r=8, p=1, dklen=32)
    return PrivateKey(seed)


def public_key() -> PublicKey:
    """The public key of this archive's class, or the practice key."""
    if PUBLIC.exists():
        return PublicKey(bytes.fromhex(PUBLIC.read_text().strip()))
    return private_key(PRACTICE).public_key


def key_name(key: PublicKey) -> str:
    """A few hexadecimal digits that identify a class to people."""
    return hashlib.sha256(bytes(key)).hexdigest()[:8]


def is_practice_key(key: PublicKey) -> bool:
    return bytes(key) == bytes(private_key(PRACTICE).public_key)


def class_secret(file: str) -> str:
    """The content of `file`, else of the environment variable, else the practice secret.

    Never an argument: other users can read command lines. Raises BadRequest.
    """
    if not file:
        return os.environ.get(VARIABLE, PRACTICE)
    try:
        return Path(file).read_text()
    except (OSError, ValueError):  # the name is not repeated: it may be the secret itself
        raise BadRequest(
            "--secret: cannot read that file: give the name of the file with the class secret."
        ) from None


def is_practice(secret: str) -> bool:
    return secret.strip() == PRACTICE
