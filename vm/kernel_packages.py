"""The distribution's own kernel: its packages are downloaded and unpacked into a cache.

Nothing is installed: /boot and this machine's modules are not touched.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from labs.errors import BadRequest, Unable
from labs.hosts import environment

_META = {"debian": "linux-image-{arch}", "ubuntu": "linux-image-generic"}
# For --kernel: the release of Debian that has a kernel of this series; it boots on Ubuntu, too.
SERIES = {"6.1": "bookworm", "6.12": "trixie"}
_KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
# By the labels of Debian's archives: a mirror, and the suite of a release. The kernel's updates are in both.
_ARCHIVES = {
    "Debian": ("http://deb.debian.org/debian", "{}"),
    "Debian-Security": ("http://deb.debian.org/debian-security", "{}-security"),
}
_AS_ROOT = ("-o", "APT::Sandbox::User=root")  # apt's own user cannot write to our cache
_KERNEL_PACKAGE = re.compile(r"linux-(image|modules)(-extra|-unsigned)?-\d")
_DOWNLOAD_TIMEOUT = 300.0  # seconds
_UNPACK_TIMEOUT = 120.0
_UNPACKED = "unpacked"  # the file that is written last

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
    """The labs' own cache."""
    return environment.cache_folder(os.environ)


def ready(say: Say, series: str = "") -> Kernel:
    """This distribution's kernel, or Debian's of a series; downloaded if it is not in the cache.

    Raises BadRequest for an unknown series, and Unable.
    """
    if series and series not in SERIES:
        raise BadRequest(f"--kernel {series} is not known: choose one of {', '.join(SERIES)}.")
    folder = cache() / (f"kernel-{series}" if series else "kernel")
    for root in sorted(folder.glob("*")):
        if (root / _UNPACKED).exists():
            return _kernel(root)
    meta = _META["debian" if series else _distribution()].format(arch=_output("dpkg", "--print-architecture"))
    lists = _lists_of(SERIES[series], folder, say) if series else ()
    packages = list(_parts(meta, lists))
    if not packages:
        raise Unable(
            f"apt knows no kernel package ({meta} depends on none): run apt-get update, then try again."
        )
    return _fetch(packages, folder, lists, say)


def _lists_of(release: str, folder: Path, say: Say) -> tuple[str, ...]:
    """Options that make apt use only the packages of this release of Debian. Raises Unable.

    The package lists are kept in `folder`; this machine's own are not touched.
    """
    if not _KEYS.exists():
        raise Unable(f"Debian's packages can't be verified without {_KEYS}: install debian-archive-keyring.")
    for name in ("lists/partial", "archives/partial"):
        (folder / "apt" / name).mkdir(parents=True, exist_ok=True)
    sources = folder / "apt" / "sources.list"
    mirrors = {label: _mirror(label) for label in _ARCHIVES}
    lines = (
        f"deb [signed-by={_KEYS}] {mirror} {_ARCHIVES[label][1].format(release)} main\n"
        for label, mirror in mirrors.items()
    )
    sources.write_text("".join(lines))
    settings = {
        "Dir::Etc::SourceList": sources,
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State::Lists": folder / "apt" / "lists",
        "Dir::Cache": folder / "apt",
    }
    options = tuple(word for name, value in settings.items() for word in ("-o", f"{name}={value}"))
    say(f"Looking for the kernel of Debian {release} on {' and '.join(mirrors.values())}")
    _run(["apt-get", "-q", *_AS_ROOT, *options, "update"], folder, _DOWNLOAD_TIMEOUT)
    return options


def _mirror(label: str) -> str:
    """The mirror of an archive that this machine's apt uses."""
    form = ("--format", "$(SITE)", f"Label: {label}", "Component: main")
    return next(iter(_output("apt-get", "indextargets", *form).split()), _ARCHIVES[label][0])


def _fetch(packages: list[str], folder: Path, lists: Sequence[str], say: Say) -> Kernel:
    """Download and unpack these packages; `lists` are apt's options for them."""
    root = folder / packages[0]
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    say(f"Downloading {', '.join(packages)}")
    _run(["apt-get", "-q", *_AS_ROOT, *lists, "download", *packages], root, _DOWNLOAD_TIMEOUT)
    say("Unpacking")
    for archive in sorted(root.glob("*.deb")):
        _run(["dpkg-deb", "--extract", str(archive), str(root)], root, _UNPACK_TIMEOUT)
        archive.unlink()
    if not (root / "lib").exists():  # if /lib is a link to /usr/lib
        (root / "lib").symlink_to("usr/lib")
    kernel = _kernel(root)
    _run(["/sbin/depmod", "--basedir", str(root), kernel.release], root, _UNPACK_TIMEOUT)
    (root / _UNPACKED).touch()
    return kernel


def _kernel(root: Path) -> Kernel:
    images = sorted(root.glob("boot/vmlinuz-*"))
    if not images:
        raise Unable(f"{root} has no kernel in it: remove this folder and try again.")
    return Kernel(root, images[0].name.removeprefix("vmlinuz-"))


def _parts(meta: str, lists: Sequence[str] = ()) -> Iterator[str]:
    """The kernel packages that a meta package depends on: the image first, then its modules."""
    queue, found = [meta], {meta}
    while queue:
        depends = _output("apt-cache", *lists, "depends", "--important", queue.pop(0))
        for line in depends.splitlines():
            name = line.rpartition("Depends: ")[2].strip()
            if _KERNEL_PACKAGE.match(name) and name not in found:
                found.add(name)
                queue.append(name)
                yield name


def _distribution() -> str:
    release = Path("/etc/os-release").read_text()
    ids = re.findall(r'^ID(?:_LIKE)?="?([a-z ]+)"?$', release, re.MULTILINE)
    words = " ".join(ids).split()
    for name in ("ubuntu", "debian"):
        if name in words:
            return name
    raise Unable("Kernels can be downloaded for Debian and Ubuntu only; this is another distribution.")


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout.strip()


def _run(command: list[str], folder: Path, seconds: float) -> None:
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        raise Unable(f"{command[0]} took more than {seconds:.0f} s: check the network.") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise Unable(f"{command[0]} failed ({last}): run apt-get update, then try again.")
