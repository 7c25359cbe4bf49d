"""Boots the kernel with virtme-ng and qemu, runs one command in it, and ends it in time.

The machine sees this one's root file system, read-only; one folder of it can be written, and
that is where output and results go: the machine's console mixes what it prints with the kernel's
own messages. Without KVM everything in it runs 20 to 30 times slower.

It ends when this process ends, however that happens: it runs in a PID namespace whose first process the
kernel kills with us. Where users may not have one, a watcher in the machine's session reads a
pipe that only we hold open, and kills the session when the pipe is closed.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import shlex
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import monotonic
from typing import IO

from labs.errors import LabError, Unable
from realserver_setup.syscalls import die_with_parent
from vm.folders import TEMPORARY
from vm.kernel import Kernel, cache

ROOT = Path(__file__).resolve().parent.parent
SLOW = 12  # times as patient, without KVM, at least
_MOST_PATIENT, _START = 48, 150  # milliseconds of a start of Python for each of these times
_PROBE = 15.0  # seconds for a machine that boots and ends at once, with KVM
_LOOK = 0.2  # seconds between two looks at what the machine has printed
BOOT = 300.0  # seconds for a boot: 12 on a quiet machine, emulated
_BOOTS = 3  # one in eight died in its first second on a busy machine
_LAST_WORDS = 12  # lines of the console that are shown then
_PANIC = "Kernel panic"
_FRESH = (Path("/tmp"), Path("/run"), Path("/var"))  # the machine has its own, or of parts of them
_ENDED_WITH_US = ("--pid", "--fork", "--kill-child", "--mount-proc")
_WATCHED = 'exec 3<&0; { read -r _ <&3; kill -KILL 0; } & exec "$@" 3<&- < /dev/null'
_PREPARE = """\
modprobe -q ip_vs conn_tab_bits=8  # tests read the table of connections all the time, bucket after bucket
for module in ip_vs_ftp openvswitch ipip tun dummy sch_netem nf_tables; do modprobe -q $module; done
ip link set lo up
chmod 666 /dev/net/tun
"""


class TookTooLong(LabError):
    """The command did not end in time; the text says what was seen last."""


@dataclass
class _Heard:
    """The last line that was printed anywhere, and the last ones of the console."""

    last: str = "nothing"
    console: deque[str] = field(default_factory=lambda: deque(maxlen=_LAST_WORDS))


@dataclass(frozen=True, slots=True)
class Machine:
    kernel: Kernel
    memory: str = "4G"
    cpus: int = 2

    def run(
        self,
        command: Sequence[str],
        folder: Path,
        seconds: float,
        environment: Mapping[str, str] | None = None,
    ) -> int:
        """Run `command` in the machine, its output to ours; its exit code. Raises TookTooLong, Unable.

        `folder` is what it can write to (folders.py); `seconds` are for the command, not for booting.
        A machine that dies as it boots is started again, twice.
        """
        kvm = has_kvm(self, folder)
        script, output, code, begun = (folder / f"vm.{kind}" for kind in ("sh", "out", "code", "begun"))
        patience = "" if kvm else _patience()
        script.write_text(_script(command, folder, environment or {}, patience))
        for attempt in range(1, _BOOTS + 1):
            for file in (code, begun):
                file.unlink(missing_ok=True)
            output.write_bytes(b"")
            heard = self._boot(f"sh {shlex.quote(str(script))}", folder, seconds, kvm=kvm)
            if code.exists():
                return int(code.read_text())
            if begun.exists():
                raise Unable(
                    f"The machine ended before the command did (its last words: {heard.last}): "
                    f"run it again; if it ends there again, see docs/oracle.md."
                )
            words = "\n  ".join(heard.console)
            print(
                f"Boot {attempt} of {_BOOTS} failed; the kernel's last words:\n  {words}",
                file=sys.stderr,
                flush=True,
            )
        raise Unable(
            f"The machine has died {_BOOTS} times as it booted (its last words: {heard.last}): "
            "run it again when this one is less busy."
        )

    def shell(self, folder: Path) -> int:
        """A shell in the machine, until it is left; its exit code."""
        command = self.command(folder, kvm=has_kvm(self, folder))
        return subprocess.run(
            [*_namespace(), *command],
            env=_environment(folder),
            preexec_fn=partial(die_with_parent, os.getpid()),
            check=False,
        ).returncode

    def command(self, folder: Path, *, kvm: bool) -> list[str]:
        """virtme-ng's command line, without what is to be run."""
        options = ["--force-9p", "--user", "root", "--memory", self.memory, "--cpus", str(self.cpus)]
        for shared in (self.kernel.root, ROOT):
            if any(shared.is_relative_to(fresh) for fresh in _FRESH):
                options.append(f"--rodir={shared}")
        if not kvm:
            options += ["--disable-kvm", "--append", "no_timer_check"]  # an emulated timer may be late
        return [str(_vng()), "--run", str(self.kernel.image), *options, f"--rwdir={folder}"]

    def _boot(self, command: str, folder: Path, seconds: float, *, kvm: bool) -> _Heard:
        """Boot, and pass on what the command prints until the machine has ended; what was heard."""
        output, begun = folder / "vm.out", folder / "vm.begun"
        process = _start([*self.command(folder, kvm=kvm), "--verbose", "--", command], folder)
        console = threading.Thread(target=_listen, args=(process, heard := _Heard()))
        console.start()
        try:
            with output.open("rb") as printed, _ended(process):
                _follow(process, _Printed(printed, heard), heard, lambda: begun.exists(), seconds)
        finally:
            console.join()
        return heard


