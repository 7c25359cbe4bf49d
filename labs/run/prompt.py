"""Mininet's prompt, made robust: the lab stays until the user leaves, whatever is typed or printed.

Mininet's own prompt ends, and the lab with it, on a byte that is not UTF-8, on a character that the
terminal's encoding lacks, and on an error in a command. It also waits for ever for a host whose shell has
ended. Commands for a host are typed into that shell, which also keeps the host's network namespace alive.
"""

from __future__ import annotations

import codecs
import fcntl
import math
import os
import re
import readline
import select
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mininet.cli import CLI
from mininet.log import error, lg, output

from labs.machine.capabilities import missing_packages
from labs.wait import patient

_DECODER = codecs.getincrementaldecoder("utf-8")
_POLL = 500  # milliseconds between checks that a host's shell still runs
_QUIET = 100  # milliseconds without output after which an earlier command has printed everything
_TYPED_AHEAD = 1.0  # seconds: input typed or pasted earlier is for the prompt, not for the command
# Ctrl-D and `exit` must not end the shell. Subshells (with their own $BASHPID) may exit.
_KEEP_SHELL = (
    "IGNOREEOF=99999; "
    'exit() { [ "$BASHPID" = "$$" ] || builtin exit "$@"; '
    "echo 'This shell holds the network of its host. To end the lab, type exit without a host.'; }; "
    "logout() { exit; }"
)
_NEED_X = ("do_x", "do_xterm", "do_gterm")
_SECONDS = 3  # duration of iperf
_IPERF = {"iperf": "iperf"}  # program: package
# Waits until it listens, for five seconds at most.
_SERVE = (
    "iperf -s {} > /dev/null 2>&1 & for n in $(seq 50); do ss -lntu | grep -q :5001 && break; sleep 0.1; done"
)


_HELP = (
    "Type a host and a command; names of hosts in it become their addresses:\n"
    "  c1 ping -c 1 {director}\n"
    "Ctrl-C ends the command; exit or Ctrl-D ends the lab.\n"
    "In another terminal, ./inv shell c1 opens a shell on a host.\n\n"
)


