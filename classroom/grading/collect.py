"""The files that were handed in: below a folder, or in the ZIP archives that learning platforms export."""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

from classroom.submission import LARGEST, SUFFIX, Refused
from labs.errors import BadRequest

_ZIP = ".zip"
_BROKEN = (OSError, RuntimeError, EOFError, ValueError, zipfile.BadZipFile, zlib.error)
_MOST_MEMBERS = 10_000  # of a ZIP archive
_LONGEST_LIST = 2 * 2**20  # bytes of the list of its members
_COMPRESSED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others may ask for gigabytes to unpack a byte
_TOO_MANY = f"more than {_MOST_MEMBERS:,} files are in it: unpack it into a folder"
_SHRUNK, _SHORT = 2, 1000  # times and bytes; base64 becomes three quarters
_NO_ZIP = "no ZIP archive, or a broken one"
_TOO_LARGE = "too large for evidence"
_FOLDER = "a folder, not a file"

_Read = Callable[[], bytes]
_Open = Callable[[Path], zipfile.ZipFile]


@dataclass(frozen=True, slots=True)
class SubmittedFile:
    """`file` says where it lies, from the folder on; `read` raises Refused."""

    file: str
    read: _Read


def submitted_files(source: Path) -> list[SubmittedFile]:
    """All there are, by name; `source` may also be one such file. Raises BadRequest where there is none.

    What is called *.lvs and is no file is among them, for its reader to refuse.
    """
    if not source.exists():
        raise BadRequest(f"There is no folder {source}: name the one with what was handed in.")
    opened = lru_cache(maxsize=1)(zipfile.ZipFile)  # read by name, so one archive after the other
    try:
        found = sorted(_all(source, opened), key=lambda one: one.file)
    except OSError as error:
        raise BadRequest(f"{source} can't be read: {error.strerror}.") from None
    if not found:
        raise BadRequest(f"There is no evidence (*{SUFFIX}) in {source}: nothing to grade.")
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
        yield SubmittedFile(name, _refuses(f"can't be read: {error.strerror}"))


def _of(path: Path, name: str, opened: _Open) -> Iterator[SubmittedFile]:
    """What is handed in with one entry of a folder."""
    if path.name.startswith("."):  # macOS leaves ._NAME beside NAME
        return
    suffix = path.suffix.lower()
    if suffix == SUFFIX:
        wrong = _no_file(path)
        yield SubmittedFile(name, _refuses(wrong) if wrong else _reader(path))
    elif suffix == _ZIP and path.is_file() and not path.is_symlink():
        yield from _in_zip(path, name, opened)


def _no_file(path: Path) -> str:
    """What `path` is instead of a file that somebody has handed in; empty if it is one."""
    if path.is_symlink():  # it may lead to another student's, or out of here
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
            raise Refused(f"can't be read: {error.strerror}") from None

    return read


class _Careful(io.FileIO):
    """An archive for which zipfile reads no list of members that is too long, whatever its end says."""

    def read(self, size: int | None = -1, /) -> bytes:
        left = os.fstat(self.fileno()).st_size - self.tell()
        wanted = left if size is None or size < 0 else min(size, left)
        if wanted > _LONGEST_LIST:
            raise Refused(_TOO_MANY)
        return super().read(wanted) or b""


def _in_zip(path: Path, name: str, opened: _Open) -> Iterator[SubmittedFile]:
    try:
        with _Careful(path) as file, zipfile.ZipFile(file) as archive:
            members = archive.infolist()
    except Refused as refused:
        yield SubmittedFile(name, _refuses(str(refused)))
        return
    except _BROKEN:
        yield SubmittedFile(name, _refuses(_NO_ZIP))
        return
    if len(members) > _MOST_MEMBERS:
        yield SubmittedFile(name, _refuses(_TOO_MANY))
        return
    if sum(member.compress_size for member in members) > path.stat().st_size:  # the same bytes many times
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
        if member.file_size > _SHRUNK * member.compress_size + _SHORT:
            raise Refused("not sealed: what is sealed can't be compressed as well as this")
        if member.compress_type not in _COMPRESSED:
            raise Refused("compressed in a way that is not read here: unpack its ZIP archive into a folder")
        try:
            with opened(path).open(member) as file:
                return file.read(LARGEST + 1)
        except _BROKEN:
            raise Refused("can't be read: its ZIP archive is broken or encrypted") from None

    return read


def _refuses(reason: str) -> _Read:
    return partial(_refuse, reason)


def _refuse(reason: str) -> bytes:
    raise Refused(reason)
