"""The exit codes of the tools are those of the table in docs/operating.md.

Those of ipvsadm are the kernel tool's: ipvsadm/test_recorded.py has nearly 300 of its answers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from director import explain, fwmark, ippfvsadm, ipvs_sysctl, ipvsadm
from director.control import cli

PAGE = Path(__file__).resolve().parents[3] / "docs" / "operating.md"
MAINS: dict[str, Callable[[Sequence[str]], int]] = {
    "ipvsadm": ipvsadm.main,
    "ippfvsadm": ippfvsadm.main,
    "fwmark": fwmark.main,
    "ipvs-sysctl": ipvs_sysctl.main,
    "lvs-explain": explain.main,
}
GOOD = {
    "ipvsadm": "-A -t 203.0.113.1:80",
    "ippfvsadm": "-A -t 203.0.113.1:80 -R 172.16.0.2:80",
    "fwmark": "-A -d 203.0.113.1 --set-mark 1",
    "ipvs-sysctl": "drop_entry=1",
    "lvs-explain": "198.51.100.101:4000 203.0.113.1:80",
}
# For each row of the table: the line of each tool, and the director's answer; None if there is no director.
ROWS: dict[str, tuple[dict[str, str], dict[str, Any] | None]] = {
    "is carried out": (
        {**GOOD, "lvs-explain": "--table 198.51.100.101:4000"},
        {"ok": True, "connections": []},
    ),
    "finds no director": (GOOD, None),
    "has an unknown option, or one without its value": (dict.fromkeys(MAINS, "-y"), {"ok": True}),
    "makes no sense in any other way": (
        {
            **GOOD,
            "ipvsadm": "-A",
            "ippfvsadm": "-A",
            "fwmark": "-A",
            "ipvs-sysctl": "-w x",
            "lvs-explain": "-t",
        },
        {"ok": True},
    ),
    "is refused by the director": (GOOD, {"ok": False, "error": "refused."}),
    "lists a service that does not exist (`-L -t`)": (
        {"ipvsadm": "-L -t 203.0.113.1:80"},
        {"ok": True, "services": []},
    ),
}


def table() -> list[tuple[str, dict[str, int]]]:
    """The rows: which line, and the code of each tool."""
    (text,) = re.findall(r"^\| the line \|.*(?:\n\|.*)+", PAGE.read_text(), re.MULTILINE)
    head, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines())
    tools = [re.findall("`([^`]+)`", names) for names in head[1:]]
    return [
        (
            line,
            {
                name: int(code)
                for names, code in zip(tools, codes, strict=True)
                if code != "-"
                for name in names
            },
        )
        for line, *codes in rows
    ]


def test_the_table_has_every_row() -> None:
    tried = {line: set(lines) for line, (lines, _) in ROWS.items()}
    assert {line: set(codes) for line, codes in table()} == tried


@pytest.mark.parametrize(("line", "codes"), table())
def test_a_tool_ends_with_the_code_of_the_table(
    line: str, codes: dict[str, int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines, answer = ROWS[line]
    monkeypatch.setenv("LVS_SOCKET", "/nowhere/director.sock")
    if answer is not None:
        monkeypatch.setattr(cli, "stream", lambda *_: iter([answer]))
    ended = {name: MAINS[name](words.split()) for name, words in lines.items()}
    assert ended == codes, capsys.readouterr().err
