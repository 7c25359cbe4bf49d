"""From outside into a running lab: which labs run, and a shell on one of their hosts.

A lab's namespaces are entered through its first process, whose number the kernel tells by its control
socket (SO_PEERCRED). An ordinary user may enter the labs that are his own.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import termios
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from director.control.channel import ChannelError, Message, call
from labs.errors import BadRequest, BuildFailed, Unable
from labs.hosts.environment import PATH, UMASK, lab_environment
from labs.run.control_server import ABOUT, SOCKET, socket_in
from labs.run.evidence import runs_folder
from labs.wait import patient, poll_until

_SHELL = "/bin/bash"
_USER = "user"
_NAMESPACES = {"mnt": "--mount", "ipc": "--ipc", "uts": "--uts", "net": "--net", "pid": "--pid"}
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid
_PATIENCE = 60  # seconds, for whatever is asked
_STOPPED = "T"  # of proc(5): Ctrl-Z
_GONE = 2  # seconds that the kernel may take to end all of a lab once it has begun


@dataclass(frozen=True, slots=True)
class AttachedLab:
    """A lab that runs: its folder, what lab it is, and its first process as it is numbered out here."""

    folder: Path
    who: dict[str, Any]
    first: int

    @property
    def hosts(self) -> dict[str, int]:
        """A process on each host, by the numbers that hold inside; asks for them."""
        return dict(self.ask("hosts")["hosts"])

    def __str__(self) -> str:
        return _name(self.who)

    def is_called(self, name: str) -> bool:
        """Whether it is meant by `name`: nat, lab-nat, e04, or the name of its folder, which no other has."""
        lab = str(self.who["lab"])
        return name in (self.folder.name, lab, lab.removeprefix("lab-"), self.who.get("exercise"))

    def ask(self, what: str, **details: Any) -> Message:
        """Raises BuildFailed with the lab's own sentence, or where it has ended; Unable: it is suspended."""
        try:
            with socket_in(self.folder) as path:
                answer = call(path, {"do": what, **details}, patient(_PATIENCE), self.require_awake)
        except (ChannelError, OSError):
            raise BuildFailed(self._silent()) from None
        if not answer.get("ok"):
            raise BuildFailed(f"The lab of {self.folder} can't do that: {answer.get('error')}")
        return answer

    def require_awake(self) -> None:
        """Raises Unable where Ctrl-Z has stopped it."""
        if _is_stopped(self.first):
            raise Unable(f"{self} is suspended: type fg in its terminal.")

    def _silent(self) -> str:
        if self.has_ended():
            return f"{self} has ended; start it again."
        return f"{self} does not answer: it is being built, or busy; try again when its terminal is idle."

    def has_ended(self) -> bool:
        return _first_process(self.folder) is None


def _name(who: Mapping[str, Any]) -> str:
    whose = f" of {who['student']}" if "student" in who else ""
    return f"{who.get('exercise', who['lab'])}{whose}"


def running_labs() -> Iterator[AttachedLab]:
    """The labs that run, or are being built, and may be entered; the one that was started last first."""
    for folder in _folders():
        who, first = _who(folder), _first_process(folder)
        if who and first is not None:
            yield AttachedLab(folder, who, first)


def pick(labs: Iterable[AttachedLab], student: str = "", lab: str = "") -> AttachedLab | None:
    """The only one of these, or of the student's, or called `lab`; None where there is none.

    Raises BadRequest for several, Unable where it is suspended.
    """
    found = [one for one in labs if not student or one.who.get("student") == student]
    found = [one for one in found if not lab or one.is_called(lab)]
    if len(found) > 1:
        raise BadRequest(_several(found, f" of {student}" if student else ""))
    if not found:
        return None
    found[0].require_awake()
    return found[0]


def _several(found: Sequence[AttachedLab], whose: str) -> str:
    """Which they are, and how one of them is named."""
    names = [str(one) for one in found]
    if len(set(names)) < len(names):
        names = [f"{one} in {one.folder.name}" for one in found]
    students = {one.who.get("student") for one in found} - {None}
    either = "--student or " if len(students) == len(found) else ""
    first = found[0]
    short = str(first.who.get("exercise") or first.who["lab"]).removeprefix("lab-")
    name = short if sum(one.is_called(short) for one in found) == 1 else first.folder.name
    return (
        f"Several labs{whose} are running ({', '.join(names)}): say which with {either}--lab, "
        f"such as --lab {name}."
    )


