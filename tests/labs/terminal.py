"""A user at a terminal: a command on a pseudo terminal, its output, and its input.

Standard library only. Output is read as text, without the escape codes for colour and cursor.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from labs.wait import patient, poll_until

INTERRUPT, SUSPEND, END = "\x03", "\x1a", "\x04"  # Ctrl-C, Ctrl-Z, Ctrl-D
HOLD, GO_ON = "\x13", "\x11"  # Ctrl-S, Ctrl-Q
_CODES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[()][AB0]|\x1b[=>78cM]|[\x01\x02\x07]")


class Terminal:
    """`command` runs until the block ends; then the terminal is closed, and the command with it.

    `encoding` is the terminal's: bytes that are not text in it appear as U+FFFD.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        columns: int = 80,
        lines: int = 40,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        encoding: str = "utf-8",
    ) -> None:
        self._encoding = encoding
        self._raw = b""
        self._read_until = 0  # position in `shown` up to which output was expected already
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            try:
                _resize(0, columns, lines)
                os.chdir(folder or ".")
                os.execvpe(
                    command[0], list(command), {**_inherited(), "TERM": "xterm", **(environment or {})}
                )
            finally:
                os._exit(127)
        os.set_inheritable(self._terminal, False)  # another command must not keep it open
        self.code: int | None = None

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if poll_until(self._ended, bool, 10) is False:
            os.kill(self.pid, signal.SIGKILL)
            self.wait()

    @property
    def shown(self) -> str:
        """All of it so far, without codes; a line that was drawn anew appears as often."""
        self._read(0)
        return self._text()

    def _text(self) -> str:
        text = _CODES.sub("", self._raw.decode(self._encoding, "replace"))
        return re.sub(r"\r+\n", "\n", text)

    @property
    def rows(self) -> list[str]:
        """Every line that was on the screen at some time."""
        return [line.rstrip() for line in re.split(r"[\r\n]", self.shown)]

    def expect(self, text: str, seconds: float = 60) -> str:
        """What has been shown since the last expectation, up to `text`; fails where that does not come."""
        deadline = time.monotonic() + patient(seconds)
        while True:
            new = self._text()[self._read_until :]
            if text in new:
                shown = new[: new.index(text) + len(text)]
                self._read_until += len(shown)
                return shown
            if not self._read(max(0.0, deadline - time.monotonic())):
                raise AssertionError(f"{text!r} was not shown, but:\n{self.shown[-4000:]}")

    def _read(self, seconds: float) -> bool:
        """Take in what is there, waiting so long for the first of it; False where nothing came."""
        came = False
        while self._terminal >= 0 and select.select([self._terminal], [], [], 0 if came else seconds)[0]:
            try:
                data = os.read(self._terminal, 65536)
            except OSError:  # the other side is closed
                data = b""
            if not data:
                break
            self._raw += data
            came = True
        return came

    def send(self, text: str) -> None:
        """Type it as it is."""
        self.send_bytes(text.encode(self._encoding))

    def send_bytes(self, data: bytes) -> None:
        """What is no text in the terminal's encoding, too."""
        os.write(self._terminal, data)

    def line(self, text: str) -> None:
        """Type it, and Enter."""
        self.send(f"{text}\r")

    def ask(self, text: str, prompt: str, seconds: float = 60) -> str:
        """Type a line at a prompt; what is shown until the prompt comes again."""
        self.line(text)
        self.expect("\n", seconds)
        return self.expect(prompt, seconds)[: -len(prompt)]

    def resize(self, columns: int, lines: int) -> None:
        """The window has another size from now on, and the command is told."""
        _resize(self._terminal, columns, lines)

    def close(self) -> None:
        """As when the window is closed."""
        if self._terminal >= 0:
            self._read(0)
            os.close(self._terminal)
            self._terminal = -1

    def wait(self, seconds: float = 60) -> int:
        """The exit code, as a shell tells it."""
        assert poll_until(self._ended, bool, seconds), f"It has not ended:\n{self.shown[-2000:]}"
        assert self.code is not None
        return self.code

    def _ended(self) -> bool:
        self._read(0)
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                code = os.waitstatus_to_exitcode(status)
                self.code = code if code >= 0 else 128 - code
        return self.code is not None


def run_to_terminal(
    command: Sequence[str | Path], lines: str, environment: Mapping[str, str], seconds: float
) -> tuple[int, str]:
    """Run `command` with `lines` as its input, through a pipe, and a terminal of 120 columns as its output.

    Returns the exit code and the text without codes, each line as it was drawn last.
    Raises subprocess.TimeoutExpired.
    """
    terminal, other_side = pty.openpty()
    _resize(other_side, 120, 50)
    variables = {**_inherited(), "TERM": "xterm", **environment}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=other_side, stderr=other_side, env=variables
    ) as process:
        os.close(other_side)
        assert process.stdin is not None
        process.stdin.write(lines.encode())
        process.stdin.close()
        raw, deadline = b"", time.monotonic() + seconds
        while select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))[0]:
            try:
                raw += os.read(terminal, 65536)
            except OSError:  # the command and its children have ended
                break
        os.close(terminal)
        try:
            code = process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    text = _CODES.sub("", re.sub(r"\r+\n", "\n", raw.decode(errors="replace")))
    return code, re.sub(r"[^\n]*\r(?=[^\n])", "", text)


def _inherited() -> dict[str, str]:
    """Our environment, without the size of the terminal of the tests."""
    return {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}


def _resize(terminal: int, columns: int, lines: int) -> None:
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", lines, columns, 0, 0))
