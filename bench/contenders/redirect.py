"""The least that a program in the kernel can do at the director's place: what is lost to the cables."""

from __future__ import annotations

import shutil
import sys
import sysconfig
from pathlib import Path
from socket import inet_aton

from bench.testbed import INSIDE, SERVER, VIP, Testbed

ABOUT = "a BPF program without rules, tables or counters: the least that any can cost at this place"
METHODS = ("nat", "tun", "dr")
OFFLOAD = True
_SOURCE = Path(__file__).resolve().parent.parent / "redirect.c"
_SOURCE_AT, _DESTINATION_AT = 26, 30  # in a frame


def cannot() -> str:
    missing = [name for name in ("clang", "tc") if shutil.which(name) is None]
    return f"Not installed: {', '.join(missing)}." if missing else ""


def set_up(testbed: Testbed) -> None:
    if testbed.method == "nat":
        _redirect(testbed, "d-c", "d-s", AT=_DESTINATION_AT, NEW=_number(SERVER))
        _redirect(testbed, "d-s", "d-c", AT=_SOURCE_AT, NEW=_number(VIP))
    elif testbed.method == "tun":
        _redirect(testbed, "d-c", "d-s", OUTER_FROM=_number(INSIDE), OUTER_TO=_number(SERVER))
    else:
        _redirect(testbed, "d-c", "d-s")


def _redirect(testbed: Testbed, comes: str, leaves: str, **rewriting: int) -> None:
    """All that comes in on one interface leaves by the other."""
    near, far = leaves.split("-")
    numbers: dict[str, object] = {
        "INTERFACE": testbed.run("d", "cat", f"/sys/class/net/{leaves}/ifindex").strip(),
        "TO": _initialiser(testbed.mac(far, f"{far}-{near}")),
        "FROM": _initialiser(testbed.mac("d", leaves)),
        **rewriting,
    }
    made = testbed.folder / f"{comes}.o"
    includes = f"-I/usr/include/{sysconfig.get_config_var('MULTIARCH')}"
    constants = [f"-D{name}={value}" for name, value in numbers.items()]
    compiler = ("clang", "-O2", "-g", "-target", "bpf", "-mcpu=v3", includes, *constants)
    testbed.run("d", *compiler, "-c", str(_SOURCE), "-o", str(made), seconds=60)
    testbed.run("d", "tc", "qdisc", "add", "dev", comes, "clsact")
    testbed.run(
        "d", "tc", "filter", "add", "dev", comes, "ingress", "bpf", "da", "obj", str(made), "sec", "tc"
    )


def _number(address: str) -> int:
    """As the machine has the bytes that are on the wire."""
    return int.from_bytes(inet_aton(address), sys.byteorder)


def _initialiser(mac: str) -> str:
    return ",".join(f"0x{byte}" for byte in mac.split(":"))
