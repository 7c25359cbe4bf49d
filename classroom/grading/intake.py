"""The files that were handed in: below a folder, or in the ZIP archives that learning platforms export."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from classroom.submission import LARGEST, SUFFIX, Refused
from labs.errors import BadRequest

_ZIP = ".zip"
_BROKEN = (OSError, RuntimeError, EOFError, ValueError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True, slots=True)
class HandedIn:
    """`file` says where it lies, from the folder on; `read` raises Refused."""

    file: str
    read: Callable[[], bytes]


def handed_in(source: Path) -> list[HandedIn]:
    """All there are, by name; `source` may also be one such file. Raises BadRequest where there is none."""
    if not source.exists():
        raise BadRequest(f"There is no folder {source}: name the one with what was handed in.")
    try:
        found = sorted(_all(source), key=lambda one: one.file)
    except OSError as error:
        raise BadRequest(f"{source} can't be read: {error.strerror}.") from None
    if not found:
        raise BadRequest(f"There is no evidence (*{SUFFIX}) in {source}: nothing to grade.")
    return found


def _all(source: Path) -> Iterator[HandedIn]:
    paths = source.rglob("*") if source.is_dir() else [source]
    for path in paths:
        if path.name.startswith(".") or not path.is_file():  # macOS leaves ._NAME beside NAME
            continue
        name = str(path.relative_to(source)) if source.is_dir() else path.name
        if path.suffix.lower() == SUFFIX:
            yield HandedIn(name, _reader(path))
        elif path.suffix.lower() == _ZIP:
            yield from _in_zip(path, name)


def _reader(path: Path) -> Callable[[], bytes]:
    def read() -> bytes:
        try:
            with path.open("rb") as file:
                return file.read(LARGEST + 1)
        except OSError as error:
            raise Refused(f"can't be read: {error.strerror}") from None

    return read


def _in_zip(path: Path, name: str) -> Iterator[HandedIn]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.namelist()
    except _BROKEN:
        yield HandedIn(name, _refuses("no ZIP archive, or a broken one"))
        return
    for member in members:
        if member.lower().endswith(SUFFIX) and not member.rpartition("/")[2].startswith("."):
            yield HandedIn(f"{name}/{member}", _member_reader(path, member))


def _member_reader(path: Path, member: str) -> Callable[[], bytes]:
    def read() -> bytes:
        try:
            with zipfile.ZipFile(path) as archive, archive.open(member) as file:
                return file.read(LARGEST + 1)
        except _BROKEN:
            raise Refused("can't be read: its ZIP archive is broken or encrypted") from None

    return read


def _refuses(reason: str) -> Callable[[], bytes]:
    def read() -> bytes:
        raise Refused(reason)

    return read
