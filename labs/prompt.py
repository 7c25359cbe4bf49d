"""Mininet's prompt: whatever is typed there and whatever a host prints, the lab stays until it is left.

Mininet's own ends, and the lab with it, at a byte that is not UTF-8, a letter that the terminal's encoding
does not have, a mistake in a command, and waits for ever for a host whose shell is gone. What a host is
told is typed into that shell, which also keeps the host's network.
"""

from __future__ import annotations

import codecs
import fcntl
import os
import readline
import select
import signal
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mininet.cli import CLI
from mininet.log import error, lg, output

from labs.wait import patient

_DECODER = codecs.getincrementaldecoder("utf-8")
_LOOK = 500  # milliseconds between two looks at whether a host's shell is still there
_QUIET = 100  # milliseconds without output: what an earlier command had left is over
_TYPED_AHEAD = 1.0  # seconds: what is typed so soon, or pasted, is for the prompt and not for the command
# Ctrl-D and `exit` are for the prompt. Subshells (a $BASHPID of their own) may exit.
_KEEP_SHELL = (
    "IGNOREEOF=99999; "
    'exit() { [ "$BASHPID" = "$$" ] || builtin exit "$@"; '
    "echo 'This shell keeps the network of its host: exit alone, without a host, ends the lab.'; }; "
    "logout() { exit; }"
)


class Prompt(CLI):  # type: ignore[misc]
    """Runs until it is left: by exit, quit or Ctrl-D."""

    def __init__(self, mininet: Any) -> None:
        lg.ch.setStream(sys.stderr)  # what it was at the first import may be closed by now
        lg.setLogLevel("output")  # what the hosts' commands print counts as a message to Mininet
        for node in mininet.values():
            node.decoder = _DECODER("replace")
            node.cmd(_KEEP_SHELL)
        self._mode: Any = None  # of the terminal, while somebody may type
        if sys.stdin.isatty():
            readline.set_pre_input_hook(self._remember_mode)
            signal.signal(signal.SIGCONT, self._go_on)
        super().__init__(mininet, stdin=sys.stdin)

    def _remember_mode(self) -> None:
        self._mode = termios.tcgetattr(self.stdin.fileno())

    def _go_on(self, _number: int, _frame: object) -> None:
        """After Ctrl-Z and fg: the shell has had the terminal in a mode of its own."""
        if self._mode is None:
            return
        termios.tcsetattr(self.stdin.fileno(), termios.TCSADRAIN, self._mode)
        if not any(node.waiting for node in self.mn.values()):
            os.write(self.stdin.fileno(), f"{self.prompt}{readline.get_line_buffer()}".encode())

    def onecmd(self, line: str) -> Any:
        """True where the prompt is to be left."""
        try:
            return super().onecmd(line)
        except SystemExit:  # `py exit()`
            return True
        except Exception as failure:  # noqa: BLE001 (Mininet has no exceptions of its own)
            error(f"*** {line.strip()}: {type(failure).__name__}: {failure}\n")
            return None

    def default(self, line: str) -> None:
        first = line.split()[0]
        if first in self.mn:
            self._read_leftovers(self.mn[first])
            _resize(self.mn[first])
        super().default(line)

    def _read_leftovers(self, node: Any) -> None:
        """What came after the end of an earlier command: else it would be taken for the end of this one."""
        poll = select.poll()
        poll.register(node.stdout, select.POLLIN)
        pause = 0
        while poll.poll(pause):
            output(node.read(4096).replace(chr(127), ""))
            pause = _QUIET

    def waitForNode(self, node: Any) -> None:
        """Show what the host's command prints, and let it have what is typed, until it ends."""
        begin = time.monotonic() + patient(_TYPED_AHEAD)
        keyboard = self.stdin.fileno() if self.isatty() else None
        with _by_letter(keyboard):
            if keyboard is not None:
                self._remember_mode()
            while node.waiting:
                try:
                    self._exchange(node, keyboard if time.monotonic() > begin else None)
                except KeyboardInterrupt:
                    node.sendInt()

    def _exchange(self, node: Any, keyboard: int | None) -> None:
        """Once: what is printed, or what is typed; wait a moment where neither is there."""
        poll = select.poll()
        poll.register(node.stdout, select.POLLIN)
        if keyboard is not None:
            poll.register(keyboard, select.POLLIN)
        ready = [number for number, _ in poll.poll(_LOOK)]
        if keyboard in ready:
            os.write(node.stdin.fileno(), os.read(keyboard, 1024))
        if node.stdout.fileno() in ready:
            output(node.monitor(findPid=node.lastCmd.endswith("&")))
        elif node.shell.poll() is not None:
            node.waiting = False
            error(f"*** The shell of {node.name} has ended, and its network with it: start the lab again.\n")


@contextmanager
def _by_letter(terminal: int | None) -> Iterator[None]:
    """Each letter at once, as commands that are not line by line want it; afterwards as it was."""
    if terminal is None:
        yield
        return
    before = termios.tcgetattr(terminal)
    changed = termios.tcgetattr(terminal)
    changed[3] &= ~termios.ICANON
    changed[6][termios.VMIN], changed[6][termios.VTIME] = 1, 0
    termios.tcsetattr(terminal, termios.TCSADRAIN, changed)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _resize(node: Any) -> None:
    """Let the host's commands know how large the terminal is now."""
    if sys.stdout is not None and sys.stdout.isatty():
        size = fcntl.ioctl(sys.stdout.fileno(), termios.TIOCGWINSZ, bytes(8))
        fcntl.ioctl(node.stdin.fileno(), termios.TIOCSWINSZ, size)
