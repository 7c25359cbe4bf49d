"""`./inv student-archive`: the checkout as students get it, without what would tell them the answers.

Left out are solutions, what marks are made with, and the doctor's causes; faults are packed, so that
nobody reads them by chance. The public key of the class is put in. The same checkout and secret make
the same bytes.
"""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import tarfile
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from nacl.public import PublicKey

from classroom import catalogue
from classroom.grading.secret import NOTICE, class_secret, is_practice
from classroom.submission import key_name, private_key
from labs.errors import BadRequest
from labs.screen import screen

ROOT = Path(__file__).resolve().parents[2]
FOLDER = "lvs-lab"  # all of it is below
_KEY = "classroom/class.pub"
_LEFT_OUT = (
    ".ci/*",
    ".git*",
    "*.lvs",
    "*.secret",
    _KEY,
    "classroom/grading/*",
    "docs/teaching.md",
    "doctor/causes/*",
    "exercises/*/solution.py",
    "templates/classroom/*",
    "tests/labs/*classroom*",
    "tests/labs/*doctor*",
    "tests/labs/*exercise*",
    "tests/unit/classroom/*",
    "tests/unit/doctor/*cause*",
    "tests/unit/exercises/*",
)
_NEVER = {".venv", "runs", "__pycache__", "grades"}  # what a checkout without git may have besides
_MTIME = 946_684_800  # the year 2000: any, but always the same


def student_archive(secret: str, output: str) -> int:
    """Write the archive for the students of a class. Raises BadRequest."""
    words = class_secret(secret)
    key = private_key(words).public_key
    file = Path(output or f"{FOLDER}-students.tar.gz")
    data = archive(key, ROOT, without=words)
    try:
        file.write_bytes(data)
    except OSError as error:
        raise BadRequest(f"--output {file}: can't be written ({error.strerror}).") from None
    if is_practice(words):
        screen().print(NOTICE, soft_wrap=True)
    screen().print(f"Written: {file} ({len(data) // 1024} kB), for class {key_name(key)}", soft_wrap=True)
    return 0


def archive(key: PublicKey, root: Path, *, without: str = "") -> bytes:
    """The archive's bytes; a file that holds the words `without` is left out."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(filename="", fileobj=packed, mode="wb", mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name, mode, data in sorted(_members(key, root, without.strip().encode())):
            about = tarfile.TarInfo(f"{FOLDER}/{name}")
            about.size, about.mode, about.mtime = len(data), mode, _MTIME
            tar.addfile(about, io.BytesIO(data))
    return packed.getvalue()


def _members(key: PublicKey, root: Path, secret: bytes) -> Iterator[tuple[str, int, bytes]]:
    """Name, mode and content of every file."""
    yield _KEY, 0o644, f"{bytes(key).hex()}\n".encode()
    for name in _files(root):
        path = root / name
        if any(fnmatchcase(name, pattern) for pattern in _LEFT_OUT) or not path.is_file():
            continue
        data = path.read_bytes()
        if secret and data.strip() == secret:
            continue
        if fnmatchcase(name, "exercises/*/faults.py"):
            name, data = f"{name.removesuffix('.py')}.packed", catalogue.packed(data.decode()).encode()
        yield name, 0o755 if path.stat().st_mode & 0o100 else 0o644, data


def _files(root: Path) -> list[str]:
    """What git tracks, or where there is no git, all that is no one's own."""
    if (root / ".git").exists():
        try:
            git = ["git", "-c", f"safe.directory={root}", "-C", str(root)]  # as under sudo, another's
            listed = subprocess.run([*git, "ls-files", "-z"], capture_output=True, check=True)
            return os.fsdecode(listed.stdout).rstrip("\0").split("\0")
        except (OSError, subprocess.CalledProcessError):
            pass
    return list(_walked(root))


def _walked(root: Path) -> Iterator[str]:
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in _NEVER and not name.endswith(".egg-info")]
        folders[:] = [name for name in folders if not (name.startswith(".") and name.endswith("_cache"))]
        for name in files:
            if not name.endswith((".pyc", ".tar.gz")):
                yield (Path(folder) / name).relative_to(root).as_posix()
