"""The files that a real server serves: its own name, and files that all servers share.

A run creates the shared files once and hard-links them into each server's folder, so 200 servers take no more
space than one. (A symbolic link would lead out of the folder to which ftpd is confined.) Their bytes are
pseudo-random, and the same in every run.

    name  index.html            the name of the real server
    1k.bin 100k.bin 1m.bin 10m.bin
    upload/                     writable for clients

`python -m realserver_setup.files FOLDER NAME` restores the files in a real server's folder.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from zlib import crc32

from realserver_setup.validators import host_name

SIZES = {"1k.bin": 1_000, "100k.bin": 100_000, "1m.bin": 1_000_000, "10m.bin": 10_000_000}
UPLOAD = "upload"
LISTING = ("name", "index.html", *SIZES, UPLOAD)  # a listing of a server's folder
_SMALL = 100_000  # bytes
_PAGE = "<!DOCTYPE html>\n<title>{name}</title>\n<h1>This is {name}</h1>\n"


@dataclass(frozen=True, slots=True)
class SharedFile:
    """A file on every real server: its size in bytes, and its SHA-256 in hexadecimal."""

    path: Path
    size: int
    sha256: str

    @property
    def name(self) -> str:
        return self.path.name


def make_shared(folder: Path) -> dict[str, SharedFile]:
    """Write the shared files into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    return {name: _make(folder / name, size) for name, size in SIZES.items()}


def make_root(folder: Path, name: str, shared: Iterable[SharedFile]) -> Path:
    """Fill `folder` with the files of real server `name`, and return it. Idempotent."""
    host_name("name", name)
    upload = folder / UPLOAD
    if upload.is_symlink() or not upload.is_dir():
        _remove(upload)
        upload.mkdir(parents=True)
    _write(folder / "name", _name(name))
    _write(folder / "index.html", _page(name))
    for file in shared:
        _link(file.path, folder / file.name)
    return folder


def fingerprints(name: str) -> dict[str, str]:
    """Each file of real server `name`: its size in bytes and CRC-32, `4:1e0af5f7`; `1000000:` if large."""
    own = {"name": _name(name), "index.html": _page(name)}
    return {file: _fingerprint(data) for file, data in own.items()} | _shared_fingerprints()


@cache
def _shared_fingerprints() -> dict[str, str]:
    return {
        file: _fingerprint(_shared(file, size)) if size <= _SMALL else f"{size}:"
        for file, size in SIZES.items()
    }


def _fingerprint(data: bytes) -> str:
    return f"{len(data)}:{crc32(data):08x}"


def _name(name: str) -> bytes:
    return f"{name}\n".encode()


def _page(name: str) -> bytes:
    return _PAGE.format(name=name).encode()


def _shared(file: str, size: int) -> bytes:
    return random.Random(file).randbytes(size)


def _make(path: Path, size: int) -> SharedFile:
    content = _shared(path.name, size)
    _write(path, content)
    return SharedFile(path, size, hashlib.sha256(content).hexdigest())


def _write(path: Path, content: bytes) -> None:
    _remove(path)
    path.write_bytes(content)


def _remove(path: Path) -> None:
    """Remove whatever has that name: a symbolic link would be followed, out of the folder."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _link(source: Path, target: Path) -> None:
    """Hard-link `source` as `target`, or copy it to another file system."""
    _remove(target)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


if __name__ == "__main__":
    root = Path(sys.argv[1])
    make_root(root, sys.argv[2], make_shared(root.parent / "shared").values())
