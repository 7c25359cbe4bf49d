"""Scripts with an exercise's edits."""

from __future__ import annotations

import pytest

from classroom import catalogue
from classroom.model import Edit
from classroom.script_edits import edited, edits_of, script_editor
from classroom.variants import variant_for
from labs.errors import BuildFailed
from realserver_setup.render import Script, scripts_for

CASE = variant_for("e04", "ada")
SCRIPT = Script("rs1/1999/realserver.sh", "#!/bin/sh\n# the VIP\necho VIP {brace}\necho two\n")


def changed(*edits: Edit) -> list[str]:
    return edited(SCRIPT, edits, CASE).splitlines()[1:]


def test_a_line_is_replaced_and_facts_are_filled_in() -> None:
    assert changed(Edit("rs1", "", "echo VIP", "echo {vip} on {host}")) == [
        "# the VIP",
        f"echo {CASE.plan.vip} on rs1",
        "echo two",
    ]


def test_a_line_is_deleted_but_not_a_comment() -> None:
    assert changed(Edit("rs1", "", "VIP")) == ["# the VIP", "echo two"]


def test_a_line_is_added() -> None:
    assert changed(Edit("rs1", "", put="echo end"))[-2:] == ["echo two", "echo end"]


def test_a_whole_script_is_replaced() -> None:
    assert edited(SCRIPT, [Edit("rs1", "", put="echo all", whole=True)], CASE) == "echo all\n"


@pytest.mark.parametrize("find", ["echo three", "# the VIP"])
def test_an_edit_without_a_match_is_an_error(find: str) -> None:
    with pytest.raises(BuildFailed, match=r"realserver\.sh"):
        changed(Edit("rs1", "", find, "x"))


def test_only_the_drawn_server_is_changed() -> None:
    alter = script_editor(CASE)
    for setup in CASE.plan.setups:
        for name, script in scripts_for(setup).items():
            after = alter(script)
            if "/iproute2/" in name or name.endswith("-undo.sh"):
                assert after is None
            else:
                touched = name == f"{CASE.server}/1999/realserver.sh"
                assert after is not None
                assert (after.text != script.text) == touched


def test_the_healthy_lab_keeps_its_scripts() -> None:
    healthy = variant_for("e04", "ada", healthy=True)
    assert edits_of(healthy) == catalogue.load("e04").base
    script = next(iter(scripts_for(healthy.plan.setups[-1]).values()))
    after = script_editor(healthy)(script)
    assert after is not None
    assert after.text == script.text
