"""Parses the text of keepalived.conf into statements: the words of a line, and the block in braces.

    include FILE                a file, or several (wildcards), relative to the including file
    # !                         comments, to the end of the line
    "two words" 'two words'     one word, with the escapes of the C language
    WORD{WORD}                  as WORD { WORD }: braces need no space around them
    @NAME, @^NAME               this line only if the configuration's name is NAME (or is not)
    $NAME=VALUE $NAME ${NAME}   a parameter and its uses; a value may have several lines, all but its last
                                ending with a backslash

values.py gives the words their meaning. Source: keepalived.conf(5) of keepalived 2.2.7.
"""

from __future__ import annotations

import glob
import os
import re
import stat
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from availability.config import ConfigError

MAX_INCLUDES = 10  # nested
MAX_LINES = 1_000_000  # after parameters are replaced
MAX_LINE = 65536  # characters, after parameters are replaced
_INCLUDES = {"include": False, "includer": False, "includem": True, "includew": True, "includea": True}
_DEFINITION = re.compile(r"\s*\$([A-Za-z_]\w*)=(.*)", re.DOTALL)
_USE = re.compile(r"\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*)(?=\s|$))")
_ESCAPES = {"a": "\a", "b": "\b", "E": "\x1b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_CODE = re.compile(r"([0-7]{1,3})|x([0-9A-Fa-f]{1,6})")
_BRACES = ("{", "}")


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file."""

    file: str
    line: int

    def error(self, sentence: str) -> ConfigError:
        return ConfigError(f"{self.file}:{self.line}: {sentence}")


@dataclass(slots=True)
class Statement:
    """A keyword and its values; `inside` has the statements in its braces, None without braces."""

    words: list[str]
    place: Place
    inside: list[Statement] | None = None

    @property
    def keyword(self) -> str:
        return self.words[0]


def read(file: Path, name: str = "") -> list[Statement]:
    """Parse a file; `name` is the configuration's, for lines with @NAME. Raises ConfigError."""
    top: list[Statement] = []
    blocks = [top]
    opened: list[Statement] = []
    closed = False  # whether a "{" may no longer belong to the statement before it
    for line in _Reader(name).lines(file):
        for words in _split(line):
            if words == ["{"]:
                if not blocks[-1] or closed:
                    raise line.place.error("an opening brace needs a keyword before it.")
                opened.append(blocks[-1][-1])
                opened[-1].inside = []
                blocks.append(opened[-1].inside)
                closed = True
            elif words == ["}"]:
                if not opened:
                    raise line.place.error("a closing brace has no opening brace.")
                opened.pop()
                blocks.pop()
                closed = True
            else:
                blocks[-1].append(Statement(words, line.place))
                closed = False
    if opened:
        raise opened[-1].place.error(f"the brace after {opened[-1].keyword} is never closed.")
    return top


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    place: Place


@dataclass
class _Reader:
    """Lines without comments, with files included and parameters replaced."""

    name: str
    parameters: dict[str, str] = field(default_factory=dict)
    count: int = 0

    def lines(self, file: Path, depth: int = 0, by: Place | None = None) -> Iterator[_Line]:
        """Raises ConfigError."""
        waiting = deque(_numbered(file, by))
        self.parameters["_PWD"] = str(file.resolve().parent)
        while waiting:
            line = self._count(waiting.popleft())
            words = line.text.split()
            if words and words[0] in _INCLUDES:
                for other in _included(line, words, file.parent):
                    if depth == MAX_INCLUDES:
                        raise line.place.error(
                            f"includes are nested more than {MAX_INCLUDES} deep: does a file include itself?"
                        )
                    yield from self.lines(other, depth + 1, line.place)
                self.parameters["_PWD"] = str(file.resolve().parent)
                continue
            replaced = self._replace(line)
            if "\n" in replaced:
                waiting.extendleft(_Line(text, line.place) for text in reversed(replaced.split("\n")))
            elif replaced.strip():
                yield _Line(replaced, line.place)

    def _count(self, line: _Line) -> _Line:
        self.count += 1
        if self.count > MAX_LINES:
            raise line.place.error(f"parameters make more than {MAX_LINES} lines.")
        return line

    def _replace(self, line: _Line) -> str:
        """The line with its parameters replaced; empty for a definition or another configuration's line."""
        text = self._chosen(line.text)
        definition = _DEFINITION.match(text)
        if definition:
            self.parameters[definition[1]] = definition[2]
            return ""
        for _ in range(MAX_LINES):
            use = next((use for use in _USE.finditer(text) if self._value(use) is not None), None)
            if not use:
                break
            text = text[: use.start()] + (self._value(use) or "") + text[use.end() :]
            self._count(line)
            if len(text) > MAX_LINE:
                raise line.place.error(f"parameters make this line longer than {MAX_LINE} characters.")
            if "\n" in text:
                return text
        if text.lstrip().startswith(("~SEQ", "~LST")):
            raise line.place.error(f"{text.split()[0][:4]} blocks are not supported: write the lines out.")
        return self._chosen(text) if text.lstrip().startswith("@") else text

    def _value(self, use: re.Match[str]) -> str | None:
        return self.parameters.get(use[1] or use[2])

    def _chosen(self, text: str) -> str:
        """The text after @NAME if that names this configuration, else nothing."""
        words = text.split(maxsplit=1)
        if not words or not words[0].startswith("@"):
            return text
        wanted = words[0][1:]
        is_chosen = self.name != wanted[1:] if wanted.startswith("^") else self.name == wanted
        return words[1] if is_chosen and len(words) > 1 else ""


def _numbered(file: Path, by: Place | None) -> Iterator[_Line]:
    """The lines of a file, without comments; lines that end with a backslash are joined."""
    try:
        text = file.read_text(encoding="utf-8", errors="surrogateescape")
    except (OSError, ValueError) as error:
        sentence = f"{file} can't be read: {getattr(error, 'strerror', None) or error}."
        raise by.error(sentence) if by else ConfigError(sentence) from None
    parts: list[str] = []
    first = 1
    for number, raw in enumerate(text.split("\n"), start=1):
        line = _without_comment(raw.rstrip("\r")).rstrip()
        if not parts:
            first = number
        continued = line.endswith("\\") and not line.endswith("\\\\")
        parts.append(line[:-1] if continued else line)
        if not continued:
            is_definition = len(parts) > 1 and _DEFINITION.match(parts[0])
            yield _Line(("\n" if is_definition else " ").join(parts), Place(str(file), first))
            parts = []
    if parts:
        yield _Line(" ".join(parts), Place(str(file), first))


def _without_comment(line: str) -> str:
    quote = ""
    skip = False
    for place, character in enumerate(line):
        if skip:
            skip = False
        elif character == "\\":
            skip = True
        elif quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character in "#!":
            return line[:place]
    return line


def _included(line: _Line, words: list[str], folder: Path) -> list[Path]:
    """The files that an include names. A missing one is an error unless a wildcard may match nothing."""
    if len(words) != 2:
        raise line.place.error(f"{words[0]} takes one file.")
    pattern = words[1].strip("\"'")
    if "{" in pattern:
        raise line.place.error(f"{words[0]} with braces is not supported: write a line for each file.")
    if "\0" in pattern:
        raise line.place.error("a file name can't contain a NUL character.")
    is_wildcard = any(character in pattern for character in "*?[")
    found = [Path(name) for name in sorted(glob.glob(os.path.join(folder, pattern)))] if is_wildcard else []
    if is_wildcard and not found and _INCLUDES[words[0]]:
        raise line.place.error(f"no file matches {pattern}.")
    files = found if is_wildcard else [folder / pattern]
    for file in files:
        try:
            is_file = stat.S_ISREG(file.stat().st_mode)
        except OSError as error:
            raise line.place.error(f"{file} can't be read: {error.strerror}.") from None
        if not is_file and not is_wildcard:
            raise line.place.error(f"{file} is not a file.")
    return [file for file in files if file.is_file()]


def _split(line: _Line) -> Iterator[list[str]]:
    """The words of a line; a brace outside quotes is a list of its own."""
    words: list[str] = []
    for word, is_quoted in _words(line):
        if word in _BRACES and not is_quoted:
            if words:
                yield words
            yield [word]
            words = []
        else:
            words.append(word)
    if words:
        yield words


def _words(line: _Line) -> Iterator[tuple[str, bool]]:
    """Each word, and whether some of it was quoted. A brace outside quotes needs no space around it."""
    word: list[str] = []
    quote, is_quoted, started = "", False, False
    text, place = line.text, 0
    while place < len(text):
        character = text[place]
        unknown = None if quote else _USE.match(text, place)
        place += 1
        if unknown:  # a parameter without a value stays as it is, braces and all
            word.append(unknown[0])
            started, place = True, unknown.end()
        elif character == "\\":
            unescaped, place = _unescape(text, place)
            word.append(unescaped)
            is_quoted = started = True
        elif quote:
            if character == quote:
                quote = ""
            else:
                word.append(character)
        elif character in "\"'":
            quote, is_quoted, started = character, True, True
        elif character.isspace() or character in _BRACES:
            if started:
                yield "".join(word), is_quoted
            if character in _BRACES:
                yield character, False
            word, is_quoted, started = [], False, False
        else:
            word.append(character)
            started = True
    if quote:
        raise line.place.error(f"the quotation mark {quote} is never closed.")
    if started:
        yield "".join(word), is_quoted


def _unescape(text: str, place: int) -> tuple[str, int]:
    """The character that an escape stands for, and the index after it."""
    code = _CODE.match(text, place)
    if code:
        number = int(code[1], 8) if code[1] else int(code[2], 16)
        return chr(number) if number < 0x110000 else "", code.end()
    if place == len(text):
        return "\\", place
    if text[place] == "c" and place + 1 < len(text):
        return chr(ord(text[place + 1]) & 0x1F), place + 2
    return _ESCAPES.get(text[place], text[place]), place + 1
