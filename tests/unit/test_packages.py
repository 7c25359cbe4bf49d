"""Every program that our code starts belongs to a package of packages*.txt, so that ./inv installs it."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from compare.dispatch import approaches
from labs.machine import capabilities

ROOT = Path(__file__).resolve().parents[2]
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
FOLDERS = (
    *("availability", "bench", "classroom", "compare", "director", "doctor", "exercises", "failover"),
    *("labs", "oracle", "realserver_setup", "tests", "view", "vm"),
)
STARTS = {"run", "Popen", "check_output", "start", "open"}
_NAME = re.compile(r"[a-z][a-z0-9._-]+")


def listed() -> set[str]:
    """The packages that ./inv installs, for any command."""
    lines = (line for file in ROOT.glob("packages*.txt") for line in file.read_text().splitlines())
    return {line.partition("#")[0].split()[0] for line in lines if line.partition("#")[0].strip()}


def started() -> Iterator[tuple[str, str]]:
    """(program, place in the source): the first word of each command that is a list or tuple."""
    for folder in FOLDERS:
        for file in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text())):
                if not isinstance(node, (ast.Call, ast.List, ast.Tuple)):
                    continue
                for words in (_words(node), *(_words(argument) for argument in _arguments(node))):
                    option = len(words) > 1 and words[1].startswith("-")
                    if words and (option or isinstance(node, ast.Call)) and _NAME.fullmatch(words[0]):
                        yield words[0], f"{file.relative_to(ROOT)}:{node.lineno}"


def _arguments(node: ast.AST) -> list[ast.expr]:
    """The first argument of a call that starts a program."""
    if not isinstance(node, ast.Call):
        return []
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return node.args[:1] if name in STARTS else []


def _words(node: ast.AST) -> list[str]:
    """The words of a list that begins with a string."""
    if not isinstance(node, (ast.List, ast.Tuple)):
        return []
    words = [word.value if isinstance(word, ast.Constant) else "" for word in node.elts]
    return [str(word) for word in words] if words and isinstance(words[0], str) and words[0] else []


def packages_of(programs: Iterable[str]) -> dict[str, set[str]]:
    """The installed packages that contain each program; none if it is not installed or not packaged."""
    places: dict[str, set[str]] = {}
    for program in programs:
        found = shutil.which(program, path=PATH)
        if found:
            places[program] = {found, found.removeprefix("/usr"), str(Path(found).resolve())}
    search = ["dpkg-query", "--search", *set().union(*places.values())]
    listing = subprocess.run(search, capture_output=True, text=True, check=False).stdout
    owners: dict[str, set[str]] = {}
    for line in listing.splitlines():
        packages, _, place = line.partition(": ")
        owners.setdefault(place, set()).update(name.partition(":")[0] for name in packages.split(", "))
    return {
        program: set().union(*(owners.get(place, set()) for place in candidates))
        for program, candidates in places.items()
    }


def essential() -> set[str]:
    """The packages that every Debian has."""
    form = "${Package} ${Essential} ${Priority}\n"
    listing = subprocess.run(["dpkg-query", "-W", "-f", form], capture_output=True, text=True, check=True)
    words = (line.split() for line in listing.stdout.splitlines())
    return {name for name, *rest in words if "yes" in rest or "required" in rest}


@pytest.mark.skipif(not shutil.which("dpkg-query"), reason="not Debian: dpkg-query is missing")
def test_every_program_belongs_to_a_listed_package() -> None:
    known = listed() | essential()
    places = dict(started())
    found = packages_of(places)
    assert {"ip", "tc", "nginx"} <= {program for program, packages in found.items() if packages}
    missing = {
        program: f"{places[program]}: {', '.join(sorted(packages))}"
        for program, packages in found.items()
        if packages and not packages & known
    }
    assert missing == {}


@pytest.mark.parametrize("programs", [capabilities.PROGRAMS, approaches.PROGRAMS])
def test_packages_named_in_messages_are_listed(programs: dict[str, str]) -> None:
    assert set(programs.values()) <= listed()
