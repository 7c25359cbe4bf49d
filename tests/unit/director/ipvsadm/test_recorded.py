"""Every command of recorded.txt: the same output and the same exit code as the kernel's ipvsadm."""

from __future__ import annotations

import io
import re
import shlex
import sys
from contextlib import redirect_stderr, redirect_stdout

import pytest

from director.ipvsadm import main
from tests.unit.director.ipvsadm.support import Recorded, recording, stand_in

RECORDED = list(recording())


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str, int]]:
    """Output, complaint and exit code of our ipvsadm for each."""
    with pytest.MonkeyPatch.context() as patch:
        table, machine = stand_in(patch, tmp_path_factory.mktemp("machine"))
        found = []
        for recorded in RECORDED:
            if recorded.hosts is not None:
                machine.set_hosts(recorded.hosts)
                table.clear()
            found.append(run(patch, recorded))
        return found


def run(patch: pytest.MonkeyPatch, recorded: Recorded) -> tuple[str, str, int]:
    program, *words = shlex.split(recorded.command)
    assert program == "ipvsadm"
    patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(recorded.stdin.encode())))
    with redirect_stdout(io.StringIO()) as output, redirect_stderr(io.StringIO()) as complaint:
        code = main(words)
    return output.getvalue(), complaint.getvalue(), code


@pytest.mark.parametrize("place", range(len(RECORDED)), ids=lambda place: RECORDED[place].command)
def test_the_answer_is_that_of_the_recording(answers: list[tuple[str, str, int]], place: int) -> None:
    recorded = RECORDED[place]
    output, complaint, code = answers[place]
    if output.startswith("-A"):  # differs: saved-thresholds
        output = re.sub(" -[xy] [0-9]+", "", output)
    assert (output, code) == (recorded.stdout, recorded.code)
    assert complaint.count("\n") == (code != 0)
    assert code == 0 or complaint.startswith("ipvsadm: ")


def test_the_recording_is_whole() -> None:
    assert len(RECORDED) > 250
    assert {recorded.code for recorded in RECORDED} == {0, 1, 2, 255}
