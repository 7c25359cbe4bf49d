"""Settings of the kernel (sysctls) that a director changes while it runs, or that disturb it.

An engine restores what it has changed when it stops. A director that is killed cannot, so the values from
before its start are kept in a file beside its control socket: the next director on that socket begins by
restoring them, and removes the file when it stops.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

IPV4 = Path("/proc/sys/net/ipv4")
_SUFFIX = ".sysctls"  # of the file, after the name of the socket
_NAMESPACE = "/proc/self/ns/net"


@contextlib.contextmanager
def kept_for_the_next_director(socket: str, interfaces: Sequence[str]) -> Iterator[None]:
    """Restore what a director that was killed has left, and keep the values from before this one's start."""
    path = Path(socket + _SUFFIX)
    file = _locked(path)
    if file is None:
        yield
        return
    with file:
        _restore(file.read())
        values = json.dumps({"namespace": _namespace(), "values": _values(interfaces)})
        try:
            with contextlib.suppress(OSError):  # a full disk: only a director that is killed will miss them
                os.ftruncate(file.fileno(), 0)
                os.pwrite(file.fileno(), values.encode(), 0)
            yield
        finally:
            path.unlink(missing_ok=True)


def forwarding(interfaces: Sequence[str]) -> list[str]:
    """The interfaces on which the kernel forwards packets."""
    return [name for name in interfaces if _read(f"conf/{name}/forwarding") == "1"]


def _locked(path: Path) -> IO[str] | None:
    """The file, locked; None if it can't be created, or another director runs on this socket."""
    try:
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+", encoding="utf-8")
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


def _values(interfaces: Sequence[str]) -> dict[str, str]:
    """The values of all settings that any engine changes."""
    changed = ["ip_forward", "conf/all/rp_filter"]
    changed += [f"conf/{name}/send_redirects" for name in ("all", *interfaces)]
    found = {name: _read(name) for name in changed}
    return {name: value for name, value in found.items() if value}


def _restore(text: str) -> None:
    """Restore the values, in the network namespace that they come from only."""
    try:
        left: Any = json.loads(text)
        values = dict(left["values"]) if left["namespace"] == _namespace() else {}
    except (ValueError, TypeError, KeyError):
        return  # the file is empty, or was cut short
    for name, value in values.items():
        path = IPV4 / name
        if _read(name) not in ("", value) and IPV4 in path.resolve().parents:
            with contextlib.suppress(OSError):
                path.write_text(value)


def _read(name: str) -> str:
    """The value; empty if there is no such setting."""
    try:
        return (IPV4 / name).read_text().strip()
    except OSError:
        return ""


def _namespace() -> int:
    return os.stat(_NAMESPACE).st_ino
