"""The way up: an interface into which the program puts what is for the core.

A TAP device without offloads, so that the kernel completes checksums and cuts long buffers into
packets before the core gets them.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

from director.engines import tuntap

DEVICE = "lvs-upcall"
_LARGEST = 65536


class UpcallDevice:
    """Exists, and is up, from `open` until `close`."""

    def __init__(self) -> None:
        self._device = -1

    def open(self) -> int:
        """Make it; the number of the interface. Raises EngineError."""
        self._device = tuntap.make(DEVICE, tuntap.TAP)
        quiet = Path("/proc/sys/net/ipv6/conf", DEVICE, "disable_ipv6")
        if quiet.exists():
            quiet.write_text("1")
        return socket.if_nametoindex(DEVICE)

    def fileno(self) -> int:
        return self._device

    def frame(self) -> bytes | None:
        """The next frame for the core, or None where there is none."""
        try:
            return os.read(self._device, _LARGEST)
        except OSError:
            return None

    def close(self) -> None:
        if self._device >= 0:
            os.close(self._device)
            self._device = -1
