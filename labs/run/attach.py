"""Access to running labs from outside: finding them, asking them, and a shell on one of their hosts.

A lab's namespaces are entered through its first process, whose pid the kernel reports for the peer of the
control socket (SO_PEERCRED). Ordinary users may enter their own labs.
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
_TIMEOUT = 60  # seconds for any request
_STOPPED = "T"  # process state in proc(5), after Ctrl-Z
_CLEANUP = 2  # seconds the kernel may take to end all processes of a lab


@dataclass(frozen=True, slots=True)
class AttachedLab:
    """A running lab: its folder, its description (lab.json), and its first process's pid, as seen outside."""

    folder: Path
    about: dict[str, Any]
    first_pid: int

    @property
    def hosts(self) -> dict[str, int]:
        """The pid, inside the lab, of a process on each host. Asks the lab."""
        return dict(self.ask("hosts")["hosts"])

    def __str__(self) -> str:
        return _name(self.about)

    def is_called(self, name: str) -> bool:
        """Whether `name` means this lab: nat, lab-nat, e04, or the name of its folder, which is unique."""
        lab = str(self.about["lab"])
        return name in (self.folder.name, lab, lab.removeprefix("lab-"), self.about.get("exercise"))

    def ask(self, what: str, **details: Any) -> Message:
        """Send a request and return the answer.

        Raises BuildFailed if the lab refuses or has ended, Unable if it is suspended.
        """
        try:
            with socket_in(self.folder) as path:
                answer = call(path, {"do": what, **details}, patient(_TIMEOUT), self.require_awake)
        except (ChannelError, OSError):
            raise BuildFailed(self._silent()) from None
        if not answer.get("ok"):
            raise BuildFailed(f"The lab of {self.folder} refused: {answer.get('error')}")
        return answer

    def require_awake(self) -> None:
        """Raises Unable if Ctrl-Z has stopped the lab."""
        if self.is_suspended():
            raise Unable(f"{self} is suspended: type fg in its terminal.")

    def is_suspended(self) -> bool:
        """Whether Ctrl-Z has stopped it."""
        return _is_stopped(self.first_pid)

    def _silent(self) -> str:
        if self.has_ended():
            return f"{self} has ended: start it again."
        return f"{self} does not answer: it is being built, or busy; try again when its terminal is idle."

    def has_ended(self) -> bool:
        return _first_process(self.folder) is None


def _name(about: Mapping[str, Any]) -> str:
    whose = f" of {about['student']}" if "student" in about else ""
    return f"{about.get('exercise', about['lab'])}{whose}"


def running_labs() -> Iterator[AttachedLab]:
    """The labs, running or being built, that this user may enter; newest first."""
    for folder in _folders():
        about, first = _about(folder), _first_process(folder)
        if about and first is not None:
            yield AttachedLab(folder, about, first)


def pick(labs: Iterable[AttachedLab], student: str = "", lab: str = "") -> AttachedLab | None:
    """The lab of this student, or of this name, or else the only one; None if there is none.

    Raises BadRequest if several match, Unable if the lab is suspended.
    """
    found = [running for running in labs if not student or running.about.get("student") == student]
    found = [running for running in found if not lab or running.is_called(lab)]
    if len(found) > 1:
        raise BadRequest(_several(found, f" of {student}" if student else ""))
    if not found:
        return None
    found[0].require_awake()
    return found[0]


def _several(found: Sequence[AttachedLab], whose: str) -> str:
    """The message that lists them, with an example of how to name one."""
    names = [str(running) for running in found]
    if len(set(names)) < len(names):
        names = [f"{running} in {running.folder.name}" for running in found]
    students = {running.about.get("student") for running in found} - {None}
    either = "--student or " if len(students) == len(found) else ""
    first = found[0]
    short = str(first.about.get("exercise") or first.about["lab"]).removeprefix("lab-")
    name = short if sum(running.is_called(short) for running in found) == 1 else first.folder.name
    return (
        f"Several labs{whose} are running ({', '.join(names)}): choose one with {either}--lab, "
        f"such as --lab {name}."
    )