class _Printed:
    """What the command prints, passed on as it comes."""

    def __init__(self, stream: IO[bytes], heard: _Heard) -> None:
        self._stream, self._heard = stream, heard
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def pass_on(self) -> None:
        text = self._decoder.decode(self._stream.read())
        if text:
            sys.stdout.write(text)
            sys.stdout.flush()
            self._heard.last = text.strip().rpartition("\n")[2] or self._heard.last


def _follow(
    process: subprocess.Popen[str],
    printed: _Printed,
    heard: _Heard,
    has_begun: Callable[[], bool],
    seconds: float,
) -> None:
    """Until the machine has ended, or died as it booted. Raises TookTooLong."""
    began, limit, what, begun = monotonic(), BOOT, "a boot", False
    while process.poll() is None:
        printed.pass_on()
        if not begun and has_begun():
            began, limit, what, begun = monotonic(), seconds, "the command", True
        if not begun and any(_PANIC in line for line in heard.console):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(1)  # to hear the rest of what it says
            return
        if monotonic() - began > limit:
            raise TookTooLong(
                f"The machine was ended after {limit:.0f} s, the limit for {what}; "
                f"the last it said: {heard.last}"
            )
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_LOOK)
    printed.pass_on()


def _listen(process: subprocess.Popen[str], heard: _Heard) -> None:
    """To the console, which tells how far a machine came that does not boot."""
    for line in process.stdout or ():
        if line.strip():
            heard.last = line.strip()
            heard.console.append(heard.last)


def has_kvm(machine: Machine, folder: Path) -> bool:
    """Whether a machine boots with KVM here, found out by booting one; remembered until this one reboots."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    booted = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    memory = cache() / f"kvm-{booted}"
    if not memory.exists():
        memory.parent.mkdir(parents=True, exist_ok=True)
        memory.write_text("yes" if _boots_with_kvm(machine, folder) else "no")
    return memory.read_text() == "yes"


def _boots_with_kvm(machine: Machine, folder: Path) -> bool:
    process = _start([*machine.command(folder, kvm=True), "--verbose", "--", "echo it boots"], folder)
    timer = threading.Timer(_PROBE, _kill, [process])
    timer.start()
    with _ended(process):
        booted = "it boots" in (process.stdout.read() if process.stdout else "")
    timer.cancel()
    return booted


def _start(command: Sequence[str], folder: Path) -> subprocess.Popen[str]:
    """In a session of its own, so that qemu and its helpers can be ended together."""
    namespace = _namespace()
    return subprocess.Popen(
        [*namespace, *command] if namespace else ["sh", "-c", _WATCHED, "vm", *command],
        stdin=subprocess.DEVNULL if namespace else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=_environment(folder),
        start_new_session=True,
        preexec_fn=partial(die_with_parent, os.getpid()) if namespace else None,
        text=True,
        errors="replace",
    )


def _namespace() -> tuple[str, ...]:
    """To put in front of a command so that all of its processes end with us; () where it is refused."""
    user = () if os.geteuid() == 0 else ("--user", "--map-current-user")
    command = ("unshare", *user, *_ENDED_WITH_US)
    tried = subprocess.run([*command, "true"], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return command if tried.returncode == 0 else ()


@contextlib.contextmanager
def _ended(process: subprocess.Popen[str]) -> Iterator[None]:
    try:
        yield
    finally:
        _kill(process)
        process.wait()
        if process.stdin:
            process.stdin.close()  # ends the watcher, and what it watches


def _kill(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _patience() -> str:
    """As patient as the machine is slow: the second start of Python tells; the first has read the files."""
    start = f"{shlex.quote(sys.executable)} -c 'import json, socket, subprocess'"
    return (
        f"{start}; began=$(date +%s%3N); {start}; slow=$((($(date +%s%3N) - began) / {_START}))\n"
        f'[ "$slow" -ge {SLOW} ] || slow={SLOW}\n[ "$slow" -le {_MOST_PATIENT} ] || slow={_MOST_PATIENT}\n'
        "export LVS_PATIENCE=$slow\n"
    )


def _script(command: Sequence[str], folder: Path, environment: Mapping[str, str], patience: str) -> str:
    """What the machine runs: as this one would, with the modules that a lab may want."""
    output, code, begun = (shlex.quote(str(folder / f"vm.{kind}")) for kind in ("out", "code", "begun"))
    settings = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in environment.items())
    return (
        f"exec > {output} 2>&1 < /dev/null\n: > {begun}\n"
        f"export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp PYTHONUNBUFFERED=1\n{settings}"
        f"cd {shlex.quote(str(ROOT))}\n"
        f"{patience}{_PREPARE}{shlex.join(command)}\n"
        f"echo $? > {code}.part && mv {code}.part {code}\n"
    )


def _vng() -> Path:
    vng = Path(sys.executable).parent / "vng"
    if not vng.exists():
        raise Unable("virtme-ng is missing: run sudo ./inv once, which installs it.")
    return vng


def _environment(folder: Path) -> dict[str, str]:
    """virtme-ng looks for its own programs and qemu on PATH; what is temporary goes with the run's folder."""
    temporary = folder / TEMPORARY
    temporary.mkdir(exist_ok=True)
    path = f"{_vng().parent}:{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    return {**os.environ, "PATH": path, "TMPDIR": str(temporary)}
