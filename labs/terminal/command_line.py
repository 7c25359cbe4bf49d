"""The command line: Invoke, with help by audience, and a sentence for what it does not understand.

Invoke says which word it can't parse. `refusal` says what to type instead, with the nearest match.
"""

from __future__ import annotations

import difflib
import inspect
import re
import shlex
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

from invoke.config import Config
from invoke.exceptions import ParseError
from invoke.parser.argument import Argument
from invoke.parser.context import ParserContext
from invoke.program import Program
from invoke.tasks import Task
from invoke.terminals import pty_size
from invoke.util import helpline

from labs.errors import BadRequest

_UNKNOWN = re.compile(r"No idea what (.*) is!", re.DOTALL)
_NO_VALUE = re.compile(r"Flag <Argument: ([\w-]+)")
_MISSING = re.compile(r"'([\w-]+)' did not receive required positional arguments: '([\w-]+)'")
_VM_WITH_VALUE = ("--command", "-c", "--kernel", "-k")  # options of `vm`


class Command(Task[Any]):
    """A task with an audience and a file that it `needs`; -h stays reserved for --help."""

    def __init__(
        self, *arguments: Any, audience: str = "", needs: Path | None = None, **options: Any
    ) -> None:
        super().__init__(*arguments, **options)
        self.audience = audience
        self.needs = needs

    def arg_opts(self, name: str, default: str, taken_names: set[str]) -> dict[str, Any]:
        return super().arg_opts(name, default, taken_names | {"h", "-"})


class OwnConfig(Config):
    """Ignores the user's settings for other projects: ~/.invoke.yaml and INVOKE_*."""

    def load_system(self, merge: bool = True) -> None:
        pass

    def load_user(self, merge: bool = True) -> None:
        pass

    def load_shell_env(self) -> None:
        pass


class LabProgram(Program):
    """Invoke, except that a command line it can't parse ends with 2 and one sentence."""

    def parse_core(self, argv: list[str] | None) -> None:
        with self._refusal(argv or sys.argv):
            super().parse_core(argv)

    def parse_tasks(self) -> None:
        with self._refusal(self.argv):
            _require_no_repeats(self.argv)
            words = self.core.unparsed
            if {"-h", "--help"} & set(words[1:]):  # Invoke would take it for the name of an exercise
                self.args.help.set_value(words[0], cast=False)
                words.clear()
            super().parse_tasks()
        names = [task.name or "" for task in self.tasks]
        if len(names) > 1:
            raise BadRequest(f"One command at a time, not {' and '.join(names)}: run them one by one.")
        for task in self.tasks:
            require_values(task)

    def parse_cleanup(self) -> None:
        with self._refusal(self.argv):
            if isinstance(self.args.list.value, str):  # `--list COLLECTION`: ./inv has no collections
                self.args.list.set_value(True, cast=False)
            super().parse_cleanup()

    def print_help(self) -> None:
        """List the commands, without Invoke's own options, which are of no use here."""
        print(f"Usage: {self.binary} COMMAND [OPTIONS]; {self.binary} COMMAND --help lists the options.\n")
        if not hasattr(self, "collection"):
            self.load_collection()
            self.scoped_collection, self.list_root, self.list_depth = self.collection, None, None
        self.list_tasks()

    def list_tasks(self) -> None:
        """The commands by audience, in the order of tasks.py, without those a student's archive lacks."""
        tasks = [
            (name, task)
            for name, task in self.scoped_collection.tasks.items()
            if task.needs is None or task.needs.exists()
        ]
        width = max(len(name) for name, _ in tasks)
        for audience, group in groupby(tasks, lambda item: item[1].audience):
            print(f"{audience}:\n")
            self.print_columns([(name.ljust(width), helpline(task)) for name, task in group])

    def print_task_help(self, name: str) -> None:
        """The options of one command, without Invoke's own before it and further commands after it."""
        command = self.parser.contexts[name]
        words = "".join(f" {argument.name.upper()}" for argument in command.positional_args)
        options = command.help_tuples()
        print(f"Usage: {self.binary} {name}{words}{' [OPTIONS]' if options else ''}\n")
        for paragraph in (inspect.getdoc(self.collection[name]) or "").split("\n\n"):
            text = " ".join(paragraph.split())
            print(textwrap.fill(text, pty_size()[0], initial_indent="  ", subsequent_indent="  ") + "\n")
        if options:
            print("Options:\n")
            self.print_columns(options)

    @contextmanager
    def _refusal(self, argv: Sequence[str]) -> Iterator[None]:
        try:
            yield
        except ParseError as error:
            known = self.collection.to_contexts() if hasattr(self, "collection") else ()
            raise refusal(error, known) from None
        except ValueError as error:  # from int(), with which Invoke reads the value of such an option
            wrong = str(error).partition(": ")[2].strip("'") or str(error)
            words = [part for word in argv for part in word.split("=", 1)]
            option = next((f"{name} " for name, value in pairwise(words) if value == wrong), "")
            raise BadRequest(f"{option}{wrong!r} is not a whole number.") from None


