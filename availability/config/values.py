"""Converts statements to values by the table of keywords (keywords.py), and refuses what is wrong."""

from __future__ import annotations

import difflib
import ipaddress
import math
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from availability.config import ConfigError
from availability.config.keywords import KEYWORDS, TABLE, Keyword, why_refused
from availability.config.text import Place, Statement
from director.formats import parse_number

_TRUE, _FALSE = ("on", "true", "yes"), ("off", "false", "no")
_MOST = {"number": 2**31 - 1, "seconds": 4_294_967}
_LEAST_SECONDS = 0.000001
_MAX_NAMED = 3  # blocks in a sentence
_ANY_CASE = ("protocol", "http_protocol", "type")  # keepalived accepts lower case, too
_HEAVIEST = 253  # between the lowest priority, 1, and the highest, 254


@dataclass(frozen=True, slots=True)
class Script:
    """A command with its arguments; `user` is the user to run it as, and perhaps a group, or empty."""

    words: tuple[str, ...]
    user: tuple[str, ...]
    place: Place = field(compare=False)

    def __str__(self) -> str:
        return shlex.join(self.words)


@dataclass(frozen=True, slots=True)
class Weight:
    """What a tracked script or interface adds to a priority; `reverse` inverts its sign."""

    value: int = 0
    reverse: bool = False


@dataclass(slots=True)
class Block:
    """A block: its keyword, the words before its brace, and its values and their places by keyword.

    `inside` has the blocks and lists in it, in order.
    """

    keyword: str
    words: list[str]
    place: Place = field(compare=False)
    values: dict[str, Any] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)
    inside: list[Block] = field(default_factory=list)
    lines: list[Statement] = field(default_factory=list)  # of a list

    def all(self, *keywords: str) -> list[Block]:
        return [block for block in self.inside if block.keyword in keywords]

    def get(self, keyword: str, default: Any = None) -> Any:
        return self.values.get(keyword, default)

    def error(self, sentence: str, keyword: str = "") -> ConfigError:
        """An error at the line of the keyword if the block has it, else of the block."""
        return self.places.get(keyword, self.place).error(sentence)


def read(statements: list[Statement]) -> Block:
    """The statements of a file as one block without a keyword. Raises ConfigError."""
    whole = Block("", [], Place("", 0))
    for statement in statements:
        _add(whole, statement)
    return whole


def _add(block: Block, statement: Statement) -> None:
    keyword = KEYWORDS[block.keyword].get(statement.keyword)
    if keyword is None:
        raise statement.place.error(_unknown(block.keyword, statement.keyword))
    if keyword.form in ("block", "list"):
        block.inside.append(_block(keyword, statement))
        return
    if statement.inside is not None:
        raise statement.place.error(f"{statement.keyword} takes no braces.")
    try:
        block.values[keyword.name] = _FORMS[keyword.form](keyword, statement)
    except ValueError as error:
        raise statement.place.error(f"{statement.keyword}: {error}.") from None
    block.places[keyword.name] = statement.place


def _unknown(block: str, word: str) -> str:
    """The sentence about a keyword that is not in the table of a block."""
    where = f" in {block}" if block else ""
    reason = why_refused(block, word)
    if reason:
        return f"{word}{where} is not supported here: {reason}."
    others = [name or "the top level" for name in TABLE if word in KEYWORDS[name]]
    if others:
        blocks = " or ".join([*others[:_MAX_NAMED], *["another block"] * (len(others) > _MAX_NAMED)])
        return f"{word} does not belong{where or ' at the top level'}, but in {blocks}."
    near = difflib.get_close_matches(word, KEYWORDS[block], n=1)
    return f"{word!r:.60} is not a keyword{where}{f'; did you mean {near[0]}?' if near else '.'}"


def _block(keyword: Keyword, statement: Statement) -> Block:
    block = Block(keyword.name, statement.words[1:], statement.place)
    if statement.inside is None:
        raise statement.place.error(f"{keyword.name} needs braces.")
    if keyword.form == "list":
        block.lines = statement.inside
        for line in block.lines:
            if line.inside is not None:
                raise line.place.error(f"{keyword.name} has lines, not blocks.")
        return block
    for inner in statement.inside:
        _add(block, inner)
    return block


# ---- the forms of values ----


def _one_value(statement: Statement) -> str:
    if len(statement.words) != 2:
        raise ValueError(f"expected one value, got {len(statement.words) - 1}")
    return statement.words[1]


def _flag(_keyword: Keyword, statement: Statement) -> bool:
    if len(statement.words) > 1:
        raise ValueError(f"expected no value, got {statement.words[1]!r:.60}")
    return True


def _bool(_keyword: Keyword, statement: Statement) -> bool:
    word = _one_value(statement).lower() if len(statement.words) > 1 else "on"
    if word not in _TRUE + _FALSE:
        raise ValueError(f"expected on or off, got {word!r:.60}")
    return word in _TRUE


def _limits(keyword: Keyword) -> tuple[float, float]:
    minimum, _, maximum = keyword.choices.partition("..")
    lowest = float(minimum) if minimum else _LEAST_SECONDS
    return lowest, float(maximum) if maximum else _MOST[keyword.form.rstrip("?")]


def _number(keyword: Keyword, statement: Statement) -> int:
    word = _one_value(statement)
    minimum, maximum = _limits(keyword)
    digits = word.removeprefix("-") if minimum < 0 else word
    if parse_number(digits, 19) < 0 or not minimum <= int(word) <= maximum:
        raise ValueError(f"expected a number from {minimum:.0f} to {maximum:.0f}, got {word!r:.60}")
    return int(word)


