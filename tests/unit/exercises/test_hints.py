"""A student finds the file that a hint names where `./inv shell HOST` starts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import exercises
from labs.plan import plan_for
from labs.run.options import HaOptions
from realserver_setup.render import name_for

PAGES = sorted(Path(exercises.__file__).parent.glob("*.md"))
IN_A_FOLDER = {name_for(setup).rpartition("/")[2] for setup in plan_for("ha", HaOptions()).setups}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_set_up_script_is_named_with_its_folder(page: Path) -> None:
    """Set-up scripts are in 1999/ and iproute2/; rules.sh and what starts a program are beside them."""
    assert "router.sh" in IN_A_FOLDER
    for paragraph in re.split(r"\n\n|\n###", page.read_text()):
        if "./inv shell" in paragraph:
            assert not set(re.findall(r"`([\w.]+)`", paragraph)) & IN_A_FOLDER, paragraph
