"""A sealed submission opens unchanged, for the right class, or not at all."""

from __future__ import annotations

import json
import random
import tracemalloc
import zlib
from base64 import b64encode
from dataclasses import asdict, replace
from typing import Any

import pytest
from nacl.public import SealedBox

from classroom.keys import PRACTICE, key_name, private_key
from classroom.submission import (
    LARGEST,
    MARK,
    Refused,
    names_owner,
    new_run,
    opened,
    sanitize,
    sealed,
)
from labs.errors import BadRequest, Unable
from tests.unit.classroom.submissions import key, submission

MADE = submission()
DATA = sealed(MADE, key().public_key).encode()


def boxed(content: bytes) -> bytes:
    """A file that opens, whatever its content."""
    about = {"class": key_name(key().public_key), "exercise": "e04", "student": "ada"}
    box = b64encode(SealedBox(key().public_key).encrypt(content)).decode()
    return f"{MARK}\n{json.dumps(about)}\n{box}\n".encode()


def test_a_sealed_submission_opens_unchanged() -> None:
    assert opened(DATA, key()) == MADE


def test_a_submission_with_mail_line_ends_opens() -> None:
    assert opened(DATA.replace(b"\n", b"\r\n"), key()) == MADE


def test_a_key_follows_from_the_secret() -> None:
    assert bytes(private_key(" words\n")) == bytes(private_key("words"))
    assert bytes(private_key("words")) != bytes(private_key("word"))
    with pytest.raises(BadRequest, match="empty"):
        private_key(" \n")


def test_the_content_is_unreadable() -> None:
    assert b"vip_missing" not in DATA
    assert MADE.run.encode() not in DATA


def test_any_changed_byte_is_refused() -> None:
    chance = random.Random(4)
    lines = DATA.index(b"\n", len(MARK) + 1)
    places = [
        *range(lines + 2),
        *chance.sample(range(lines, len(DATA)), 150),
        *range(len(DATA) - 6, len(DATA)),
    ]
    for place in places:
        for change in (1, 1 << chance.randrange(1, 8)):
            changed = bytearray(DATA)
            changed[place] ^= change
            with pytest.raises(Refused):
                opened(bytes(changed), key())


def test_unused_base64_bits_must_not_change() -> None:
    """Base64 leaves unused bits in its last letter."""
    content = next(box for size in range(3) if (box := boxed(b"x" * size)).endswith(b"=\n"))
    letter = content.rstrip(b"=\n")[-1:]
    other = bytes([letter[0] + 1])
    changed = content.rstrip(b"=\n")[:-1] + other + content[len(content.rstrip(b"=\n")) :]
    with pytest.raises(Refused, match="cannot be decrypted"):
        opened(changed, key())


@pytest.mark.parametrize("left", [0, 1, 10, 19, 25, 60, 200, 600, len(DATA) - 5, len(DATA) - 1])
def test_a_truncated_submission_is_refused(left: int) -> None:
    with pytest.raises(Refused, match=r"cut short|not a submission"):
        opened(DATA[:left], key())


@pytest.mark.parametrize("more", [b"\n", b"x", b"more\n", b" "])
def test_appended_data_is_refused(more: bytes) -> None:
    with pytest.raises(Refused, match="added"):
        opened(DATA + more, key())


@pytest.mark.parametrize(
    ("old", "new"), [(b'"ada"', b'"bob"'), (b'"e04"', b'"e05"'), (b": ", b":"), (b"}", b', "x": 1}')]
)
def test_a_changed_second_line_is_reported(old: bytes, new: bytes) -> None:
    with pytest.raises(Refused, match="second line was changed: the content is e04 of ada"):
        opened(DATA.replace(old, new, 1), key())


def test_the_class_in_the_second_line_is_not_trusted() -> None:
    mine, other = key_name(key().public_key).encode(), key_name(key("other").public_key).encode()
    with pytest.raises(Refused, match="second line"):
        opened(DATA.replace(mine, other), key())


