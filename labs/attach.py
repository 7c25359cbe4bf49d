"""From outside into a running lab: which labs run, and a shell on one of their hosts.

A lab's namespaces are entered through its first process, whose number the kernel tells by the desk's
socket (SO_PEERCRED). An ordinary user may enter the labs that are his own.
"""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import struct
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from director.control.channel import ChannelError, Message, call
from labs.desk import SOCKET, socket_in
from labs.environment import PATH, UMASK, made
from labs.errors import BadRequest, BuildFailed, Unable
from labs.evidence import runs
from labs.wait import patient

_SHELL = "/bin/bash"
_USER = "user"
_NAMESPACES = {"mnt": "--mount", "ipc": "--ipc", "uts": "--uts", "net": "--net", "pid": "--pid"}
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid
_PATIENCE = 60  # seconds, for whatever is asked


@dataclass(frozen=True, slots=True)
class Attached:
    """A lab that runs: its folder, and what its desk says of it."""

    folder: Path
    who: dict[str, Any]

    @property
    def hosts(self) -> dict[str, int]:
        """A process on each host, by the numbers that hold inside."""
        return dict(self.who["hosts"])

    def __str__(self) -> str:
        whose = f" of {self.who['student']}" if "student" in self.who else ""
        return f"{self.who.get('exercise', self.who['lab'])}{whose}"

    def is_called(self, name: str) -> bool:
        """Whether it is meant by `name`: nat, lab-nat, e04, or the name of its folder, which no other has."""
        lab = str(self.who["lab"])
        return name in (self.folder.name, lab, lab.removeprefix("lab-"), self.who.get("exercise"))

    def ask(self, what: str, **details: Any) -> Message:
        """Raises BuildFailed with the lab's own sentence, or where it does not answer any more."""
        return _ask(self.folder, {"do": what, **details})


def running() -> Iterator[Attached]:
    """The labs that run and may be entered, the one that was started last first."""
    for desk in _desks():
        try:
            yield Attached(desk.parent, _ask(desk.parent, {"do": "who"}))
        except (BuildFailed, Unable):
            continue


def pick(labs: Iterable[Attached], student: str = "", lab: str = "") -> Attached | None:
    """The only one of these, or of the student's, or called `lab`; None where there is none.

    Raises BadRequest for several.
    """
    found = [one for one in labs if not student or one.who.get("student") == student]
    found = [one for one in found if not lab or one.is_called(lab)]
    if len(found) > 1:
        raise BadRequest(_several(found, f" of {student}" if student else ""))
    return found[0] if found else None


def _several(found: Sequence[Attached], whose: str) -> str:
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


def meant(student: str, lab: str) -> str:
    """The words for which lab was asked for, with a blank before each; empty for any."""
    return (f" of {student}" if student else "") + (f" called {lab!r}" if lab else "")


def of_others() -> str:
    """A sentence about desks that may not be asked, as those of labs that root has started; or nothing."""
    for desk in _desks():
        if not os.access(desk, os.W_OK):
            return (
                f" {desk.parent} is somebody else's (root's, say): if that lab is meant, use sudo here, too."
            )
    return ""


def _desks() -> list[Path]:
    return sorted(runs().glob(f"*/{SOCKET}"), reverse=True)


def last() -> Path | None:
    """The folder of the lab with a desk that was started last, running or not."""
    return next((desk.parent for desk in _desks()), None)


def _ask(folder: Path, request: Message) -> Message:
    try:
        with socket_in(folder) as path:
            if os.path.exists(path) and not os.access(path, os.W_OK):
                raise Unable(f"The lab of {folder} is not yours: use sudo.")
            answer = call(path, request, timeout=patient(_PATIENCE))
    except (ChannelError, OSError):
        raise BuildFailed(f"The lab of {folder} does not answer: it has ended; start it again.") from None
    if not answer.get("ok"):
        raise BuildFailed(f"The lab of {folder} can't do that: {answer.get('error')}")
    return answer


def shell(lab: Attached, host: str, command: Sequence[str] = ()) -> int:
    """A shell on a host of the lab, or one command there; its exit code. Raises LabError."""
    if host not in lab.hosts:
        raise BadRequest(f"There is no host {host!r} in this lab: choose from {', '.join(lab.hosts)}.")
    nsenter = shutil.which("nsenter", path=PATH)
    if nsenter is None:
        raise Unable("The program nsenter is missing: run `sudo apt-get install util-linux`.")
    first = _first_process(lab)
    inside = ["mnexec", "-a", str(lab.hosts[host]), *(command or (_SHELL, "--norc"))]
    where = lab.folder / "scripts" / host
    line = f"cd {shlex.quote(str(where))} 2>/dev/null; exec {shlex.join(inside)}"
    environment = {
        **made(os.environ),
        "PS1": f"{host}# ",
        "HISTFILE": str(lab.folder / f"typed-{host}"),
    }
    code = subprocess.run(
        [nsenter, *_ways(first), "--", "/bin/sh", "-c", line], env=environment, umask=UMASK
    ).returncode
    return code if code >= 0 else 128 - code  # as a shell tells that a signal has ended it


def _ways(first: int) -> list[str]:
    """Which namespaces nsenter(1) has to enter; a user's is there only where the lab runs without root."""
    ways = ["--target", str(first), *_NAMESPACES.values()]
    own, other = (os.stat(f"/proc/{process}/ns/{_USER}").st_ino for process in ("self", first))
    return ways if own == other else [*ways, "--user", "--preserve-credentials"]


def _first_process(lab: Attached) -> int:
    """As it is numbered out here. Raises BuildFailed."""
    with socket_in(lab.folder) as path, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
        try:
            peer.connect(path)
        except OSError:
            raise BuildFailed(f"The lab of {lab.folder} has ended; start it again.") from None
        told = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        process: int = _CREDENTIALS.unpack(told)[0]
        return process
