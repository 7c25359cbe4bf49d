"""What makes a recording out of date, and what does not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from oracle import fingerprint

CODE = '''\
"""What it is about."""

import os  # for names

NAME = "no # comment"


def work() -> str:
    """What it does,
    in two lines.
    """
    # first this
    return f"{os.name}#{NAME}"  # then that
'''


def test_comments_and_docstrings_are_not_code() -> None:
    assert fingerprint.essence(CODE).splitlines() == [
        "import os",
        'NAME = "no # comment"',
        "def work() -> str:",
        '    return f"{os.name}#{NAME}"',
    ]


@pytest.mark.parametrize(
    ("file", "was", "now", "same"),
    [
        ("wire.py", "# linux/if_packet.h, if_ether.h", "# from the kernel", True),
        ("kernel.py", '"""Kernel IPVS itself', '"""Kernel IPVS, itself', True),
        ("wire.py", '"net/ipv4/ip_forward": 1', '"net/ipv4/ip_forward": 0', False),
        ("talk.py", "1000 * number", "1001 * number", False),
        ("generate.py", "SEED = 1999", "SEED = 2000", True),  # makes other texts, which are compared as such
    ],
)
def test_what_changes_the_fingerprint(tmp_path: Path, file: str, was: str, now: str, same: bool) -> None:
    folder = shutil.copytree(Path(fingerprint.__file__).parent, tmp_path / "oracle")
    text = (folder / file).read_text()
    assert was in text
    (folder / file).write_text(text.replace(was, now))
    assert (fingerprint.player(folder) == fingerprint.player()) is same
