"""use_vmac: the virtual router's own MAC address, which moves with the VIP (RFC 5798, 7.3).

As in keepalived, a macvlan in private mode on the instance's interface has this address, and the VIP. The
master owns both, so that a neighbour's ARP cache stays right when the VIP moves. Only switches must learn the
new port, and do so from the new master's frames.
"""

from __future__ import annotations

import contextlib
import errno
import json
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PREFIXES = {False: "00:00:5e:00:01", True: "00:00:5e:00:02"}  # of IPv4 and IPv6; the router's id follows
_SYSCTLS = Path("/proc/sys/net")
# The instance's interface has another MAC address: it must not answer for the VIP, nor ask in its name.
_OF_THE_BASE = {
    "ipv4/conf/{}/arp_ignore": "1",
    "ipv4/conf/{}/arp_filter": "1",
    "ipv4/conf/{}/arp_announce": "2",  # which keepalived leaves to the administrator
}
# No automatic IPv6 address: it follows from the MAC address, so the other director's would be the same.
_OF_ITS_OWN = {
    "ipv4/conf/{}/arp_ignore": "1",
    "ipv4/conf/{}/accept_local": "1",
    "ipv4/conf/{}/rp_filter": "2",  # the larger of this and `all` counts: replies leave by the base
    "ipv6/conf/{}/addr_gen_mode": "1",
    "ipv6/conf/{}/accept_ra": "0",
}


@dataclass(frozen=True, slots=True)
class VirtualMac:
    """`interface`, a macvlan on `base`, has the MAC address; `advertises`: it also sends advertisements."""

    interface: str
    base: str
    address: str
    advertises: bool = True


def default_name(vrid: int, *, is_ipv6: bool) -> str:
    """keepalived's name for the interface."""
    return f"vrrp{'6' if is_ipv6 else ''}.{vrid}"


def default_address(vrid: int, *, is_ipv6: bool) -> str:
    return f"{_PREFIXES[is_ipv6]}:{vrid:02x}"


@contextlib.contextmanager
def interface_of(wanted: VirtualMac) -> Iterator[None]:
    """Create the interface, and delete it at the end; reuses the one of a process that was killed.

    Raises OSError.
    """
    before = {path: path.read_text().strip() for path in _paths(_OF_THE_BASE, wanted.base)}
    _make(wanted)
    try:
        _write(_OF_THE_BASE, wanted.base)
        yield
    finally:
        with contextlib.suppress(OSError):
            _ip("link", "del", wanted.interface)
        for path, value in before.items():
            with contextlib.suppress(OSError):
                path.write_text(value)


def _make(wanted: VirtualMac) -> None:
    if wanted.base not in {name for _, name in socket.if_nameindex()}:
        raise OSError(errno.ENODEV, f"there is no interface {wanted.base}")
    shown = subprocess.run(["ip", "-d", "-j", "link", "show"], capture_output=True, text=True, check=False)
    links = {link["ifname"]: link for link in json.loads(shown.stdout or "[]")}
    found = links.get(wanted.interface)
    if found is not None:
        kind = found.get("linkinfo", {}).get("info_kind")
        if (kind, found.get("address"), found.get("link")) != ("macvlan", wanted.address, wanted.base):
            raise OSError(
                errno.EEXIST,
                f"use_vmac: there is another interface {wanted.interface}",
            )
    else:
        words = ("link", wanted.base, "name", wanted.interface, "address", wanted.address)
        _ip("link", "add", *words, "type", "macvlan", "mode", "private")
    _write(_OF_ITS_OWN, wanted.interface)
    _ip("link", "set", wanted.interface, "up")


def _paths(settings: dict[str, str], interface: str) -> Iterator[Path]:
    paths = (_SYSCTLS / name.format(interface) for name in settings)
    return (path for path in paths if path.exists())  # IPv6 may be disabled


def _write(settings: dict[str, str], interface: str) -> None:
    for path, value in zip(
        (_SYSCTLS / name.format(interface) for name in settings), settings.values(), strict=True
    ):
        if path.exists():
            path.write_text(value)


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        why = done.stderr.strip().removeprefix("RTNETLINK answers: ").removeprefix("Error: ").rstrip(".")
        code = errno.EPERM if "not permitted" in why else errno.EOPNOTSUPP
        raise OSError(code, f"use_vmac: `ip {' '.join(words)}` failed: {why or f'exit {done.returncode}'}")
