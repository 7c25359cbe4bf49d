"""Boots the kernel with virtme-ng and qemu, runs one command in it, and ends it in time.

The machine sees this one's root file system, read-only; one folder of it can be written, and
that is where output and results go: the machine's console mixes what it prints with the kernel's
own messages. Without KVM everything in it runs 20 to 30 times slower.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic
from typing import IO

from labs.errors import LabError, Unable
from realserver_setup.netns import die_with_parent
from vm.kernel import Kernel, cache

ROOT = Path(__file__).resolve().parent.parent
SLOW = 12  # times as patient, without KVM, at least
_MOST_PATIENT, _START = 48, 150  # milliseconds of a start of Python for each of these times
_PROBE = 15.0  # seconds for a machine that boots and ends at once, with KVM
_LOOK = 0.2  # seconds between two looks at what the machine has printed
_FRESH = (Path("/tmp"), Path("/run"), Path("/var"))  # the machine has its own, or of parts of them
_ENDED_WITH_US = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
_PREPARE = """\
modprobe -q ip_vs conn_tab_bits=8  # tests read the table of connections all the time, bucket after bucket
for module in ip_vs_ftp openvswitch ipip tun dummy sch_netem nf_tables; do modprobe -q $module; done
ip link set lo up
chmod 666 /dev/net/tun
"""


class TookTooLong(LabError):
    """The command did not end in time; the text says what was seen last."""


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

        `folder` is what it can write to; `seconds` are for booting and running together.
        """
        kvm = has_kvm(self)
        script, output, code = (folder / f"vm.{kind}" for kind in ("sh", "out", "code"))
        code.unlink(missing_ok=True)
        output.write_bytes(b"")
        patience = "" if kvm else _patience()
        script.write_text(_script(command, output, code, environment or {}, patience))
        with output.open("rb") as printed:
            said = self._boot(f"sh {shlex.quote(str(script))}", folder, seconds, printed, kvm=kvm)
        if not code.exists():
            raise Unable(f"The machine ended before the command did (its last words: {said}): see {output}.")
        return int(code.read_text())

    def shell(self, folder: Path) -> int:
        """A shell in the machine, until it is left; its exit code."""
        command = self.command(folder, kvm=has_kvm(self))
        return subprocess.run(command, env=_environment(), check=False).returncode

    def command(self, folder: Path, *, kvm: bool) -> list[str]:
        """virtme-ng's command line, without what is to be run."""
        options = ["--force-9p", "--user", "root", "--memory", self.memory, "--cpus", str(self.cpus)]
        for shared in (self.kernel.root, ROOT):
            if any(shared.is_relative_to(fresh) for fresh in _FRESH):
                options.append(f"--rodir={shared}")
        if not kvm:
            options.append("--disable-kvm")
        return [str(_vng()), "--run", str(self.kernel.image), *options, f"--rwdir={folder}"]

    def _boot(self, command: str, folder: Path, seconds: float, printed: IO[bytes], *, kvm: bool) -> str:
        """Pass on what the command prints until the machine has ended; the last of what was seen."""
        process = _start([*self.command(folder, kvm=kvm), "--verbose", "--", command])
        console = threading.Thread(target=_read, args=(process, said := ["nothing"]))
        console.start()
        began = monotonic()
        with _ended(process):
            while process.poll() is None and monotonic() - began < seconds:
                _pass_on(printed, said)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_LOOK)
            _pass_on(printed, said)
            if process.poll() is None:
                raise TookTooLong(f"The machine was ended after {seconds:.0f} s; the last it said: {said[0]}")
        console.join()
        return said[0]


def _pass_on(printed: IO[bytes], said: list[str]) -> None:
    text = printed.read()
    if text:
        sys.stdout.write(text.decode(errors="replace"))
        sys.stdout.flush()
        said[0] = text.decode(errors="replace").strip().rpartition("\n")[2] or said[0]


def _read(process: subprocess.Popen[str], said: list[str]) -> None:
    """The console's last line, which tells how far a machine came that does not boot."""
    for line in process.stdout or ():
        said[0] = line.strip() or said[0]


def has_kvm(machine: Machine) -> bool:
    """Whether a machine boots with KVM here, found out by booting one; remembered until this one reboots."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    booted = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    memory = cache() / f"kvm-{booted}"
    if not memory.exists():
        memory.parent.mkdir(parents=True, exist_ok=True)
        memory.write_text("yes" if _boots_with_kvm(machine) else "no")
    return memory.read_text() == "yes"


def _boots_with_kvm(machine: Machine) -> bool:
    process = _start([*machine.command(cache(), kvm=True), "--verbose", "--", "echo it boots"])
    threading.Timer(_PROBE, _kill, [process]).start()
    with _ended(process):
        return "it boots" in (process.stdout.read() if process.stdout else "")


def _start(command: Sequence[str]) -> subprocess.Popen[str]:
    """In a session of its own, so that qemu and its helpers can be ended together.

    If this process is killed, the kernel ends them: all of them for root, who may have namespaces.
    """
    return subprocess.Popen(
        [*(_ENDED_WITH_US if os.geteuid() == 0 else ()), *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=_environment(),
        start_new_session=True,
        preexec_fn=partial(die_with_parent, os.getpid()),
        text=True,
        errors="replace",
    )


@contextlib.contextmanager
def _ended(process: subprocess.Popen[str]) -> Iterator[None]:
    try:
        yield
    finally:
        _kill(process)
        process.wait()


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


def _script(
    command: Sequence[str], output: Path, code: Path, environment: Mapping[str, str], patience: str
) -> str:
    """What the machine runs: as this one would, with the modules that a lab may want."""
    settings = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in environment.items())
    return (
        f"exec > {shlex.quote(str(output))} 2>&1 < /dev/null\n"
        f"export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp\n{settings}"
        f"cd {shlex.quote(str(ROOT))}\n"
        f"{patience}{_PREPARE}{shlex.join(command)}\n"
        f"echo $? > {shlex.quote(str(code))}\n"
    )


def _vng() -> Path:
    vng = Path(sys.executable).parent / "vng"
    if not vng.exists():
        raise Unable("virtme-ng is missing: run sudo ./inv once, which installs it.")
    return vng


def _environment() -> dict[str, str]:
    """virtme-ng looks for its own programs and qemu on PATH."""
    return {**os.environ, "PATH": f"{_vng().parent}:{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}
