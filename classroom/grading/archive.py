"""`./inv student-archive`: the files that students need, without the answers.

It includes only files listed here, and in a git checkout only tracked ones. Grading and the doctor's causes
are left out; solutions are cut out of the exercises, and faults are packed so that they are not read by
accident. students.md becomes the README, text marked `<!-- full checkout only -->` is cut, other links to
missing pages become text, and the class's public key is added. The same checkout and secret give the same
bytes.
"""

from __future__ import annotations

import ast
import gzip
import io
import os
import posixpath
import re
import subprocess
import tarfile
from collections.abc import Collection, Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from nacl.public import PublicKey

from classroom import catalogue
from classroom.keys import NOTICE, class_secret, is_practice, key_name, private_key
from labs.errors import BadRequest, Unable
from labs.terminal.screen import make_console

ROOT = Path(__file__).resolve().parents[2]
FOLDER = "lvs-lab"  # the archive's only top folder
_KEY = "classroom/class.pub"
_README, _README_THERE = "classroom/grading/students.md", "README.md"
_PACKAGES = (
    "availability",
    "bench",
    "classroom",
    "compare",
    "director",
    "doctor",
    "failover",
    "labs",
    "oracle",
    "realserver_setup",
    "view",
    "vm",
)
_PAGES = (
    *("availability", "differences", "director", "ebpf", "exercises", "keepalived", "labs"),
    *("operating", "trouble", "view"),
)
_WANTED = (  # a * matches subfolders too
    *("LICENSE", "inv", "packages*.txt", "pyproject.toml", "requirements.txt", "tasks.py"),
    *(f"{package}/*.py" for package in _PACKAGES),
    *("availability/bin/*", "availability/example.conf", "availability/heartbeat/resource.d/*"),
    *("bench/*.c", "director/bin/*"),
    *("director/engines/*.[ch]", "templates/*.j2"),
    *("exercises/__init__.py", "exercises/starters/*.py"),
    *("labs/*/README.md", "labs/run/wireshark/*", "view/page/*", "docs/pictures/*.svg"),
    *(f"docs/{page}.md" for page in _PAGES),
)
_LEFT_OUT = ("classroom/grading/*", "doctor/causes/*", "templates/classroom/*")
_EXERCISE = re.compile(r"exercises/[a-z]\w*\.(py|md)")
_SECTION = re.compile(r"^# ---- (Exercise|Faults|Solutions) ----\n", re.MULTILINE)
_FUTURE = "from __future__ import annotations\n"
_ANSWERS = {"FAULTS", "SOLUTIONS", "Fault", "Solution", "Repair"}
_PACKED = """\
# The faults, packed so that they are not read by accident.
exec(unpacked({packed!r}))

"""
_NEVER = {".git", ".venv", "runs", "__pycache__"}  # folders that are not searched
# Text about commands or pages that only a full checkout has.
_CUT = re.compile(r"<!-- full checkout only -->\n.*?<!-- end -->\n", re.DOTALL)
_ASIDE = re.compile(r"\s\(\[[\w./-]+\.md\]\(([^)#:]+)(#[^)]*)?\)\)")  # `([oracle.md](oracle.md))`
_LINK = re.compile(r"!?\[([^]]*)\]\(([^)#:]+)(#[^)]*)?\)")
_MTIME = 946_684_800  # the year 2000: any constant time


def student_archive(secret: str, output: str) -> int:
    """Write the archive for the students of a class. Raises LabError."""
    words = class_secret(secret)
    key = private_key(words).public_key
    file = Path(output or f"{FOLDER}-students.tar.gz")
    data = archive(key, ROOT, without=words)
    try:
        file.write_bytes(data)
    except OSError as error:
        raise BadRequest(
            f"--output {file} cannot be written ({error.strerror}): name another file."
        ) from None
    if is_practice(words):
        make_console().print(NOTICE, soft_wrap=True)
    make_console().print(
        f"Written: {file} ({len(data) // 1024} kB), for class {key_name(key)}", soft_wrap=True
    )
    return 0


