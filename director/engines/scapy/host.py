"""The engine's surroundings: interfaces, routes, and the host's kernel.

The real ones are in packet_sockets.py, next_hops.py and host_kernel.py, the fakes in fake.py.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

from director.core.rules import LocalServers


class Overflow(NamedTuple):
    """Frames dropped for want of time or room.

    `syns` and `strangers`, packets of no connection, were dropped in a flood; `missed` are others for which
    the kernel's queue had no room.
    """

    syns: int = 0
    strangers: int = 0
    missed: int = 0


class Wire(Protocol):
    """A network interface: frames in, frames out.

    `hardware` is its MAC address (6 bytes), `mac` the same as text, `address` its first IPv4 address,
    `mtu` the longest IP packet in bytes, `index` the kernel's interface index. `is_behind` tells whether
    frames other than SYNs may still be waiting after the last call of `frames`.
    """

    interface: str
    hardware: bytes
    mac: str
    address: str
    mtu: int
    index: int | None
    is_behind: bool

    @property
    def sources(self) -> Sequence[socket.socket | int]:
        """Descriptors that are readable while frames are waiting."""

    def frames(self, limit: int, syns: int, is_known: Callable[[bytes], bool]) -> list[bytes]:
        """The next frames in order of arrival: about `limit`, and at most `syns` SYNs besides.

        In a flood, frames of connections (`is_known`) come first.
        """

    def send(self, frame: bytes) -> bool:
        """Send a frame; False if the interface does not take it."""

    def overflow(self) -> Overflow:
        """Frames dropped since the last call; called once a second."""

    def refresh(self) -> None:
        """Read addresses, MTU and index again."""

    def close(self) -> None:
        """Stop receiving and sending."""


class Route(NamedTuple):
    """What a route lookup returns; `source` and `gateway` are "0.0.0.0" or "::" if the route has none.

    `mtu` is 0 unless the route has one of its own.
    """

    interface: str
    source: str
    gateway: str
    mtu: int = 0


class RouteTable(Protocol):
    """The kernel's routing table."""

    @property
    def own(self) -> Collection[str]:
        """This machine's IPv4 addresses, and the broadcast addresses of its networks."""

    def fileno(self) -> int:
        """Readable once links, addresses, routes or their rules have changed."""

    def refresh(self) -> None:
        """Apply the notifications that have arrived: lookups follow the changes. Raises OSError."""

    def lookup(self, destination: str) -> Route:
        """The route to an address."""

    def close(self) -> None:
        """Stop the notifications."""


class Kernel(Protocol):
    """The director's own kernel, which must not answer for the VIP."""

    def start(self) -> None:
        """Raises EngineError."""

    def block(self, vips: set[str]) -> None:
        """Keep TCP and UDP to these addresses from the kernel, except packets that `deliver` passes to it.

        Raises EngineError.
        """

    def block_in_steps(self, vips: set[str]) -> Iterator[None]:
        """Like `block`, in the background: yields until it is done. Raises EngineError."""

    def redirect_in_steps(self, local: Iterable[LocalServers], *, keep: bool = False) -> Iterator[None]:
        """Let the local node serve on ports of its own; with `keep`, also on those that it had.

        Raises EngineError, with nothing changed.
        """

    def deliver(self, packet: bytes) -> bool:
        """Hand an IP packet to the kernel; False if it does not take it."""

    def is_local(self, address: str) -> bool:
        """Whether the kernel takes packets to `address` itself. Raises BadValue for a broadcast address."""

    def close(self) -> None:
        """Leave the kernel as it was."""
