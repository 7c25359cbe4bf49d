"""The submitted files below a folder, or in ZIP archives of learning platforms, and their accounts.

The account of a file is the one that a platform names, or else its folder: a path, as its parts from the
outside in. Names inside an archive that was itself handed in do not count.
"""

from __future__ import annotations

import io
import os
import re
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

from classroom.submission import LARGEST, SUFFIX, Refused
from labs.errors import BadRequest

_ZIP = ".zip"
_BROKEN = (OSError, RuntimeError, EOFError, ValueError, zipfile.BadZipFile, zlib.error)
_MAX_MEMBERS = 10_000  # of a ZIP archive
_MAX_DIRECTORY = 2 * 2**20  # bytes of its central directory
_COMPRESSED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others may need gigabytes to unpack a byte
_TOO_MANY = f"more than {_MAX_MEMBERS:,} files: unpack it into a folder"
_MAX_RATIO, _SMALL = 2, 1000  # the highest compression of base64, except for files of fewer bytes
_NO_ZIP = "not a ZIP archive, or a broken one"
_TOO_LARGE = "too large for a submission"
_FOLDER = "a folder, not a file"

_Read = Callable[[], bytes]
_Open = Callable[[Path], zipfile.ZipFile]


@dataclass(frozen=True, slots=True)
class SubmittedFile:
    """`file` is its path below the folder; `read` raises Refused."""

    file: str
    read: _Read


def submitted_files(source: Path) -> list[SubmittedFile]:
    """All submissions in a folder, by name, or the one file `source`. Raises BadRequest if there are none.

    Anything else called *.lvs, such as a link, is included: reading it raises Refused.
    """
    if not source.exists():
        raise BadRequest(f"There is no folder {source}: name the folder with the submissions.")
    opened = lru_cache(maxsize=1)(zipfile.ZipFile)  # files are read in order of name, archive by archive
    try:
        found = sorted(_all(source, opened), key=lambda submitted: submitted.file)
    except OSError as error:
        raise BadRequest(f"{source} cannot be read: {error.strerror}.") from None
    if not found:
        raise BadRequest(f"There are no submissions (*{SUFFIX}) in {source}: nothing to grade.")
    return found


def _all(source: Path, opened: _Open) -> Iterator[SubmittedFile]:
    if not source.is_dir():
        yield from _of(source, source.name, opened)
        return
    unread: list[OSError] = []
    for folder, folders, files in os.walk(source, onerror=unread.append):
        for entry in (*folders, *files):
            path = Path(folder) / entry
            yield from _of(path, str(path.relative_to(source)), opened)
    for error in unread:
        if Path(error.filename) == source:
            raise error
        name = str(Path(error.filename).relative_to(source))
        yield SubmittedFile(name, _refuses(f"cannot be read: {error.strerror}"))


def _of(path: Path, name: str, opened: _Open) -> Iterator[SubmittedFile]:
    """The submissions of one entry of a folder."""
    if path.name.startswith("."):  # such as macOS's ._NAME beside NAME
        return
    suffix = path.suffix.lower()
    if suffix == SUFFIX:
        wrong = _no_file(path)
        yield SubmittedFile(name, _refuses(wrong) if wrong else _reader(path))
    elif suffix == _ZIP and path.is_file() and not path.is_symlink():
        yield from _in_zip(path, name, opened)


def _no_file(path: Path) -> str:
    """What `path` is if not a regular file, or ""."""
    if path.is_symlink():  # it may lead to another student's file, or out of the folder
        return "a link, not a file"
    if path.is_dir():
        return _FOLDER
    return "" if path.is_file() else "not a regular file"


def _reader(path: Path) -> _Read:
    def read() -> bytes:
        try:
            with path.open("rb") as file:
                return file.read(LARGEST + 1)
        except OSError as error:
            raise Refused(f"cannot be read: {error.strerror}") from None

    return read


