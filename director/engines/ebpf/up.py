"""The way up: an interface into which the program puts what is for the core.

A TAP device without offloads, so that the kernel completes checksums and cuts long buffers into
packets before the core gets them.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from pathlib import Path

from director.engines.engine import EngineError

DEVICE = "lvs-up"
_TUNSETIFF, _SIOCSIFFLAGS = 0x400454CA, 0x8914  # linux/if_tun.h, sockios.h
_IFF_TAP, _IFF_NO_PI, _IFF_UP = 0x0002, 0x1000, 0x1
_LARGEST = 65536


class Up:
    """Exists, and is up, from `open` until `close`."""

    def __init__(self) -> None:
        self._device = -1

    def open(self) -> int:
        """Make it; the number of the interface. Raises EngineError."""
        try:
            self._device = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
            name = DEVICE.encode()
            fcntl.ioctl(self._device, _TUNSETIFF, struct.pack("16sH22x", name, _IFF_TAP | _IFF_NO_PI))
            quiet = Path("/proc/sys/net/ipv6/conf", DEVICE, "disable_ipv6")
            if quiet.exists():
                quiet.write_text("1")
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
                fcntl.ioctl(asker, _SIOCSIFFLAGS, struct.pack("16sH22x", name, _IFF_UP))
        except OSError as error:
            self.close()
            raise EngineError(
                f"The TAP device {DEVICE} can't be made ({error.strerror}): it takes root, /dev/net/tun, "
                "and no other director on this host."
            ) from None
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
