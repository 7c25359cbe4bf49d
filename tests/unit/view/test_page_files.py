"""The page of the live view: small, self-contained, and written so that one file can hold all of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PAGE, DIRECTOR = ROOT / "view" / "page", ROOT / "director"
MODULES = sorted(PAGE.glob("*.js"))
PAGES = sorted(PAGE.glob("*.html"))
FILES = [*MODULES, *PAGES, *PAGE.glob("*.css")]

_IMPORT = re.compile(r'^import \{ [\w, ]+ \} from "\./(\w+\.js)";$')
_EMITTED = re.compile(r"""(?:emit|_emit_refusal|count_end)\([^()]*?"(\w+)"[,)]""")
_DECLARED = re.compile(r"^(?:export )?(?:async )?(?:function|class|const|let) (\w+)", re.MULTILINE)
_DESTRUCTURED = re.compile(r"^(?:export )?const \[([^\]]+)\]", re.MULTILINE)


def _names(module: Path) -> list[str]:
    text = module.read_text()
    several = (name.strip() for part in _DESTRUCTURED.findall(text) for name in part.split(","))
    return [*_DECLARED.findall(text), *several]


def test_the_page_is_below_200_kb() -> None:
    assert {file.suffix for file in PAGE.iterdir()} == {".js", ".html", ".css"}
    assert sum(file.stat().st_size for file in FILES) < 200_000


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_nothing_is_fetched_from_elsewhere(file: Path) -> None:
    text = file.read_text().replace("http://www.w3.org/2000/svg", "")  # a name, not an address
    assert not re.search(r"https?://|//[a-z]+\.|@import|url\(\s*['\"]?(?!#)", text.replace("url(#", "#"))


@pytest.mark.parametrize("file", MODULES, ids=lambda file: file.name)
def test_text_never_becomes_markup_or_code(file: Path) -> None:
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\(|new Function|srcdoc",
        file.read_text(),
    )


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.name)
def test_a_strict_content_security_policy_is_enough(file: Path) -> None:
    text = file.read_text()
    assert not re.search(r"\son\w+=|\sstyle=|javascript:|<style", text)
    assert re.findall(r"<script[^>]*>", text) == re.findall(r'<script type="module" src="[\w/]+\.js">', text)


def test_modules_can_be_put_into_one_file() -> None:
    """One-line imports at the start, exports where something is declared, and no name twice."""
    owners: dict[str, str] = {}
    for module in MODULES:
        lines = module.read_text().splitlines()
        for line in lines:
            if line.startswith("import"):
                found = _IMPORT.match(line)
                assert found, f"{module.name}: {line}"
                assert (PAGE / found[1]).exists()
            if line.startswith("export"):
                assert re.match(r"export (async function|function|class|const) \w+", line), line
        if module.name == "wall.js":  # not in the single file
            continue
        for name in _names(module):
            assert name not in owners, f"{name} is in {owners[name]} and in {module.name}"
            owners[name] = module.name


def test_every_id_that_a_module_looks_for_exists() -> None:
    made = {name for file in MODULES for name in re.findall(r'\bid: "([\w-]+)"', file.read_text())}
    inline = set(re.findall(r'\bid="([\w-]+)"', "".join(file.read_text() for file in PAGES)))
    wanted = {name for file in MODULES for name in re.findall(r'find\("([\w-]+)"\)', file.read_text())}
    assert wanted <= made | inline


def test_the_documentation_lists_every_key() -> None:
    main = (PAGE / "main.js").read_text()
    rows = re.findall(r"^      \[.*?, \[([^\]]+)\], \"([^\"]+)\", \(\) =>", main, re.MULTILINE)
    keys = [f"| {names.replace(chr(34), '')} | {does} |" for names, does in rows]
    assert len(keys) >= 15
    documented = (PAGE.parents[1] / "docs" / "view.md").read_text()
    assert [line for line in documented.splitlines() if line in keys] == keys


def test_every_event_of_the_director_has_a_sign() -> None:
    source = "\n".join(file.read_text() for file in DIRECTOR.rglob("*.py"))
    emitted = set(_EMITTED.findall(source))
    signs = re.search(r"const SIGNS = \{(.*?)\};", (PAGE / "events.js").read_text(), re.DOTALL)
    assert signs is not None
    assert len(emitted) >= 10
    assert emitted <= set(re.findall(r"(\w+):", signs[1]))
