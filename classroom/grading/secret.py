"""The class's secret: from a file or the environment, never from a command line, where others read it."""

from __future__ import annotations

import os
from pathlib import Path

from classroom.submission import PRACTICE
from labs.errors import BadRequest

VARIABLE = "LVS_CLASS_SECRET"
NOTICE = (
    "No class secret is given (--secret FILE, or LVS_CLASS_SECRET): this is the practice key, "
    "with which everybody can read and make evidence."
)


def class_secret(file: str) -> str:
    """What `file` holds, else the environment, else the practice secret. Raises BadRequest."""
    if not file:
        return os.environ.get(VARIABLE, PRACTICE)
    try:
        return Path(file).read_text()
    except (OSError, ValueError):  # the name is not repeated: it may be the secret itself
        raise BadRequest(
            "--secret: no such file, or none that can be read: it takes the name of the file that "
            "holds the class secret."
        ) from None


def is_practice(secret: str) -> bool:
    return secret.strip() == PRACTICE
