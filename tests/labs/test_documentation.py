"""Every command that the documentation shows is run, as it stands there.

A shell block is a command each line. `sudo` is left out (a newcomer needs it once, for the
installation), and so is what would start the tests in the tests.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("labs/*/README.md")])
_BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
_NOT_HERE = ("./inv test", "./inv vm", "git clone", "cd ")
_TYPED = re.compile(r"^mininet> (.*)$", re.MULTILINE)
_COMPLAINTS = ("lvs-explain:", "ipvsadm:", "fwmark:", "ipvs-sysctl:", "not found", "*** Unknown")


def commands() -> Iterator[str]:
    """The documented commands, each once."""
    seen = set()
    for page in PAGES:
        for block in _BLOCK.findall(page.read_text()):
            for line in block.splitlines():
                command = line.partition("#")[0].strip().removeprefix("sudo ")
                if command and not command.startswith(_NOT_HERE) and command not in seen:
                    seen.add(command)
                    yield command


@pytest.mark.parametrize("command", list(commands()))
def test_a_documented_command_works(command: str) -> None:
    done = subprocess.run(
        shlex.split(command), cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=180
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_documentation_has_commands() -> None:
    assert {"./inv lab-nat", "./inv lab-tun", "./inv lab-dr"} <= set(commands())


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_what_is_typed_at_the_prompt_works(page: Path) -> None:
    typed = _TYPED.findall(page.read_text())
    if not typed:
        return
    done = subprocess.run(
        [ROOT / "inv", "lab-nat", "--cli"],
        input="\n".join([*typed, "exit", ""]),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stdout
    _, prompt, answers = done.stdout.partition("mininet>")
    assert prompt
    assert len(answers.splitlines()) > len(typed)
    assert not [complaint for complaint in _COMPLAINTS if complaint in answers], answers


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target