class _BoundedFile(io.FileIO):
    """An archive file that refuses to let zipfile read a central directory that is too long."""

    def read(self, size: int | None = -1, /) -> bytes:
        left = os.fstat(self.fileno()).st_size - self.tell()
        wanted = left if size is None or size < 0 else min(size, left)
        if wanted > _MAX_DIRECTORY:
            raise Refused(_TOO_MANY)
        return super().read(wanted) or b""


def _in_zip(path: Path, name: str, opened: _Open) -> Iterator[SubmittedFile]:
    try:
        with _BoundedFile(path) as file, zipfile.ZipFile(file) as archive:
            members = archive.infolist()
    except Refused as refused:
        yield SubmittedFile(name, _refuses(str(refused)))
        return
    except _BROKEN:
        yield SubmittedFile(name, _refuses(_NO_ZIP))
        return
    if len(members) > _MAX_MEMBERS:
        yield SubmittedFile(name, _refuses(_TOO_MANY))
        return
    if sum(member.compress_size for member in members) > path.stat().st_size:  # members overlap
        yield SubmittedFile(name, _refuses(_NO_ZIP))
        return
    for member in members:
        inside = member.filename.rstrip("/")
        if inside.lower().endswith(SUFFIX) and not inside.rpartition("/")[2].startswith("."):
            yield SubmittedFile(f"{name}/{inside}", _member_reader(path, member, opened))


def _member_reader(path: Path, member: zipfile.ZipInfo, opened: _Open) -> _Read:
    def read() -> bytes:
        if member.is_dir():
            raise Refused(_FOLDER)
        if member.file_size > LARGEST:
            raise Refused(_TOO_LARGE)
        if member.file_size > _MAX_RATIO * member.compress_size + _SMALL:
            raise Refused("not a sealed file: it compresses too well")
        if member.compress_type not in _COMPRESSED:
            raise Refused("unsupported compression: unpack its ZIP archive into a folder")
        try:
            with opened(path).open(member) as file:
                return file.read(LARGEST + 1)
        except _BROKEN:
            raise Refused("cannot be read: its ZIP archive is broken or encrypted") from None

    return read


def _refuses(reason: str) -> _Read:
    return partial(_refuse, reason)


def _refuse(reason: str) -> bytes:
    raise Refused(reason)


# ---- accounts ----

Account = tuple[str, ...]

_PLATFORMS = (
    re.compile(r"(.+_[0-9]+)_assignsubmission_"),  # Moodle: a folder each, or all files in one
    re.compile(r".*_([^_]+)_attempt_[0-9]{4}-[0-9]{2}-[0-9]{2}"),  # Blackboard
    re.compile(r"([^\W\d_]+)_(?:LATE_)?([0-9]+)_[0-9]+_"),  # Canvas
)


def account_of(file: str) -> Account:
    """The account of a path below the folder; () for a file in the folder itself."""
    parts = file.split("/")
    for part in parts:
        for pattern in _PLATFORMS:
            found = pattern.match(part)
            if found:
                return ("_".join(found.groups()),)
    outside = next((n for n, part in enumerate(parts) if n and part.lower().endswith(_ZIP)), len(parts) - 1)
    return tuple(parts[:outside])


def is_of_platform(account: Account, file: str) -> bool:
    """Whether a platform named the account."""
    return bool(account) and account != tuple(file.split("/")[: len(account)])


def own_account(accounts: Collection[Account], student: str) -> Account | None:
    """The account with the student's name, if exactly one has it.

    The outermost difference decides: a folder `ada` in eve's archive is not ada's.
    """
    depth = 0
    while len({account[depth : depth + 1] for account in accounts}) == 1:
        depth += 1
    own = [
        account for account in accounts if any(_names(part, student) for part in account[depth : depth + 1])
    ]
    return own[0] if len(own) == 1 else None


def _names(part: str, student: str) -> bool:
    """A platform's `Ada Lovelace_17` names `ada.lovelace` and `ada`, but not `17`."""
    wanted = _words(student)
    whole = any(not word.isdigit() for word in wanted) and wanted <= _words(part)
    return whole or part.casefold() == student.casefold()


def _words(text: str) -> set[str]:
    return set(re.split(r"[\W_]+", text.casefold())) - {""}