def test_another_class_is_reported() -> None:
    with pytest.raises(Refused, match="another class") as refused:
        opened(DATA, key("other"))
    assert key_name(key().public_key) in str(refused.value)


def test_the_practice_key_is_reported() -> None:
    practice = sealed(MADE, private_key(PRACTICE).public_key).encode()
    with pytest.raises(Refused, match="practice key"):
        opened(practice, key())


def test_a_huge_file_is_refused() -> None:
    with pytest.raises(Refused, match="too large"):
        opened(b"x" * (LARGEST + 1), key())


@pytest.mark.parametrize("content", [b" " * (64 * LARGEST), b"[" + b"[]," * 300_000 + b"0]"])
def test_a_bomb_is_refused(content: bytes) -> None:
    """A few kB that would become many MB, as text or as Python values."""
    file = boxed(zlib.compress(content, 9))
    tracemalloc.start()
    try:
        with pytest.raises(Refused, match="too large"):
            opened(file, key())
        assert tracemalloc.get_traced_memory()[1] < 4 * LARGEST
    finally:
        tracemalloc.stop()


def test_a_submission_too_large_to_open_is_not_written() -> None:
    for more in (["x" * LARGEST], list(range(100_000))):
        with pytest.raises(Unable, match="start the exercise again"):
            sealed(replace(MADE, seen={"more": more}), key().public_key)


def test_the_largest_submission_opens() -> None:
    room = LARGEST - len(json.dumps(asdict(replace(MADE, seen={"more": ""}))))
    largest = replace(MADE, seen={"more": "x" * room})
    assert opened(sealed(largest, key().public_key).encode(), key()) == largest


def test_the_name_of_a_run_shows_its_owner() -> None:
    run = new_run("e04", "ada")
    assert run != new_run("e04", "ada")
    assert names_owner(replace(MADE, run=run))
    others: list[dict[str, Any]] = [{"student": "eve"}, {"exercise": "e05"}, {"run": MADE.run}, {"run": ""}]
    for other in others:
        assert not names_owner(replace(MADE, **{"run": run, **other}))


@pytest.mark.parametrize(
    "content",
    [
        b"no deflate",
        zlib.compress(b"no json"),
        zlib.compress(b"[" * 100_000),
        zlib.compress(b"null"),
        zlib.compress(b'{"exercise": "e04"}'),
        zlib.compress(b"\xff\xfe"),
        zlib.compress(json.dumps({**asdict(MADE), "more": 1}).encode()),
        zlib.compress(json.dumps(asdict(MADE)).encode())[:-9],
    ],
)
def test_other_content_is_refused(content: bytes) -> None:
    with pytest.raises(Refused, match="not a valid submission"):
        opened(boxed(content), key())


@pytest.mark.parametrize(
    "changes",
    [
        {"student": 17},
        {"exercise": None},
        {"run": []},
        {"seen": []},
        {"state": "x"},
        {"facts": None},
        {"diagnosis": ["rs1"]},
        {"diagnosis": {"host": 1}},
        {"journal": {}},
        {"journal": [1]},
        {"journal": [{"what": "started"}]},
        {"journal": [{"at": "now", "what": "started"}]},
        {"journal": [{"at": 1, "what": None}]},
        {"journal": [{"at": float("nan"), "what": "started"}]},
        {"journal": [{"at": 1e300, "what": "started"}]},
        {"journal": [{"at": -1, "what": "started"}]},
    ],
)
def test_fields_of_other_types_are_refused(changes: dict[str, Any]) -> None:
    content = zlib.compress(json.dumps({**asdict(MADE), **changes}).encode())
    with pytest.raises(Refused, match="not a valid submission"):
        opened(boxed(content), key())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("two\n lines\t here ", "two lines here"),
        ("\x1b[31mred\x07", "?[31mred?"),
        ("a\u202eb\ud800\ufffec\x00", "a?b??c?"),
        ("größer", "größer"),
        ("x" * 400, "x" * 297 + "..."),
    ],
)
def test_foreign_text_becomes_printable(text: str, shown: str) -> None:
    assert sanitize(text) == shown
