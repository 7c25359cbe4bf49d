"""What the administration tools share: options as getopt(3) reads them, requests to the director, failures.

A set-up script starts a tool once per rule, so this imports as little as possible.
Exit codes: 0 done, 1 no director, 2 a wrong line, 255 refused.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import IO, Any

from director.control import SOCKET, SOCKET_VARIABLE, channel
from director.control.channel import MAX_REQUEST, ChannelError, merge, stream
from director.formats import parse_number

Fields = dict[str, Any]
Options = list[tuple[str, str | None]]

NO_VALUE, VALUE, OPTIONAL_VALUE = range(3)  # what follows an option
NO_DIRECTOR, WRONG, REFUSED = 1, 2, 255
PROTOCOLS = {"t": "TCP", "u": "UDP"}  # by the option that names a service of theirs
MAX_PORT, MAX_MARK = 2**16 - 1, 2**32 - 1
_LONGEST = 2000  # characters of a sentence: it may quote a word of any length
PATIENCE = 2.0  # seconds without an answer, after which a terminal shows a notice


class ToolError(Exception):
    """Why nothing was done: a sentence for people and an exit code for programs.

    An empty sentence was printed already. `place` is the index of the refused command.
    """

    def __init__(self, sentence: str, code: int, place: int | None = None) -> None:
        super().__init__(sentence)
        self.code = code
        self.place = place


class UsageError(ToolError):
    """The command line is wrong."""

    def __init__(self, sentence: str, code: int = WRONG) -> None:
        super().__init__(sentence, code)


class UnsupportedOption(UsageError):
    """The command line is right for kernel IPVS, but this director lacks what it asks for."""


def run(program: str, work: Callable[[Sequence[str]], str | Iterable[str]], arguments: Sequence[str]) -> int:
    """Print the output of `work` as it comes, or why it failed; returns the exit code."""
    try:
        try:
            print_output(work(arguments))
        finally:
            print_output("")  # flushes what was printed before an error, which may fail as well
    except ToolError as error:
        print_error(program, error)
        return error.code
    return 0


def print_error(program: str, error: ToolError) -> None:
    sentence = str(error)
    if len(sentence) > _LONGEST:
        sentence = f"{sentence[:_LONGEST]} ... (cut off)"
    if sentence:
        sys.stderr.write(f"{program}: {sentence}\n")


def print_output(output: str | Iterable[str]) -> None:
    """Print as it comes; the reader may stop early, as head(1) does. Raises ToolError on a full disk."""
    try:
        for text in (output,) if isinstance(output, str) else output:
            sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:  # or the interpreter would try again when it exits
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            raise ToolError(f"cannot write to standard output: {error.strerror}.", WRONG) from None


# ---- the director ----


def query(request: Fields) -> Fields:
    """The director's answer. Raises ToolError if it refuses, or does not answer."""
    answer: Fields = {}
    for part in stream_reply(request):
        merge(answer, part)
    return answer


def director_info() -> Fields:
    """What "list" returns before the services: settings, timeouts, marks. Raises ToolError."""
    with closing(stream_reply({"do": "list"})) as parts:
        return next(parts)


def apply(commands: Sequence[Fields]) -> None:
    """Have the director carry out all of `commands`, or none. Raises ToolError."""
    query({"do": "apply", "commands": list(commands)})


def stream_reply(request: Fields) -> Generator[Fields, None, None]:
    """The parts of the director's answer as they come (channel.py). Raises ToolError."""
    path = os.environ.get(SOCKET_VARIABLE) or SOCKET
    with _notice_after_a_while(path) as answered:
        try:
            for part in stream(path, request):
                answered()
                if not part.get("ok", True):
                    raise ToolError(str(part.get("error", "refused.")), REFUSED, part.get("place"))
                yield part
        except ChannelError as error:
            raise ToolError(no_answer(path, error), NO_DIRECTOR) from None


def no_answer(path: str, error: ChannelError) -> str:
    """Why there is no answer from the director on `path`, and what to do."""
    cause = error.cause
    if isinstance(cause, FileNotFoundError | ConnectionRefusedError):
        return (
            f"no director listens on {path}: start one with lvs-director, or name its socket in the "
            f"environment variable {SOCKET_VARIABLE}."
        )
    if isinstance(cause, PermissionError):
        return f"{path} belongs to another user: run this as root, or as the user that runs the director."
    if isinstance(cause, TimeoutError):
        return (
            f"the director on {path} has not answered for {channel.TIMEOUT:.0f} s: it may be suspended "
            "(Ctrl-Z, SIGSTOP); kill -CONT resumes it."
        )
    if isinstance(cause, OSError) and cause.errno is None:
        return f"{path:.60} is not the path of a socket ({cause}): name a shorter one in {SOCKET_VARIABLE}."
    return str(error)