def for_vm(arguments: list[str]) -> list[str]:
    """Join what follows `vm` and its own options, a command line of its own, into one word."""
    place = _place_of_command(arguments)
    if arguments[place : place + 1] != ["vm"]:
        return arguments
    start = place + 1
    while start < len(arguments) and arguments[start].startswith("-"):
        start += 2 if arguments[start] in _VM_WITH_VALUE else 1
    words = arguments[start:]
    if {"-h", "--help"} & set(words):  # needs no virtual machine
        return [*arguments[:place], *words]
    return [*arguments[:start], "--command", shlex.join(words)] if words else arguments


def for_view(arguments: list[str]) -> list[str]:
    """Turn the optional word of `view` into an option, because Invoke has no optional arguments."""
    start = _place_of_command(arguments)
    if arguments[start : start + 1] != ["view"]:
        return arguments
    for place, (before, word) in enumerate(pairwise(arguments[start:]), start + 1):
        takes_it = before.startswith("-") and "=" not in before and before not in ("-w", "--wall")
        if not word.startswith("-") and not takes_it:
            return [*arguments[:place], "--run", *arguments[place:]]
    return arguments


def _place_of_command(arguments: Sequence[str]) -> int:
    """Where the command's name stands: typed outside of the checkout, ./inv puts --search-root before it."""
    return 3 if arguments[1:2] == ["--search-root"] else 1


def _require_no_repeats(argv: Sequence[str]) -> None:
    """Raises BadRequest for an option given twice, whose second value Invoke would take for a command."""
    options = [word.partition("=")[0] for word in argv if word.startswith("--") and word != "--"]
    for option in options:
        if options.count(option) > 1:
            raise BadRequest(f"{option} is given twice: give it once.")


def require_values(command: ParserContext) -> None:
    """Raises BadRequest for an option with an empty value, as from an unset shell variable."""
    arguments: Iterable[Argument] = command.args.values()
    for argument in arguments:
        if argument.raw_value == "" and not argument.positional:
            raise BadRequest(f"--{argument.name} is empty: give it a value, or leave it out.")


def refusal(error: ParseError, commands: Sequence[ParserContext]) -> BadRequest:
    """The exception that says what is wrong with the command line, and what to type."""
    text, known = str(error), {str(command.name): command for command in commands}
    if found := _UNKNOWN.fullmatch(text):
        command = error.context.name if error.context else None
        return BadRequest(_unknown(_unquoted(found[1]), known, known.get(command or "")))
    if found := _NO_VALUE.match(text):
        return BadRequest(f"--{found[1]} needs a value: see ./inv {_name_of(error)}--help.")
    if (found := _MISSING.match(text)) and error.context:
        what = (error.context.args[found[2]].help or "").rstrip(".")
        what = f"{what[:1].lower()}{what[1:]}"
        needed = what if what.startswith(f"{found[2]} ") else f"{found[2]}: {what}"
        return BadRequest(f"./inv {found[1]} needs a {needed}.")
    return BadRequest(text)


def _unquoted(word: str) -> str:
    """Invoke quotes some words as Python does, and others not at all."""
    return word[1:-1] if word[:1] == word[-1:] and word[:1] in ("'", '"') else word


def _name_of(error: ParseError) -> str:
    return f"{error.context.name} " if error.context and error.context.name else ""


def _unknown(word: str, known: Mapping[str, ParserContext], command: ParserContext | None) -> str:
    if command is None and word.startswith("-"):
        owner = next((name for name, context in known.items() if word in context.flags), None)
        if owner:
            return f"{word} belongs after the command, as in ./inv {owner} {word}."
        return f"There is no option {word}. Options follow the command; ./inv --list shows all commands."
    if command is None:
        near = _nearest(word.replace("_", "-"), [*known, "--help", "--list"])
        meant = f" Did you mean ./inv {near}?" if near else ""
        return f"There is no command {word!r}.{meant} ./inv --list shows all commands."
    if word.startswith("-"):
        near = _nearest(word.replace("_", "-"), [flag for flag in command.flags if flag.startswith("--")])
        what = f"./inv {command.name} has no option {word}."
    else:
        near = _nearest(f"--{word}", [flag for flag in command.flags if flag.startswith("--")])
        what = f"./inv {command.name} takes no argument {word!r}."
    meant = f" Did you mean {near}?" if near else ""
    return f"{what}{meant} ./inv {command.name} --help lists its options."


def _nearest(word: str, known: Iterable[str]) -> str:
    """The closest match, ignoring dashes, which alone would make two short options similar."""
    bare = {name.strip("-"): name for name in known}
    return next((bare[name] for name in difflib.get_close_matches(word.strip("-"), bare, n=1)), "")