def none_running(known: Sequence[AttachedLab], student: str, lab: str, kind: str) -> str:
    """The message that no running lab matches, without a full stop; `known` are the running labs."""
    meant = (f" called {lab!r}" if lab else "") + (f" of {student}" if student else "")
    others = f"; running: {', '.join(map(str, known))}" if known else ""
    return f"No {kind}{meant} is running{others}"


def inaccessible_hint() -> str:
    """A sentence about a lab that this user may not enter, such as root's; empty if there is none."""
    for folder in _folders():
        if not os.access(folder / SOCKET, os.W_OK):
            return f" {folder} belongs to another user, perhaps root: to reach that lab, use sudo."
    return ""


def restart_command() -> str:
    """The command that starts the last exercise again; empty if none has ended."""
    for folder in _folders():
        about = _about(folder)
        if "exercise" in about and os.access(folder / SOCKET, os.W_OK) and _first_process(folder) is None:
            return f"./inv exercise {about['exercise']} --student {about['student']}"
    return ""


def _folders() -> list[Path]:
    return [socket.parent for socket in sorted(runs_folder().glob(f"*/{SOCKET}"), reverse=True)]


def _about(folder: Path) -> dict[str, Any]:
    """The lab's description; empty if there is none."""
    try:
        about = json.loads((folder / ABOUT).read_text())
    except (OSError, ValueError):
        return {}
    return about if isinstance(about, dict) and "lab" in about else {}


def _first_process(folder: Path) -> int | None:
    """The pid of a lab's first process, as seen outside; None if it has ended or is another user's."""
    try:
        with socket_in(folder) as path, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
            peer.settimeout(patient(_TIMEOUT))  # when many callers wait
            peer.connect(path)
            credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    except OSError:
        return None
    process: int = _CREDENTIALS.unpack(credentials)[0]
    return process


def _is_stopped(process: int) -> bool:
    try:
        stat = Path(f"/proc/{process}/stat").read_text(errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] == _STOPPED


def shell(lab: AttachedLab, host: str, command: Sequence[str] = ()) -> int:
    """Run a shell, or one command, on a host of the lab; its exit code. Raises LabError."""
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
    whole = [nsenter, *_nsenter_options(lab.first_pid), "--", "/bin/sh", "-c", line]
    with restored_terminal():
        code = subprocess.run(whole, env=environment, umask=UMASK).returncode
    if code == -signal.SIGKILL and poll_until(lab.has_ended, bool, _CLEANUP):
        raise BuildFailed(f"{lab} has ended; you are back on your own machine.")
    return code if code >= 0 else 128 - code  # as a shell reports a signal


@contextmanager
def restored_terminal() -> Iterator[None]:
    """Restore the terminal afterwards: a killed shell would leave it in the mode for line editing."""
    terminal = next((number for number in range(3) if os.isatty(number)), None)
    if terminal is None:
        yield
        return
    mode, owner = termios.tcgetattr(terminal), os.tcgetpgrp(terminal)
    try:
        yield
    finally:
        # Set it even if another process group owns it.
        before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        with suppress(OSError, termios.error):
            os.tcsetpgrp(terminal, owner)
            termios.tcsetattr(terminal, termios.TCSADRAIN, mode)
        signal.signal(signal.SIGTTOU, before)


def _nsenter_options(first: int) -> list[str]:
    """The namespaces nsenter(1) has to enter; a user namespace exists only if the lab runs without root."""
    options = ["--target", str(first), *_NAMESPACES.values()]
    own, other = (os.stat(f"/proc/{process}/ns/{_USER}").st_ino for process in ("self", first))
    return options if own == other else [*options, "--user", "--preserve-credentials"]