@contextmanager
def _notice_after_a_while(path: str) -> Iterator[Callable[[], None]]:
    """On a terminal, print a notice after a while; call the yielded function when an answer has come."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    import signal  # only now, because a script's rules do not need it

    def notice(*_: object) -> None:
        sys.stderr.write(f"No answer yet from the director on {path}; waiting ...\n")

    def answered() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)

    try:
        before = signal.signal(signal.SIGALRM, notice)
    except ValueError:  # not the main thread
        yield lambda: None
        return
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    try:
        yield answered
    finally:
        answered()
        signal.signal(signal.SIGALRM, before)


# ---- command lines ----


def read_rules(source: IO[bytes]) -> str:
    """The text of a file of rules. Raises ToolError if it is unreadable or huge, such as /dev/zero."""
    try:
        data = source.read(MAX_REQUEST + 1)
    except OSError as error:
        raise ToolError(f"cannot read the rules: {error.strerror}.", WRONG) from None
    if len(data) > MAX_REQUEST:
        raise ToolError(
            f"the input has more than {MAX_REQUEST >> 20} MiB, which is too large for rules.", WRONG
        )
    return data.decode("utf-8-sig", errors="replace")  # Windows editors begin a file with a byte order mark


def numbered_lines(text: str, program: str) -> Iterator[tuple[int, list[str]]]:
    """The lines of a file that are neither empty nor comments (#): their numbers and words.

    A line may begin with the name of the program.
    """
    for number, line in enumerate(text.split("\n"), start=1):
        words = line.split()
        if words[:1] == [program]:
            del words[0]
        if words and not words[0].startswith("#"):
            yield number, words


def at_line(number: int, error: ToolError) -> ToolError:
    """The same error, with the number of its line."""
    return type(error)(f"line {number}: {error}", error.code)


def getopt(
    program: str, words: Sequence[str], kinds: Mapping[str, int], names: Mapping[str, str] | None = None
) -> tuple[Options, list[str]]:
    """The options by their keys, with their values, in order; and the other words.

    `kinds` says what follows each option: a key of one letter is a short option, and `names` maps long ones
    to keys; `--help` is always `-h`. `--` ends the options where there are long ones. Raises UsageError.
    """
    options: Options = []
    rest: list[str] = []
    queue = deque(words)
    while queue:
        word = queue.popleft()
        if names and word == "--":
            return options, [*rest, *queue]
        if not word.startswith("-") or word in ("-", "--"):
            rest.append(word)
        elif word == "--help" and "h" in kinds:
            options.append(("h", None))
        elif names and word.startswith("--"):
            options.append(_long(program, word, queue, kinds, names))
        else:
            options += _letters(program, word, queue, kinds)
    return options, rest


def _long(
    program: str, word: str, queue: deque[str], kinds: Mapping[str, int], names: Mapping[str, str]
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


def _letters(program: str, word: str, queue: deque[str], kinds: Mapping[str, int]) -> Options:
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


def _value(spelling: str, queue: deque[str], kind: int) -> str | None:
    """The word after an option, if that is its value."""
    if kind == VALUE and not queue:
        raise UsageError(f"{spelling} needs a value.")
    if kind == VALUE or (kind == OPTIONAL_VALUE and queue and not queue[0].startswith("-")):
        return queue.popleft()
    return None


def parse_ipv6(text: str) -> str | None:
    """The canonical text (RFC 5952) of an IPv6 address; None if `text` is not one."""
    import socket  # only now, because most rules do not need it

    try:
        return socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, text))
    except (OSError, ValueError):
        return None


def parse_ipv4(text: str) -> str | None:
    """An address or a netmask in dotted decimal, without leading zeros; None if `text` is neither."""
    octets = [parse_number(octet) for octet in text.split(".")]
    if len(octets) != 4 or any(not 0 <= octet <= 255 for octet in octets):
        return None
    return ".".join(map(str, octets))