class Prompt(CLI):  # type: ignore[misc]
    """Runs until the user leaves: exit, quit or Ctrl-D."""

    def __init__(self, mininet: Any) -> None:
        lg.ch.stream = sys.stderr  # not setStream: it flushes the old stream, which may be closed by now
        lg.setLogLevel("output")  # Mininet treats the output of commands as messages
        for node in mininet.values():
            node.decoder = _DECODER("replace")
            node.cmd(_KEEP_SHELL)
        self._mode: Any = None  # of the terminal, while input is possible
        if sys.stdin.isatty():
            readline.set_pre_input_hook(self._remember_mode)
            _on_continue(self._draw_again)
        self.helpStr = _HELP.format(director="d" if "d" in mininet else "d1")
        super().__init__(mininet, stdin=sys.stdin)

    def _remember_mode(self) -> None:
        self._mode = termios.tcgetattr(self.stdin.fileno())

    def _draw_again(self) -> None:
        """After Ctrl-Z and fg, restore the line and the terminal's mode, which the calling shell changed."""
        if self._mode is None:
            return
        termios.tcsetattr(self.stdin.fileno(), termios.TCSADRAIN, self._mode)
        if not any(node.waiting for node in self.mn.values()):
            os.write(self.stdin.fileno(), f"{self.prompt}{readline.get_line_buffer()}".encode())

    def cmdloop(self, intro: Any = None) -> None:
        """If input comes from a pipe, where exit cannot be typed, Ctrl-C leaves the prompt."""
        with suppress(*(() if self.isatty() else (KeyboardInterrupt,))):
            super().cmdloop(intro)

    def get_names(self) -> list[str]:
        """The commands for help and completion, without those that cannot work in a lab."""
        return [name for name in super().get_names() if name not in _NEED_X]

    def onecmd(self, line: str) -> Any:
        """True to leave the prompt. Raises SystemExit for a nonzero exit code."""
        try:
            return super().onecmd(line)
        except SystemExit as end:  # `py exit()`
            if end.code:
                raise
            return True
        except Exception as failure:  # noqa: BLE001 (Mininet raises bare exceptions)
            error(f"*** {line.strip()}: {type(failure).__name__}: {failure}\n")
            return None

    def do_pingall(self, line: str) -> None:
        """Ping between all hosts; X means no reply.
        Usage: pingall [seconds to wait for each]"""
        self.mn.pingAll(line.strip() or f"{math.ceil(patient(1))}")

    def do_iperf(self, line: str) -> None:
        """Measure TCP throughput between two hosts (default: the first and the last).
        Usage: iperf host1 host2"""
        self._measure(line.split(), "")

    def do_iperfudp(self, line: str) -> None:
        """Measure UDP throughput between two hosts (default: the first and the last).
        Usage: iperfudp bandwidth host1 host2"""
        bandwidth, *names = line.split() or ["10M"]
        self._measure(names, f"-u -b {bandwidth}")

    def _measure(self, names: list[str], mode: str) -> None:
        """Run iperf; Mininet's own code waits for ever for a current iperf, and for an unreachable server."""
        first_and_last = self.mn.hosts[:: len(self.mn.hosts) - 1]
        pair = [self.mn[name] for name in names if name in self.mn] if names else first_and_last
        packages = " ".join(missing_packages(_IPERF))
        if packages:
            error(f"*** Not installed: {packages}: run `sudo apt-get install {packages}`.\n")
        elif len(pair) != 2 or len(names) not in (0, 2) or not all(node.intfs for node in pair):
            error(f"*** Name two hosts, such as {self.mn.hosts[0].name} and {self.mn.hosts[-1].name}.\n")
        elif "1 received" not in pair[0].cmd(f"ping -c 1 -W 2 {pair[1].IP()}"):
            error(f"*** {pair[0].name} does not reach {pair[1].name}: choose hosts that reach each other.\n")
        else:
            ipv6 = " -V" if ":" in pair[1].IP() else ""
            self._iperf(pair[0], pair[1], f"{mode}{ipv6}".strip())

    def _iperf(self, client: Any, server: Any, mode: str) -> None:
        server.cmd(_SERVE.format(" ".join(word for word in mode.split() if word in ("-u", "-V"))))
        try:
            client.sendCmd(f"iperf -c {server.IP()} -t {_SECONDS} {mode}")
            self.waitForNode(client)
        finally:
            server.cmd("kill $!; wait $! 2> /dev/null")

    def do_source(self, line: str) -> None:
        """Run the commands in a file.
        Usage: source file"""
        try:
            if line.strip():
                Path(line.strip()).read_text("utf-8")
        except OSError as failure:
            error(f"*** source {line.strip()}: {failure.strerror}.\n")
        except UnicodeError:
            error(f"*** source {line.strip()}: not a text file.\n")
        else:
            super().do_source(line)

    def do_x(self, line: str) -> None:
        host = next(iter(line.split()), "HOST")
        error(f"*** A lab has no X11. In another terminal, ./inv shell {host} opens a shell.\n")

    def do_xterm(self, line: str, term: str = "xterm") -> None:  # noqa: ARG002 (gterm goes through here)
        self.do_x(line)

    def default(self, line: str) -> None:
        first, *words = line.split()
        if bare := next((word for word in words if word in self.mn and not self.mn[word].intfs), ""):
            error(f"*** {bare} is a switch or controller: commands need a host.\n")
            return
        if first in self.mn:
            if wrong := _syntax_error(line.partition(first)[2]):
                error(f"*** {line.strip()}: {wrong}: type the whole command on one line.\n")
                return
            self._read_leftovers(self.mn[first])
            _resize(self.mn[first])
        super().default(line)

    def _read_leftovers(self, node: Any) -> None:
        """Show late output of an earlier command, which would be taken for the end of the next."""
        poll = select.poll()
        poll.register(node.stdout, select.POLLIN)
        pause = 0
        while poll.poll(pause):
            output(node.read(4096).replace(chr(127), ""))
            pause = _QUIET

    def waitForNode(self, node: Any) -> None:
        """Pass output of the host's command to the terminal, and input to the command, until it ends."""
        begin = time.monotonic() + patient(_TYPED_AHEAD)
        keyboard = self.stdin.fileno() if self.isatty() else None
        with _unbuffered(keyboard):
            if keyboard is not None:
                self._remember_mode()
            while node.waiting:
                try:
                    self._exchange(node, keyboard if time.monotonic() > begin else None)
                except KeyboardInterrupt:
                    node.sendInt()

    def _exchange(self, node: Any, keyboard: int | None) -> None:
        """Pass on output or input that is ready; wait a moment if there is none."""
        poll = select.poll()
        poll.register(node.stdout, select.POLLIN)
        if keyboard is not None:
            poll.register(keyboard, select.POLLIN)
        ready = [number for number, _ in poll.poll(_POLL)]
        if keyboard in ready:
            os.write(node.stdin.fileno(), os.read(keyboard, 1024))
        if node.stdout.fileno() in ready:
            output(node.monitor(findPid=node.lastCmd.endswith("&")))
        elif node.shell.poll() is not None:
            node.waiting = False
            error(f"*** The shell of {node.name} has ended, and its network with it: restart the lab.\n")


def _on_continue(action: Callable[[], None]) -> None:
    """Call `action` in a thread whenever the lab is continued (SIGCONT).

    A signal handler is not enough: GNU Readline returns to Python for a signal only while it waits for a key,
    not if it was stopped while it echoed one.
    """
    continued, wake_up = os.pipe()
    os.set_blocking(wake_up, False)
    signal.set_wakeup_fd(wake_up, warn_on_full_buffer=False)
    signal.signal(signal.SIGCONT, lambda _number, _frame: None)

    def wait() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # for the prompt's thread
        while True:
            if signal.SIGCONT in os.read(continued, 1):
                action()

    threading.Thread(target=wait, daemon=True).start()


def _syntax_error(command: str) -> str:
    """What is wrong with a command, or empty. A host's shell would silently wait for the rest of it."""
    if (len(command) - len(command.rstrip("\\"))) % 2:
        return "it ends with a backslash"
    done = subprocess.run(
        ["bash", "-n"], input=command, stderr=subprocess.PIPE, text=True, errors="replace", check=False
    )
    first = (done.stderr.splitlines() or [f"exit code {done.returncode}"])[0]
    return re.sub(r"^bash: line \d+: ", "", first) if done.returncode else ""


@contextmanager
def _unbuffered(terminal: int | None) -> Iterator[None]:
    """Let commands read each key at once, not line by line; restore the terminal afterwards."""
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
    """Tell the host's commands the current size of the terminal."""
    if sys.stdout is not None and sys.stdout.isatty():
        size = fcntl.ioctl(sys.stdout.fileno(), termios.TIOCGWINSZ, bytes(8))
        fcntl.ioctl(node.stdin.fileno(), termios.TIOCSWINSZ, size)