def archive(key: PublicKey, root: Path, *, without: str = "") -> bytes:
    """The archive's bytes; a file whose content is `without` (the secret) is left out. Raises Unable."""
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
    names = {name: name for name in _files(root) if _is_wanted(name, root)}
    if (root / _README).is_file():
        names[_README_THERE] = _README
    for name, source in names.items():
        path = root / source
        data = path.read_bytes()
        if secret and data.strip() == secret:
            continue
        if name.endswith(".md"):
            text = _CUT.sub("", data.decode())
            if name == _README_THERE:
                text = text.replace("](../../", "](")
            data = _without_dead_links(name, text, names).encode()
        if _EXERCISE.fullmatch(name) and name.endswith(".py"):
            data = without_answers(data.decode(), name).encode()
        yield name, 0o755 if path.stat().st_mode & 0o100 else 0o644, data


def _is_wanted(name: str, root: Path) -> bool:
    path = root / name
    listed = any(fnmatchcase(name, pattern) for pattern in _WANTED) or _is_of_exercise(path, name)
    answers = any(fnmatchcase(name, pattern) for pattern in _LEFT_OUT)
    return listed and not answers and path.is_file() and not path.is_symlink()


def _is_of_exercise(path: Path, name: str) -> bool:
    """Whether it is one of the two files of an exercise."""
    return bool(_EXERCISE.fullmatch(name)) and all(path.with_suffix(end).is_file() for end in (".py", ".md"))


def without_answers(source: str, name: str) -> str:
    """An exercise without its section Solutions, and with its section Faults packed. Raises Unable."""
    head, *parts = _SECTION.split(source)
    kept = [head]
    for section, text in zip(parts[::2], parts[1::2], strict=True):
        if section == "Faults":
            kept.append(_PACKED.format(packed=catalogue.packed(text)))
        elif section == "Exercise":
            kept.append(text)
    cut = "".join(kept)
    if len(kept) > 1:
        cut = cut.replace(_FUTURE, f"{_FUTURE}\nfrom classroom.catalogue import unpacked\n", 1)
    answers = {node.id for node in ast.walk(ast.parse(cut)) if isinstance(node, ast.Name)} & _ANSWERS
    if answers:
        raise Unable(
            f"{name}: {', '.join(sorted(answers))} must be below a line `# ---- Faults ----` or "
            "`# ---- Solutions ----`, so that students do not get it."
        )
    return cut


def _without_dead_links(name: str, text: str, names: Collection[str]) -> str:
    """The page without links to missing files: those in parentheses are cut, others become text."""
    folder = posixpath.dirname(name)

    def is_there(target: str) -> bool:
        return posixpath.normpath(posixpath.join(folder, target)) in names

    text = _ASIDE.sub(lambda aside: aside[0] if is_there(aside[1]) else "", text)
    return _LINK.sub(lambda link: link[0] if is_there(link[2]) else link[1], text)


def _files(root: Path) -> list[str]:
    """The files that git tracks, or all files if the checkout has no git. Raises Unable."""
    if not (root / ".git").exists():
        return list(_walked(root))
    git = ["git", "-c", f"safe.directory={root}", "-C", str(root)]  # under sudo it is another user's
    try:
        listed = subprocess.run([*git, "ls-files", "-z"], capture_output=True, check=True)
    except OSError as error:
        why = f"git: {error.strerror}"
    except subprocess.CalledProcessError as error:
        why = os.fsdecode(error.stderr).strip().partition("\n")[0] or f"git: exit code {error.returncode}"
    else:
        return os.fsdecode(listed.stdout).rstrip("\0").split("\0")
    raise Unable(
        f"git cannot list the files of this checkout ({why}): install or repair git, or make the archive "
        "from a copy of the checkout without .git."
    )


def _walked(root: Path) -> Iterator[str]:
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in _NEVER]
        for name in files:
            yield (Path(folder) / name).relative_to(root).as_posix()
