"""Mininet's prompt: whatever is typed there and whatever a host prints, the lab stays until it is left.

Mininet's own ends, and the lab with it, at a byte that is not UTF-8, a letter that the terminal's encoding
does not have, a mistake in a command, and waits for ever for a host whose shell is gone. What a host is
told is typed into that shell, which also keeps the host's network.
"""

from __future__ import annotations

import codecs
import fcntl
import math
import os
import readline
import select
import signal
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mininet.cli import CLI
from mininet.log import error, lg, output

from labs.machine.capabilities import missing_packages
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
_NEED_X = ("do_x", "do_xterm", "do_gterm")
_SECONDS = 3  # that iperf measures
_IPERF = {"iperf": "iperf"}  # the program: the package that brings it
# Until it listens, for five seconds at the most.
_SERVE = (
    "iperf -s {} > /dev/null 2>&1 & for n in $(seq 50); do ss -lntu | grep -q :5001 && break; sleep 0.1; done"
)


class Prompt(CLI):  # type: ignore[misc]
    """Runs until it is left: by exit, quit or Ctrl-D."""

    helpStr = (
        "A command on a host; names of hosts in it become their addresses:\n"
        "  c1 ping -c 1 d\n"
        "Ctrl-C ends that command; exit or Ctrl-D ends the lab.\n"
        "In another terminal, ./inv shell c1 opens a shell on a host.\n\n"
    )

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

    def get_names(self) -> list[str]:
        """For help and completion: what can work in a lab."""
        return [name for name in super().get_names() if name not in _NEED_X]

    def onecmd(self, line: str) -> Any:
        """True where the prompt is to be left. Raises SystemExit where somebody wants an exit code."""
        try:
            return super().onecmd(line)
        except SystemExit as end:  # `py exit()`
            if end.code:
                raise
            return True
        except Exception as failure:  # noqa: BLE001 (Mininet has no exceptions of its own)
            error(f"*** {line.strip()}: {type(failure).__name__}: {failure}\n")
            return None

    def do_pingall(self, line: str) -> None:
        """Ping between all hosts; X where no reply comes.
        Usage: pingall [seconds to wait for each]"""
        self.mn.pingAll(line.strip() or f"{math.ceil(patient(1))}")

    def do_iperf(self, line: str) -> None:
        """Throughput of TCP between two hosts, the first and the last where nothing is said.
        Usage: iperf host1 host2"""
        self._measure(line.split(), "")

    def do_iperfudp(self, line: str) -> None:
        """Throughput of UDP between two hosts, the first and the last where nothing is said.
        Usage: iperfudp bandwidth host1 host2"""
        bandwidth, *names = line.split() or ["10M"]
        self._measure(names, f"-u -b {bandwidth}")

    def _measure(self, names: list[str], mode: str) -> None:
        """Mininet's own waits for ever: for an iperf of today, and where there is no way to the server."""
        first_and_last = self.mn.hosts[:: len(self.mn.hosts) - 1]
        pair = [self.mn[name] for name in names if name in self.mn] if names else first_and_last
        packages = " ".join(missing_packages(_IPERF))
        if packages:
            error(f"*** Not installed: {packages}: run `sudo apt-get install {packages}`.\n")
        elif len(pair) != 2 or len(names) not in (0, 2) or not all(node.intfs for node in pair):
            error(
                f"*** Two hosts are needed, such as {self.mn.hosts[0].name} and {self.mn.hosts[-1].name}.\n"
            )
        elif "1 received" not in pair[0].cmd(f"ping -c 1 -W 2 {pair[1].IP()}"):
            error(f"*** {pair[0].name} does not reach {pair[1].name}: choose hosts that reach each other.\n")
        else:
            self._iperf(pair[0], pair[1], mode)

    def _iperf(self, client: Any, server: Any, mode: str) -> None:
        server.cmd(_SERVE.format(mode[:2]))
        try:
            client.sendCmd(f"iperf -c {server.IP()} -t {_SECONDS} {mode}")
            self.waitForNode(client)
        finally:
            server.cmd("kill $!; wait $! 2> /dev/null")

    def do_source(self, line: str) -> None:
        """Carry out the commands of a file.
        Usage: source file"""
        try:
            if line.strip():
                Path(line.strip()).read_text("utf-8")
        except OSError as failure:
            error(f"*** source {line.strip()}: {failure.strerror}.\n")
        except UnicodeError:
            error(f"*** source {line.strip()}: this is no text.\n")
        else:
            super().do_source(line)

    def do_x(self, line: str) -> None:
        host = next(iter(line.split()), "HOST")
        error(f"*** A lab has no X11: ./inv shell {host} opens a shell in another terminal.\n")

    def do_xterm(self, line: str, term: str = "xterm") -> None:  # noqa: ARG002 (gterm goes through here)
        self.do_x(line)

    def default(self, line: str) -> None:
        first, *words = line.split()
        if bare := next((word for word in words if word in self.mn and not self.mn[word].intfs), ""):
            error(f"*** {bare} has no address: it is no host.\n")
            return
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
