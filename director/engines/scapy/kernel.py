"""Keeps the director's own kernel from interfering, and hands it what is its own business.

The VIP is an address of this machine, so the kernel would refuse connections that are about to
be forwarded. A rule of nftables therefore drops TCP and UDP to the VIPs before the kernel looks
at them; the director's sockets have seen them by then. What the director leaves to the kernel
comes back to it through the TUN device lvs0, which the rule lets pass: a port without a
service is then refused by the kernel itself, and a local server gets its packets. So does what
the director's own programs send to the VIP: they are no clients, and get no real server.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryFile

from director.engines import tuntap
from director.engines.engine import EngineError

DEVICE = "lvs0"
LOCAL_NODE = "table ip lvs_local_node"  # local_node.py
_TABLE = "table ip lvs"
_SYSCTLS = Path("/proc/sys/net/ipv4/conf")

_RULES = """\
{start}{table} {{
    set vips {{ type ipv4_addr; flags interval; auto-merge; {elements}}}
    chain before_the_kernel {{
        type filter hook prerouting priority raw; policy accept;
        iifname != {{ "lo", "{device}" }} ip daddr @vips meta l4proto {{ tcp, udp }} drop
    }}
}}
"""


def rules(vips: Collection[str]) -> str:
    """The nftables script; it replaces whatever an earlier director has left.

    `vips` are addresses, or networks whose packets carry a mark.
    """
    elements = f"elements = {{ {', '.join(sorted(vips))} }}; " if vips else ""
    return _RULES.format(start=without(_TABLE), table=_TABLE, device=DEVICE, elements=elements)


def without(table: str) -> str:
    """The script that removes a table, whether it is there or not."""
    return f"{table}\ndelete {table}\n"


class Kernel:
    """What it says to the kernel holds from `start` on, until `close`."""

    def __init__(self, interfaces: Iterable[str]) -> None:
        self._interfaces = tuple(interfaces)
        self._before: dict[Path, str] = {}
        self._vips: set[str] | None = None
        self._device = -1

    def start(self) -> None:
        """Raises EngineError."""
        self._device = tuntap.make(DEVICE, tuntap.TUN)
        with contextlib.suppress(EngineError):
            nft(without(LOCAL_NODE))  # of a director that was killed
        # The larger of `all` and the device wins: a packet from lvs0 has come by another way.
        self._set("all", "rp_filter", "0")
        self._set(DEVICE, "rp_filter", "0")
        for interface in ("all", *self._interfaces):
            self._set(interface, "send_redirects", "0")

    def keep_out_of(self, vips: set[str]) -> None:
        """From now on TCP and UDP to these addresses reach the kernel by `give` only."""
        if vips != self._vips:
            nft(rules(vips))
            self._vips = set(vips)

    def keep_out_in_steps(self, vips: set[str]) -> Iterator[None]:
        """The same: nft takes some milliseconds, and nobody has to wait for it."""
        if vips == self._vips:
            return
        process = _Nft(rules(vips))
        try:
            while process.is_running:
                yield
        finally:  # also where nobody needs it any more: it does its work all the same
            process.check()
            self._vips = set(vips)

    def give(self, packet: bytes) -> bool:
        """Hand an IP packet to the kernel; False where it does not take it."""
        try:
            os.write(self._device, packet)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Leave the kernel as it was."""
        if self._vips is not None:
            with contextlib.suppress(EngineError):
                nft(without(_TABLE))
            self._vips = None
        for path, value in self._before.items():
            with contextlib.suppress(OSError):
                path.write_text(value)
        self._before.clear()
        if self._device >= 0:
            os.close(self._device)
            self._device = -1

    def _set(self, interface: str, name: str, value: str) -> None:
        path = _SYSCTLS / interface / name
        try:
            before = path.read_text()
            path.write_text(value)
        except OSError as error:
            raise EngineError(
                f"{path} can't be set to {value} ({error.strerror}): the director needs CAP_NET_ADMIN, "
                "and a /proc/sys that is not read-only."
            ) from None
        if interface != DEVICE:
            self._before.setdefault(path, before)


def nft(script: str) -> None:
    """Carry out an nftables script, whole or not at all. Raises EngineError."""
    _Nft(script).check()


class _Nft:
    """nft, which carries out a script, whole or not at all. Raises EngineError."""

    def __init__(self, script: str) -> None:
        nft = shutil.which("nft", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        if nft is None:
            raise EngineError("The program nft is missing: install the package nftables.")
        self._said = TemporaryFile()  # noqa: SIM115 (closed by `check`)
        with TemporaryFile() as told:  # a pipe may be too short for it
            told.write(script.encode())
            told.seek(0)
            self._process = subprocess.Popen(
                [nft, "-f", "-"], stdin=told, stdout=subprocess.DEVNULL, stderr=self._said
            )

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def check(self) -> None:
        """Wait for its end. Raises EngineError where it has refused."""
        code = self._process.wait()
        with self._said:
            self._said.seek(0)
            first = self._said.readline().decode(errors="replace")
        if code:
            reason = " ".join(first.split())
            raise EngineError(
                f"nft can't load the director's rules ({reason}): it takes the ambient capability "
                "CAP_NET_ADMIN, or root, and a kernel with nf_tables."
            )
