"""Boots the kernel with virtme-ng and qemu, runs one command in it, and ends it in time.

The machine has this root file system, read-only, and one folder that it can write to. Output and results go
there, because the console mixes them with the kernel's messages. Without KVM, everything in it runs 20 to 30
times slower.

The machine ends when this process ends, even by a kill: it runs in a PID namespace whose first process the
kernel kills with this one. If users may not create one, a watcher in the machine's session reads a pipe that
only this process holds open, and kills the session when the pipe is closed.
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
from labs.wait import Deadline, patient
from realserver_setup.syscalls import die_with_parent
from vm.kernel_packages import Kernel, cache
from vm.run_folder import TEMPORARY

ROOT = Path(__file__).resolve().parent.parent
BOOT_TIMEOUT = 300.0  # seconds; an emulated boot takes 12 on an idle machine
_BOOTS = 3  # on a busy machine, one boot in eight died in its first second
_KVM_TIMEOUT = 15.0  # seconds to boot and end with KVM
_POLL_INTERVAL = 0.2  # seconds between two reads of the output
_CONSOLE_LINES = 12  # shown of a boot that failed
_PANIC = "Kernel panic"
_OWN_FOLDERS = (Path("/tmp"), Path("/run"), Path("/var"))  # the machine's own, at least in part
_CACHED = "/mnt"  # where the machine has this root file system a second time
# Its six serial devices have 64 queues each by default, and qemu polls all of them at every event.
_FEW_QUEUES = "-global virtio-serial-pci.max_ports=2"
_NEW_PID_NAMESPACE = ("--pid", "--fork", "--kill-child", "--mount-proc")
_WATCHED = 'exec 3<&0; { read -r _ <&3; kill -KILL 0; } & exec "$@" 3<&- < /dev/null'
# virtme-ng mounts the file system without a cache, so that every start of a program would fetch its files
# again. Nothing in it changes during a run.
_CACHE = """\
tag=$(sed -n 's|^\\([^ ]*\\) {cached} 9p .*|\\1|p' /proc/mounts)
options=ro,cache=loose,version=9p2000.L,trans=virtio,access=any,msize=524288
if [ "$tag" ] && umount {cached} && mount -t 9p -o $options "$tag" {cached}; then
    for folder in /usr/bin /usr/sbin /usr/lib/python3* /usr/lib/x86_64-linux-gnu {own}; do
        [ ! -d "$folder" ] || mount --bind "{cached}$folder" "$folder"
    done
fi
"""
_PREPARE = """\
modprobe -q ip_vs conn_tab_bits=8  # tests read the connection table often, bucket by bucket
for module in ip_vs_ftp openvswitch ipip tun dummy sch_netem nf_tables; do modprobe -q $module; done
ip link set lo up
chmod 666 /dev/net/tun
"""


class TookTooLong(LabError):
    """The command did not end in time; the text has its last output."""


@dataclass
class _LastOutput:
    """The last line of the command or the console, and the last lines of the console."""

    line: str = "nothing"
    console: deque[str] = field(default_factory=lambda: deque(maxlen=_CONSOLE_LINES))


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
        """Run `command` in the machine, print its output, return its exit code. Raises TookTooLong, Unable.

        The command can write to `folder` (run_folder.py); `seconds` is its time limit, without booting.
        A machine that dies while booting is started again, twice.
        """
        kvm = has_kvm(self, folder)
        script, output, code, begun = (folder / f"vm.{kind}" for kind in ("sh", "out", "code", "begun"))
        script.write_text(_script(command, folder, environment or {}, emulated=not kvm))
        for attempt in range(1, _BOOTS + 1):
            for file in (code, begun):
                file.unlink(missing_ok=True)
            output.write_bytes(b"")
            last = self._boot(f"sh {shlex.quote(str(script))}", folder, seconds, kvm=kvm)
            if code.exists():
                return int(code.read_text())
            if begun.exists():
                raise Unable(
                    f"The machine ended before the command did (last output: {last.line}): "
                    "run it again, or on a machine with KVM (/dev/kvm)."
                )
            console = "\n  ".join(last.console)
            print(
                f"Boot {attempt} of {_BOOTS} failed; the last lines of the console:\n  {console}",
                file=sys.stderr,
                flush=True,
            )
        raise Unable(
            f"The machine died {_BOOTS} times while booting (last output: {last.line}): "
            "run it again when this computer is less busy."
        )

    def shell(self, folder: Path, environment: Mapping[str, str]) -> int:
        """Run a shell in the machine until the user leaves it; returns its exit code."""
        # What the kernel does not know on its command line is the environment of its first process.
        kernel = [f"--append={name}={value}" for name, value in environment.items()]
        command = [*self.command(folder, kvm=has_kvm(self, folder)), *kernel]
        return subprocess.run(
            [*_namespace(), *command],
            env=_environment(folder),
            preexec_fn=partial(die_with_parent, os.getpid()),
            check=False,
        ).returncode

    def command(self, folder: Path, *, kvm: bool) -> list[str]:
        """virtme-ng's command line, without the command to run."""
        options = ["--force-9p", "--user", "root", "--memory", self.memory, "--cpus", str(self.cpus)]
        for shared in (self.kernel.root, ROOT):
            if any(shared.is_relative_to(own) for own in _OWN_FOLDERS):
                options.append(f"--rodir={shared}")
        options += [f"--rodir={_CACHED}=/", f"--qemu-opts={_FEW_QUEUES}"]
        if not kvm:
            options += ["--disable-kvm", "--append", "no_timer_check"]  # an emulated timer may be late
        return [str(_vng()), "--run", str(self.kernel.image), *options, f"--rwdir={folder}"]

    def _boot(self, command: str, folder: Path, seconds: float, *, kvm: bool) -> _LastOutput:
        """Boot, and pass on the command's output, until the machine has ended."""
        output, begun = folder / "vm.out", folder / "vm.begun"
        process = _start([*self.command(folder, kvm=kvm), "--verbose", "--", command], folder)
        last = _LastOutput()
        console = threading.Thread(target=_read_console, args=(process, last))
        console.start()
        try:
            with output.open("rb") as stream, _killed_at_end(process):
                _follow(process, _OutputRelay(stream, last), last, begun.exists, seconds)
        finally:
            console.join()
        return last


