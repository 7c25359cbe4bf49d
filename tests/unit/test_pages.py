"""The pages (*.md): what they name exists (commands, options, headings, files), and their prose is narrow."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from invoke.collection import Collection

import tasks

ROOT = Path(__file__).resolve().parents[2]
WIDTH = 100
_FOLDERS = ("docs", "labs", "exercises", "classroom")
PAGES = sorted([*ROOT.glob("*.md"), *(page for name in _FOLDERS for page in (ROOT / name).rglob("*.md"))])
_FENCE = re.compile(r"^( *```)\w*\n.*?^\1$", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"\./inv ((?:vm )?[a-z][a-z-]*)([^`\n|]*)")
_LINK = re.compile(r"\]\(([^)#:\s]*)#([^)\s]+)\)")
_OF_NO_TASK = {"--list", "--help"}


def _each(page: Path) -> str:
    return str(page.relative_to(ROOT))


each_page = pytest.mark.parametrize("page", PAGES, ids=_each)


def prose(text: str) -> Iterator[tuple[int, str]]:
    """Yields the numbered lines outside fences and tables, whose width is given by what they show."""
    blank = _FENCE.sub(lambda fence: "\n" * fence[0].count("\n"), text)
    for number, line in enumerate(blank.splitlines(), 1):
        if not line.startswith(("|", "![")):
            yield number, line


@each_page
def test_prose_is_at_most_100_columns_wide(page: Path) -> None:
    if page.name in ("table.md", "growth.md"):
        pytest.skip("written by ./inv bench --keep")
    assert [number for number, line in prose(page.read_text()) if len(line) > WIDTH] == []


@cache
def options() -> dict[str, set[str]]:
    """Each task with its options as they are typed."""
    contexts = Collection.from_module(tasks).to_contexts()
    return {context.name or "": set(context.flags) for context in contexts}


@each_page
def test_a_command_that_a_page_names_exists(page: Path) -> None:
    for name, rest in _COMMAND.findall(page.read_text()):
        task = name.removeprefix("vm ")
        assert task in options(), f"./inv {name}"
        unknown = set(re.findall(r"(?<!\S)(--[a-z][a-z-]*)", rest)) - options()[task] - _OF_NO_TASK
        assert not unknown or task == "vm", f"./inv {name}{rest}: {unknown}"


@cache
def anchors(page: Path) -> set[str]:
    """The fragments of a page's headings, as the usual forges make them."""
    text = _FENCE.sub("", page.read_text())
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    plain = (re.sub(r"\]\([^)]*\)", "", heading) for heading in headings)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in plain}


@each_page
def test_a_link_into_a_page_finds_its_heading(page: Path) -> None:
    for target, anchor in _LINK.findall(page.read_text()):
        other = (page.parent / target).resolve() if target else page
        if other.suffix == ".md":
            assert anchor in anchors(other), f"{target}#{anchor}"


def test_source_that_a_page_quotes_is_in_the_file() -> None:
    """In a `python` fence: the file's name in a comment, then lines of the file."""
    quotes = re.findall(
        r"^```python\n# (\S+)\n(.*?)^```", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE | re.DOTALL
    )
    assert quotes
    assert [name for name, lines in quotes if lines not in (ROOT / name).read_text()] == []


# Where a file that a page names may be: the page on the director says `core/states.py`.
_BASES = (
    "",
    "classroom",
    "director",
    "director/engines",
    "director/engines/scapy",
    "director/engines/ebpf",
    "labs",
)
_FILE = re.compile(r"`((?:[a-z][\w.-]*/)+[\w.-]*|\w+\.(?:py|h|c))`")
_OF_A_RUN = ("runs/", "scripts/", "pcap/", "logs/", "handed-in/", "conf/")  # of a run, or of a host
_HANDBOOKS = [page for page in PAGES if page.parent in (ROOT, ROOT / "docs", ROOT / "docs" / "bench")]


@pytest.mark.parametrize("page", _HANDBOOKS, ids=_each)
def test_a_file_that_a_page_names_exists(page: Path) -> None:
    named = {name for name in _FILE.findall(page.read_text()) if not name.startswith(_OF_A_RUN)}
    named = {name for name in named if "NAME" not in name}
    assert {name for name in named if not any((ROOT / base / name).exists() for base in _BASES)} == set()


# ---- messages that a page quotes ----

_MESSAGES = re.compile(r"^\| (?:message|note) \|.*\n\|[-|]+\n((?:\|.*\n)+)", re.MULTILINE)
_QUOTED = re.compile(r'"((?:[A-Z]|\.\.\. )[^"]+)"')
_QUOTING = [ROOT / "docs" / name for name in ("trouble.md", "teaching.md")]


@cache
def texts() -> str:
    """The source with its strings in one piece each, and with `_` where a value is filled in."""
    folders = [path for path in ROOT.iterdir() if (path / "__init__.py").exists() and path.name != "tests"]
    files = [ROOT / "tasks.py", ROOT / "inv", *(file for path in folders for file in path.rglob("*.py"))]
    joined = re.sub(r'"\s*\n\s*f?"', "", "\n".join(file.read_text() for file in files))
    return re.sub(r"\{[^{}]*\}", "_", joined)


def quoted(page: str) -> Iterator[str]:
    """The parts of the messages in the tables and the prose of a page, without what differs."""
    rows = (row for table in _MESSAGES.findall(page) for row in table.splitlines())
    for message in (*(row.strip("|").split(" | ")[0] for row in rows), *_QUOTED.findall(page)):
        for part in re.split(r"\.\.\.|, |NAME", " ".join(message.split())):
            if part.strip(" ."):
                yield part.strip(" .`")


@pytest.mark.parametrize("page", _QUOTING, ids=_each)
def test_a_message_that_a_page_quotes_is_in_the_source(page: Path) -> None:
    """Or begins with a value: the name of a file or program."""
    parts = list(quoted(page.read_text()))
    assert parts
    absent = [part for part in parts if part not in texts()]
    assert [part for part in absent if f"_ {part.partition(' ')[2]}" not in texts()] == []