def _optional_number(keyword: Keyword, statement: Statement) -> int | None:
    return _number(keyword, statement) if len(statement.words) > 1 else None


def _seconds(keyword: Keyword, statement: Statement) -> float:
    word = _one_value(statement)
    minimum, maximum = _limits(keyword)
    try:
        value = float(word) if word[:1].isdigit() or word[:1] == "." else math.nan
    except ValueError:
        value = math.nan
    if not minimum <= value <= maximum:
        at_least = "more than 0" if minimum == _LEAST_SECONDS else f"{minimum:.0f} or more"
        raise ValueError(f"expected seconds, {at_least}, got {word!r:.60}")
    return value


def _choice(keyword: Keyword, statement: Statement) -> str:
    if statement.words[1:3] == ["TUN", "type"]:
        raise ValueError("TUN type ... is not supported here: write TUN, which is IP in IP")
    word = _one_value(statement)
    choices = keyword.choices.split("|")
    if keyword.name in _ANY_CASE:
        word = word.upper()
    if word not in choices:
        raise ValueError(f"expected {' or '.join(choices)}, got {word!r:.60}")
    return word


def _word(_keyword: Keyword, statement: Statement) -> str:
    return _one_value(statement)


def _text(_keyword: Keyword, statement: Statement) -> str:
    if len(statement.words) < 2:
        raise ValueError("expected a value")
    return " ".join(statement.words[1:])


def _several(_keyword: Keyword, statement: Statement) -> list[str]:
    return statement.words[1:]


def _address(_keyword: Keyword, statement: Statement) -> str:
    return address(_one_value(statement))


def _group(version: int, statement: Statement) -> str:
    """A multicast address."""
    found = ipaddress.ip_address(address(_one_value(statement)))
    if found.version != version or not found.is_multicast:
        raise ValueError(f"expected a multicast address of IPv{version}, got {str(found)!r:.60}")
    return str(found)


def _mask(_keyword: Keyword, statement: Statement) -> str:
    """A netmask of IPv4, or a prefix length of IPv6."""
    word = _one_value(statement)
    number = parse_number(word, 3)
    return str(number) if 1 <= number <= 128 else ipv4(word)


def _user(_keyword: Keyword, statement: Statement) -> tuple[str, ...]:
    if not 2 <= len(statement.words) <= 3:
        raise ValueError("expected a user and perhaps a group")
    return tuple(statement.words[1:])


def _script(_keyword: Keyword, statement: Statement) -> Script:
    if not 2 <= len(statement.words) <= 4:
        raise ValueError("expected a command in quotation marks, and perhaps a user and a group")
    return Script(command(statement.words[1]), tuple(statement.words[2:]), statement.place)


_FORMS: dict[str, Callable[[Keyword, Statement], Any]] = {
    "flag": _flag,
    "bool": _bool,
    "number": _number,
    "number?": _optional_number,
    "seconds": _seconds,
    "one": _choice,
    "word": _word,
    "text": _text,
    "words": _several,
    "address": _address,
    "group4": lambda _keyword, statement: _group(4, statement),
    "group6": lambda _keyword, statement: _group(6, statement),
    "mask": _mask,
    "user": _user,
    "script": _script,
    "weight": lambda _keyword, statement: weight(statement.words[1:]),
}


def address(word: str) -> str:
    """An IPv4 or IPv6 address, without a zone. Raises ValueError."""
    try:
        found = ipaddress.ip_address(word)
    except ValueError:
        raise ValueError(f"expected an IP address, got {word!r:.60}") from None
    if "%" in word:
        raise ValueError(f"expected an address without a zone, got {word!r:.60}")
    return str(found)


def ipv4(word: str) -> str:
    """An IPv4 address. Raises ValueError."""
    try:
        return str(ipaddress.IPv4Address(word))
    except ValueError:
        raise ValueError(f"expected an IPv4 address, got {word!r:.60}") from None


def bits(address: str) -> int:
    """The number of bits in an address of the same family."""
    return 128 if ":" in address else 32


def port(word: str, minimum: int = 1) -> int:
    """Raises ValueError."""
    if not minimum <= (number := parse_number(word, 5)) <= 65535:
        raise ValueError(f"expected a port from {minimum} to 65535, got {word!r:.60}")
    return number


def weight(words: list[str]) -> Weight:
    """NUMBER [reverse]. Raises ValueError."""
    number = words[0] if words else ""
    if parse_number(number.removeprefix("-"), 3) < 0 or abs(int(number)) > _HEAVIEST:
        raise ValueError(f"expected a weight from -{_HEAVIEST} to {_HEAVIEST}, got {number!r:.60}")
    if words[1:] not in ([], ["reverse"]):
        raise ValueError(f"expected reverse or nothing after the weight, got {words[1]!r:.60}")
    return Weight(int(number), len(words) > 1)


def command(text: str) -> tuple[str, ...]:
    """A command and its arguments, which single quotation marks hold together. Raises ValueError."""
    try:
        words = tuple(shlex.split(text))
    except ValueError:
        raise ValueError(f"a quotation mark is never closed in {text!r:.60}") from None
    if not words or not words[0] or any("\0" in word for word in words):
        raise ValueError(f"expected a command, got {text!r:.60}")
    return words