def _script(command: Sequence[str], folder: Path, environment: Mapping[str, str], *, emulated: bool) -> str:
    """A shell script that runs the command as on this machine, with the modules that a lab may need."""
    output, code, begun = (shlex.quote(str(folder / f"vm.{kind}")) for kind in ("out", "code", "begun"))
    settings = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in environment.items())
    patience = f"export LVS_PATIENCE=$({shlex.quote(sys.executable)} -m vm.pace)\n" if emulated else ""
    return (
        f"exec > {output} 2>&1 < /dev/null\n"
        f"export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp PYTHONUNBUFFERED=1\n{settings}"
        f"{_CACHE.format(cached=_CACHED, own=shlex.quote(str(ROOT)))}"
        f"cd {shlex.quote(str(ROOT))}\n"
        f"{patience}: > {begun}\n"  # the time of the command starts here
        f"{_PREPARE}{shlex.join(command)}\n"
        f"echo $? > {code}.part && mv {code}.part {code}\n"
    )


# ---- output ----


class _OutputRelay:
    """Passes on the command's output as it comes."""

    def __init__(self, stream: IO[bytes], last: _LastOutput) -> None:
        self._stream, self._last = stream, last
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def poll(self) -> None:
        text = self._decoder.decode(self._stream.read())
        if text:
            sys.stdout.write(text)
            sys.stdout.flush()
            self._last.line = text.strip().rpartition("\n")[2] or self._last.line


def _read_console(process: subprocess.Popen[str], last: _LastOutput) -> None:
    """Read the console, which shows how far a machine got that does not boot."""
    for line in process.stdout or ():
        if line.strip():
            last.line = line.strip()
            last.console.append(last.line)


def _follow(
    process: subprocess.Popen[str],
    output: _OutputRelay,
    last: _LastOutput,
    has_begun: Callable[[], bool],
    seconds: float,
) -> None:
    """Pass on output until the machine has ended, or has died while booting. Raises TookTooLong."""
    began, begun, booting = monotonic(), False, Deadline(BOOT_TIMEOUT)
    while process.poll() is None:
        output.poll()
        if not begun and has_begun():
            began, begun = monotonic(), True
        if not begun and any(_PANIC in line for line in last.console):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(1)  # for the rest of its message
            return
        if booting.has_passed() if not begun else monotonic() - began > seconds:
            limit, what = (seconds, "the command") if begun else (booting.limit(), "a boot")
            raise TookTooLong(
                f"The machine was stopped after {limit:.0f} s, the limit for {what}; last output: {last.line}"
            )
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_POLL_INTERVAL)
    output.poll()


# ---- KVM ----


def has_kvm(machine: Machine, folder: Path) -> bool:
    """Whether a machine boots with KVM here: tried once, and remembered until this machine reboots."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    result = cache() / f"kvm-{boot_id}"
    if not result.exists():
        result.parent.mkdir(parents=True, exist_ok=True)
        result.write_text("yes" if _boots_with_kvm(machine, folder) else "no")
    return result.read_text() == "yes"


def _boots_with_kvm(machine: Machine, folder: Path) -> bool:
    process = _start([*machine.command(folder, kvm=True), "--verbose", "--", "echo it boots"], folder)
    timer = threading.Timer(patient(_KVM_TIMEOUT), _kill, [process])
    timer.start()
    with _killed_at_end(process):
        booted = "it boots" in (process.stdout.read() if process.stdout else "")
    timer.cancel()
    return booted


# ---- the process ----


def _start(command: Sequence[str], folder: Path) -> subprocess.Popen[str]:
    """Start it in a session of its own, so that qemu and its helpers are killed together."""
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
    """A prefix for commands whose processes must end with this one; () if this user may not create one."""
    user = () if os.geteuid() == 0 else ("--user", "--map-current-user")
    command = ("unshare", *user, *_NEW_PID_NAMESPACE)
    tried = subprocess.run([*command, "true"], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return command if tried.returncode == 0 else ()


@contextlib.contextmanager
def _killed_at_end(process: subprocess.Popen[str]) -> Iterator[None]:
    try:
        yield
    finally:
        _kill(process)
        process.wait()
        if process.stdin:
            process.stdin.close()  # ends the watcher, and all that it watches


def _kill(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _vng() -> Path:
    vng = Path(sys.executable).parent / "vng"
    if not vng.exists():
        raise Unable("virtme-ng is missing: run sudo ./inv once, which installs it.")
    return vng


def _environment(folder: Path) -> dict[str, str]:
    """virtme-ng finds its own programs and qemu on PATH; temporary files go to the run's folder."""
    temporary = folder / TEMPORARY
    temporary.mkdir(exist_ok=True)
    path = f"{_vng().parent}:{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    return {**os.environ, "PATH": path, "TMPDIR": str(temporary)}
