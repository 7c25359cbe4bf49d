"""The distribution's own kernel, fetched as packages and unpacked into a cache.

Nothing is installed: /boot and the machine's own modules are not touched.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from labs import environment
from labs.errors import Unable

_META = {"debian": "linux-image-{arch}", "ubuntu": "linux-image-generic"}
_PARTS = re.compile(r"linux-(image|modules)(-extra|-unsigned)?-\d")
_FETCHING = 300.0  # seconds
_UNPACKING = 120.0
_DONE = "unpacked"  # the file that is written last

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Kernel:
    """`root` holds boot/ and lib/modules/ as the packages bring them."""

    root: Path
    release: str

    @property
    def image(self) -> Path:
        return self.root / "boot" / f"vmlinuz-{self.release}"


def cache() -> Path:
    """Where kernels are kept: in the labs' own cache."""
    return environment.cache(os.environ)


def ready(say: Say) -> Kernel:
    """The kernel, fetched first if it isn't there. Raises Unable."""
    for root in sorted((cache() / "kernel").glob("*")):
        if (root / _DONE).exists():
            return _kernel(root)
    meta = _META[_distribution()].format(arch=_output("dpkg", "--print-architecture"))
    packages = list(_parts(meta))
    if not packages:
        raise Unable(
            f"No kernel package is known here ({meta} names none): run apt-get update, then try again."
        )
    return _fetch(packages, say)


def _fetch(packages: list[str], say: Say) -> Kernel:
    root = cache() / "kernel" / packages[0]
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    say(f"Fetching {', '.join(packages)}")
    _run(["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", *packages], root, _FETCHING)
    say("Unpacking")
    for archive in sorted(root.glob("*.deb")):
        _run(["dpkg-deb", "--extract", str(archive), str(root)], root, _UNPACKING)
        archive.unlink()
    if not (root / "lib").exists():  # where /lib is a link to /usr/lib
        (root / "lib").symlink_to("usr/lib")
    kernel = _kernel(root)
    _run(["/sbin/depmod", "--basedir", str(root), kernel.release], root, _UNPACKING)
    (root / _DONE).touch()
    return kernel


def _kernel(root: Path) -> Kernel:
    images = sorted(root.glob("boot/vmlinuz-*"))
    if not images:
        raise Unable(f"{root} has no kernel: remove that folder and try again.")
    return Kernel(root, images[0].name.removeprefix("vmlinuz-"))


def _parts(meta: str) -> Iterator[str]:
    """The packages that a meta package stands for: the image first, then its modules."""
    waiting, seen = [meta], {meta}
    while waiting:
        for line in _output("apt-cache", "depends", "--important", waiting.pop(0)).splitlines():
            name = line.rpartition("Depends: ")[2].strip()
            if _PARTS.match(name) and name not in seen:
                seen.add(name)
                waiting.append(name)
                yield name


def _distribution() -> str:
    release = Path("/etc/os-release").read_text()
    known = re.findall(r'^ID(?:_LIKE)?="?([a-z ]+)"?$', release, re.MULTILINE)
    words = " ".join(known).split()
    for name in ("ubuntu", "debian"):
        if name in words:
            return name
    raise Unable("Kernels are fetched from Debian and Ubuntu only; this is another distribution.")


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout.strip()


def _run(command: list[str], folder: Path, seconds: float) -> None:
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        raise Unable(f"{command[0]} took more than {seconds:.0f} s: see whether the network works.") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise Unable(f"{' '.join(command[:3])} failed ({last}): run apt-get update, then try again.")