def none_running(known: Sequence[AttachedLab], student: str, lab: str, kind: str) -> str:
    """That none of what runs, `known`, is meant by these words; without a full stop."""
    meant = (f" called {lab!r}" if lab else "") + (f" of {student}" if student else "")
    others = f"; what runs: {', '.join(map(str, known))}" if known else ""
    return f"No {kind}{meant} is running{others}"


def inaccessible_hint() -> str:
    """A sentence about labs whose control socket is closed to this user, such as root's; else empty."""
    for folder in _folders():
        if not os.access(folder / SOCKET, os.W_OK):
            return f" {folder} is somebody else's (root's, say): if that lab is meant, use sudo here, too."
    return ""


def restart_command() -> str:
    """What has ended, of those that may be asked, as the words that start it again; empty where none has."""
    for folder in _folders():
        who = _who(folder)
        if "exercise" in who and os.access(folder / SOCKET, os.W_OK) and _first_process(folder) is None:
            return f"./inv exercise {who['exercise']} --student {who['student']}"
    return ""


def _folders() -> list[Path]:
    return [socket.parent for socket in sorted(runs_folder().glob(f"*/{SOCKET}"), reverse=True)]


def _who(folder: Path) -> dict[str, Any]:
    """Empty where it can't be told."""
    try:
        who = json.loads((folder / ABOUT).read_text())
    except (OSError, ValueError):
        return {}
    return who if isinstance(who, dict) and "lab" in who else {}


def _first_process(folder: Path) -> int | None:
    """As it is numbered out here; None where the lab has ended, or is somebody else's."""
    try:
        with socket_in(folder) as path, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
            peer.settimeout(patient(_PATIENCE))  # where very many wait already
            peer.connect(path)
            told = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    except OSError:
        return None
    process: int = _CREDENTIALS.unpack(told)[0]
    return process


def _is_stopped(process: int) -> bool:
    try:
        stat = Path(f"/proc/{process}/stat").read_text(errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] == _STOPPED


def shell(lab: AttachedLab, host: str, command: Sequence[str] = ()) -> int:
    """A shell on a host of the lab, or one command there; its exit code. Raises LabError."""
    hosts = lab.hosts
    if host not in hosts:
        raise BadRequest(f"There is no host {host!r} in this lab: choose from {', '.join(hosts)}.")
    nsenter = shutil.which("nsenter", path=PATH)
    if nsenter is None:
        raise Unable("The program nsenter is missing: run `sudo apt-get install util-linux`.")
    inside = ["mnexec", "-a", str(hosts[host]), *(command or (_SHELL, "--norc"))]
    where = lab.folder / "scripts" / host
    line = f"cd {shlex.quote(str(where))} 2>/dev/null; exec {shlex.join(inside)}"
    environment = {
        **lab_environment(os.environ),
        "PS1": f"{host}# ",
        "HISTFILE": str(lab.folder / f"typed-{host}"),
    }
    whole = [nsenter, *_ways(lab.first), "--", "/bin/sh", "-c", line]
    with terminal_as_it_was():
        code = subprocess.run(whole, env=environment, umask=UMASK).returncode
    if code == -signal.SIGKILL and poll_until(lab.has_ended, bool, _GONE):
        raise BuildFailed(f"{lab} has ended; you are back on your own machine.")
    return code if code >= 0 else 128 - code  # as a shell tells that a signal has ended it


@contextmanager
def terminal_as_it_was() -> Iterator[None]:
    """A shell that is killed leaves the terminal to itself, and in the mode for its own line editing."""
    terminal = next((number for number in range(3) if os.isatty(number)), None)
    if terminal is None:
        yield
        return
    mode, owner = termios.tcgetattr(terminal), os.tcgetpgrp(terminal)
    try:
        yield
    finally:
        before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # whoever has the terminal, we set it
        with suppress(OSError, termios.error):
            os.tcsetpgrp(terminal, owner)
            termios.tcsetattr(terminal, termios.TCSADRAIN, mode)
        signal.signal(signal.SIGTTOU, before)


def _ways(first: int) -> list[str]:
    """Which namespaces nsenter(1) has to enter; a user's is there only where the lab runs without root."""
    ways = ["--target", str(first), *_NAMESPACES.values()]
    own, other = (os.stat(f"/proc/{process}/ns/{_USER}").st_ino for process in ("self", first))
    return ways if own == other else [*ways, "--user", "--preserve-credentials"]
