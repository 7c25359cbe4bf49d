"""What makes no sense of what was typed: in words that help, with the nearest that does.

Invoke tells which word it is. Here is what to type instead.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence

from invoke.exceptions import ParseError
from invoke.parser.argument import Argument
from invoke.parser.context import ParserContext

from labs.errors import BadRequest

_UNKNOWN = re.compile(r"No idea what (.*) is!", re.DOTALL)
_NO_VALUE = re.compile(r"Flag <Argument: ([\w-]+)")
_MISSING = re.compile(r"'([\w-]+)' did not receive required positional arguments: '([\w-]+)'")


def refusal(error: ParseError, commands: Sequence[ParserContext]) -> BadRequest:
    """What to raise for it."""
    told, known = str(error), {str(one.name): one for one in commands}
    if found := _UNKNOWN.fullmatch(told):
        command = error.context.name if error.context else None
        return BadRequest(_unknown(_word(found[1]), known, known.get(command or "")))
    if found := _NO_VALUE.match(told):
        return BadRequest(f"--{found[1]} needs a value: ./inv {_name_of(error)}--help says which.")
    if (found := _MISSING.match(told)) and error.context:
        what = (error.context.args[found[2]].help or "").rstrip(".")
        return BadRequest(f"./inv {found[1]} needs a {found[2]}: {what[:1].lower()}{what[1:]}.")
    return BadRequest(told)


def _word(quoted: str) -> str:
    """Invoke quotes it as Python does, or just so."""
    return quoted[1:-1] if quoted[:1] == quoted[-1:] and quoted[:1] in ("'", '"') else quoted


def _name_of(error: ParseError) -> str:
    return f"{error.context.name} " if error.context and error.context.name else ""


def _unknown(word: str, known: Mapping[str, ParserContext], command: ParserContext | None) -> str:
    if command is None and word.startswith("-"):
        owner = next((name for name, one in known.items() if word in one.flags), None)
        if owner:
            return f"{word} belongs behind the command: ./inv {owner} {word}, say."
        return f"There is no option {word}: options come behind the command; ./inv --list shows all commands."
    if command is None:
        near = _nearest(word.replace("_", "-"), [*known, "--help", "--list"])
        meant = f": did you mean ./inv {near}?" if near else ":"
        return f"There is no command {word!r}{meant} ./inv --list shows all."
    if word.startswith("-"):
        near = _nearest(word.replace("_", "-"), [flag for flag in command.flags if flag.startswith("--")])
        what = f"./inv {command.name} has no option {word}"
    else:
        near = _nearest(f"--{word}", [flag for flag in command.flags if flag.startswith("--")])
        what = f"./inv {command.name} has no use for {word!r}"
    meant = f": did you mean {near}?" if near else ":"
    return f"{what}{meant} ./inv {command.name} --help lists its options."


def _nearest(word: str, known: Iterable[str]) -> str:
    """Dashes don't count: two short options would be alike by those alone."""
    bare = {name.strip("-"): name for name in known}
    return next((bare[name] for name in difflib.get_close_matches(word.strip("-"), bare, n=1)), "")


def require_values(command: ParserContext) -> None:
    """Raises BadRequest for an option whose value is empty, as of an unset variable: it would not count."""
    arguments: Iterable[Argument] = command.args.values()
    for one in arguments:
        if one.raw_value == "" and not one.positional:
            raise BadRequest(f"--{one.name} is empty: give it a value, or leave it out.")
