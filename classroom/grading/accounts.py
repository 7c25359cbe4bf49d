"""Who has handed in a file: the account that a learning platform names, else the folder that it lies in.

An account is a path, its parts from the outside to the inside. What lies within an archive that somebody
has handed in is named by him, so it does not count.
"""

from __future__ import annotations

import re
from collections.abc import Collection

Account = tuple[str, ...]

_PLATFORMS = (
    re.compile(r"(.+_[0-9]+)_assignsubmission_"),  # Moodle: a folder each, or all files in one
    re.compile(r".*_([^_]+)_attempt_[0-9]{4}-[0-9]{2}-[0-9]{2}"),  # Blackboard
    re.compile(r"([^\W\d_]+)_(?:LATE_)?([0-9]+)_[0-9]+_"),  # Canvas
)
_ZIP = ".zip"


def account_of(file: str) -> Account:
    """Of `file` as it was found below the folder; () where it lies in that folder itself."""
    parts = file.split("/")
    for part in parts:
        for pattern in _PLATFORMS:
            found = pattern.match(part)
            if found:
                return ("_".join(found.groups()),)
    outside = next((n for n, part in enumerate(parts) if n and part.lower().endswith(_ZIP)), len(parts) - 1)
    return tuple(parts[:outside])


def is_of_platform(account: Account, file: str) -> bool:
    """Whether a platform has named it."""
    return bool(account) and account != tuple(file.split("/")[: len(account)])


def own_account(accounts: Collection[Account], student: str) -> Account | None:
    """The one among several that has the student's name, if just one has it.

    Their outermost difference decides: `ada` in an archive of eve's does not make it ada's.
    """
    depth = 0
    while len({account[depth : depth + 1] for account in accounts}) == 1:
        depth += 1
    own = [one for one in accounts if any(_names(part, student) for part in one[depth : depth + 1])]
    return own[0] if len(own) == 1 else None


def _names(part: str, student: str) -> bool:
    """`Ada Lovelace_17`, of a platform, names `ada.lovelace` and `ada`, but not `17`."""
    wanted = _words(student)
    whole = any(not word.isdigit() for word in wanted) and wanted <= _words(part)
    return whole or part.casefold() == student.casefold()


def _words(text: str) -> set[str]:
    return set(re.split(r"[\W_]+", text.casefold())) - {""}
