"""A run as one HTML file that needs no server: the page, its modules, its style and its items.

The modules are joined, each once and after those that it imports, so their names must not collide. Data is in
script elements of type application/json, which browsers do not run, with every `<` written as \\u003c. The
Content-Security-Policy allows only the file's one script and one style, by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

from labs.errors import BadRequest, Unable
from labs.terminal.exits import os_error_text
from labs.terminal.screen import busy, make_console
from view import run
from view.command import RATE, items_of

PAGE = Path(__file__).resolve().parent / "page"
_IMPORT = re.compile(r'^import \{[^}]*\} from "\./([\w.-]+)";$')


def write(folder: Path, target: Path) -> int:
    """Write the run of `folder` into `target`. Raises LabError."""
    target = target.absolute()
    if target.is_dir() or not target.parent.is_dir():
        raise BadRequest(f"--html {target}: expected a file in an existing folder.")
    document = run.document(folder)
    with busy(f"reading {folder.name}"):
        text = whole(document, items_of(folder, document, RATE))
    part = target.with_name(f"{target.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(target)
    except OSError as error:
        raise Unable(f"--html: {os_error_text(error)}.") from None
    console = make_console()
    console.print(f"Written: {target} ({len(text) / 1e6:.1f} MB)", soft_wrap=True, markup=False)
    if document["incomplete"]:
        console.print(str(document["incomplete"]))
    return 0


def whole(document: dict[str, Any], items: list[dict[str, Any]]) -> str:
    """The file's text. Raises Unable if the page's sources do not have the expected form."""
    html, style, script = (
        (PAGE / "index.html").read_text(),
        (PAGE / "style.css").read_text(),
        joined("main.js"),
    )
    lines = "\n".join(map(_data, items))
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    for place, text in (
        ('<link rel="stylesheet" href="page/style.css">', f"<style>{style}</style>"),
        (
            '<meta charset="utf-8">',
            f'<meta charset="utf-8">\n<meta http-equiv="Content-Security-Policy" content="{policy}">',
        ),
        (
            '<script type="module" src="page/main.js"></script>',
            f'<script type="application/json" id="run">{_data(document)}</script>\n'
            f'<script type="application/json" id="items">\n{lines}\n</script>\n'
            f'<script type="module">{script}</script>',
        ),
    ):
        if html.count(place) != 1:
            raise Unable(f"{PAGE / 'index.html'} has no {place}: restore the file with git checkout.")
        before, after = html.split(place)
        html = f"{before}{text}{after}"
    return html


def _data(value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


def joined(name: str) -> str:
    """A module and all its imports as one text. Raises Unable if the text would end its script element."""
    found: dict[str, str] = {}
    _collect(name, found)
    text = "\n".join(found.values())
    if "</script" in text.lower() or "<!--" in text:
        raise Unable(
            f"{PAGE}: a module contains </script or <!--, which would end the script of a single file."
        )
    return text


def _collect(name: str, found: dict[str, str]) -> None:
    if name in found:
        return
    lines = (PAGE / name).read_text().splitlines()
    imported = [match[1] for match in map(_IMPORT.match, lines) if match]
    for other in imported:
        _collect(other, found)
    kept = (line for line in lines if not line.startswith("import {"))
    found[name] = "\n".join(line.removeprefix("export ") for line in kept)


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
