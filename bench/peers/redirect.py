"""The least that a program in the kernel can do at the director's place: what is lost to the cables."""

from __future__ import annotations

import shutil
import sysconfig
from pathlib import Path

from bench.site import Site

ABOUT = "a BPF program of five lines, without rules or tables: what the second cable costs"
METHODS = ("dr",)
OFFLOAD = True
_SOURCE = Path(__file__).resolve().parent.parent / "redirect.c"


def cannot() -> str:
    missing = [name for name in ("clang", "tc") if shutil.which(name) is None]
    return f"Not installed: {', '.join(missing)}." if missing else ""


def set_up(site: Site) -> None:
    numbers = {
        "INTERFACE": site.run("d", "cat", "/sys/class/net/d-s/ifindex").strip(),
        "TO": _initialiser(site.mac("s", "s-d")),
        "FROM": _initialiser(site.mac("d", "d-s")),
    }
    made = site.folder / "redirect.o"
    includes = f"-I/usr/include/{sysconfig.get_config_var('MULTIARCH')}"
    constants = [f"-D{name}={value}" for name, value in numbers.items()]
    compiler = ("clang", "-O2", "-g", "-target", "bpf", includes, *constants)
    site.run("d", *compiler, "-c", str(_SOURCE), "-o", str(made), seconds=60)
    site.run("d", "tc", "qdisc", "add", "dev", "d-c", "clsact")
    site.run("d", "tc", "filter", "add", "dev", "d-c", "ingress", "bpf", "da", "obj", str(made), "sec", "tc")


def _initialiser(mac: str) -> str:
    return ",".join(f"0x{byte}" for byte in mac.split(":"))
