"""What the administration tools share: reading a line as getopt(3) does, asking the director, failing.

A tool starts once per rule of a set-up script, so this imports as little as it can.
Exit codes: 0 done, 1 no director to talk to, 2 a line that can't be understood, 255 refused.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

from director.control import SOCKET, SOCKET_VARIABLE
from director.control.channel import ChannelError, join, stream

Fields = dict[str, Any]
Options = list[tuple[str, str | None]]

NO_VALUE, VALUE, OPTIONAL_VALUE = range(3)  # what follows an option
NO_DIRECTOR, WRONG, REFUSED = 1, 2, 255


class ToolError(Exception):
    """Why nothing was done: a sentence for people, and the exit code for programs.

    Without a sentence, all has been told. `place` is that of the one command, of many, which was refused.
    """

    def __init__(self, sentence: str, code: int, place: int | None = None) -> None:
        super().__init__(sentence)
        self.code = code
        self.place = place


class UsageError(ToolError):
    """A command line that makes no sense; the sentence tells why."""

    def __init__(self, sentence: str, code: int = WRONG) -> None:
        super().__init__(sentence, code)


class UnsupportedOption(UsageError):
    """One that makes sense elsewhere: it asks for what there is not here."""


def run(program: str, work: Callable[[Sequence[str]], str | Iterable[str]], arguments: Sequence[str]) -> int:
    """Print what `work` makes of the arguments, as it comes, or why it failed; returns the exit code."""
    try:
        print_output(work(arguments))
    except ToolError as failure:
        print_output("")  # what it has said until then comes first
        print_error(program, failure)
        return failure.code
    return 0


def print_error(program: str, failure: ToolError) -> None:
    """Tell it on standard error."""
    if str(failure):
        sys.stderr.write(f"{program}: {failure}\n")


def print_output(output: str | Iterable[str]) -> None:
    """Print it, as it comes. Whoever reads it, such as head, may stop early."""
    try:
        for text in (output,) if isinstance(output, str) else output:
            sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:  # the interpreter would try once more at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def query(request: Fields) -> Fields:
    """The director's answer. Raises ToolError when it refuses, or when there is none."""
    answer: Fields = {}
    for part in stream_reply(request):
        join(answer, part)
    return answer


def director_info() -> Fields:
    """What "list" tells besides the services: it comes first. Raises ToolError."""
    with closing(stream_reply({"do": "list"})) as told:
        return next(told)


def stream_reply(request: Fields) -> Generator[Fields, None, None]:
    """The same, in parts as they come (channel.py)."""
    try:
        for part in stream(os.environ.get(SOCKET_VARIABLE) or SOCKET, request):
            if not part.get("ok", True):
                raise ToolError(str(part.get("error", "refused.")), REFUSED, part.get("place"))
            yield part
    except ChannelError as error:
        raise ToolError(str(error), NO_DIRECTOR) from None


def apply(commands: Sequence[Fields]) -> None:
    """Have the director carry out all of `commands`, or none. Raises ToolError."""
    query({"do": "apply", "commands": list(commands)})


def numbered_lines(text: str, program: str) -> Iterator[tuple[int, list[str]]]:
    """The lines of a file that say something: their numbers, and their words.

    The program's name may stand first; # begins a remark.
    """
    for number, line in enumerate(text.split("\n"), start=1):
        words = line.split()
        if words[:1] == [program]:
            del words[0]
        if words and not words[0].startswith("#"):
            yield number, words


def at_line(number: int, failure: ToolError) -> ToolError:
    """The failure of a line, which says which."""
    return type(failure)(f"line {number}: {failure}", failure.code)


def getopt(
    program: str, words: Sequence[str], kinds: Mapping[str, int], names: Mapping[str, str] | None = None
) -> tuple[Options, list[str]]:
    """The options by their keys, with their values, in order; and the words that are no options.

    `kinds` has what follows each option; a key of one letter is an option of its own, and the
    long `names` lead to keys. `--` ends the options where there are long ones. Raises UsageError.
    """
    options: Options = []
    rest: list[str] = []
    queue = list(words)
    while queue:
        word = queue.pop(0)
        if names and word == "--":
            return options, rest + queue
        if not word.startswith("-") or word in ("-", "--"):
            rest.append(word)
        elif names and word.startswith("--"):
            options.append(_long(program, word, queue, kinds, names))
        else:
            options += _letters(program, word, queue, kinds)
    return options, rest


def _long(
    program: str, word: str, queue: list[str], kinds: Mapping[str, int], names: Mapping[str, str]
) -> tuple[str, str | None]:
    """`--name`, `--name=value` or `--name value`."""
    name, equals, value = word.partition("=")
    key = names.get(name[2:])
    if key is None:
        raise UsageError(f"there is no option {name}; {program} -h lists them.")
    if not equals:
        return key, _value(name, queue, kinds[key])
    if kinds[key] == NO_VALUE:
        raise UsageError(f"{name} takes no value.")
    return key, value


def _letters(program: str, word: str, queue: list[str], kinds: Mapping[str, int]) -> Options:
    """`-Ln`, `-At VALUE` or `-AtVALUE`: the letters of one word, the last perhaps with a value."""
    options: Options = []
    for place, letter in enumerate(word[1:], start=2):
        if letter not in kinds:
            raise UsageError(f"there is no option -{letter}; {program} -h lists them.")
        if kinds[letter] != NO_VALUE:
            value = word[place:] or _value(f"-{letter}", queue, kinds[letter])
            return [*options, (letter, value)]
        options.append((letter, None))
    return options


def _value(spelling: str, queue: list[str], kind: int) -> str | None:
    """The word after an option, if that is its value."""
    if kind == VALUE and not queue:
        raise UsageError(f"{spelling} needs a value.")
    if kind == VALUE or (kind == OPTIONAL_VALUE and queue and not queue[0].startswith("-")):
        return queue.pop(0)
    return None


def parse_number(text: str) -> int:
    """A decimal number, or -1."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else -1


def parse_ipv4(text: str) -> str | None:
    """An address or a netmask in dotted decimal without leading zeros, or None where `text` is none."""
    octets = [parse_number(octet) for octet in text.split(".")]
    if len(octets) != 4 or any(not 0 <= octet <= 255 for octet in octets):
        return None
    return ".".join(map(str, octets))
