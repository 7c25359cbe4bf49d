"""A rules file, as `ipvsadm -S` writes it: loaded when a director starts, and again on reload.

Only the differences are applied: everything else keeps its connections, counters and scheduler state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from director.control.channel import Message
from director.control.cli import Fields, ToolError, read_rules
from director.ipvsadm import save_format

Ask = Callable[[Message], Message]
Name = tuple[object, ...]  # of a rule: the values of its service's key, and its server, if any


class RulesFileError(Exception):
    """The file can't be read, or the director refuses it: the rules are unchanged."""


def load(file: Path, ask: Ask) -> str:
    """Replace the director's rules with those of `file`, or change nothing; returns a sentence about it.

    `ask` sends a request to the director. Raises RulesFileError, and whatever `ask` raises.
    """
    return install(file, read(file), ask)


def install(file: Path, wanted: Sequence[Fields], ask: Ask) -> str:
    """The same for rules that were read from `file` before."""
    listed = _ask(file, ask, {"do": "list", "at_once": True})["services"]
    changes = difference(save_format.read(save_format.text(listed, numeric=True)), wanted)
    if changes:
        _ask(file, ask, {"do": "apply", "commands": changes})
    services = sum("server" not in command for command in wanted)
    counts = f"services {services}, real servers {len(wanted) - services}, changes {len(changes)}"
    return f"The rules are those of {file}: {counts}."


def difference(present: Sequence[Fields], wanted: Sequence[Fields]) -> list[Fields]:
    """The commands that turn some rules into others; both are lists of AddService and AddServer."""
    before, after = ({_name(rule): rule for rule in rules} for rules in (present, wanted))
    deletions = [
        {"command": "DeleteServer" if "server" in rule else "DeleteService", **_named(rule)}
        for name, rule in before.items()
        if name not in after
        and ("server" not in rule or _service(rule) in after)  # else deleted with its service
    ]
    additions = [
        {**rule, "command": rule["command"].replace("Add", "Edit" if name in before else "Add")}
        for name, rule in after.items()
        if rule != before.get(name)
    ]
    return deletions + additions


def _named(rule: Fields) -> Fields:
    return {field: rule[field] for field in ("key", "server") if field in rule}


def _service(rule: Fields) -> Name:
    return tuple(rule["key"].values())


def _name(rule: Fields) -> Name:
    return (*_service(rule), *([rule["server"]] if "server" in rule else []))


def read(file: Path) -> list[Fields]:
    """The rules of the file. Raises RulesFileError, also for a duplicate."""
    try:
        with file.open("rb") as source:
            rules = save_format.read(read_rules(source))
    except OSError as error:
        raise RulesFileError(f"The rules in {file} can't be read: {error.strerror}.") from None
    except ToolError as error:
        raise RulesFileError(f"The rules in {file} can't be understood: {error}") from None
    names = set[Name]()
    for rule in rules:
        if rule["command"] not in ("AddService", "AddServer"):
            raise RulesFileError(
                f"The rules in {file} may have lines with -A and -a only, as ipvsadm -S writes them."
            )
        if _name(rule) in names:
            raise RulesFileError(f"The rules in {file} have {' '.join(map(str, _name(rule)))} twice.")
        names.add(_name(rule))
    return rules


def _ask(file: Path, ask: Ask, request: Message) -> Message:
    answer = ask(request)
    if not answer.get("ok"):
        raise RulesFileError(
            f"The rules in {file} are refused, and nothing has changed: {answer.get('error')}"
        )
    return answer
