"""Which MAC address is behind which port of one switch.

Tables and decisions only: it knows no OpenFlow, and does not say how a decision becomes a flow.
"""

from __future__ import annotations

from dataclasses import dataclass

from labs.controller.frames import is_group

LARGEST = 8192  # addresses of one switch; whoever invents more is forwarded, but not learnt


@dataclass(frozen=True, slots=True)
class Learnt:
    """`mac` is behind `port`; before it was behind `moved_from`, or unknown (None)."""

    mac: str
    port: int
    moved_from: int | None = None


class MacTable:
    """The addresses of one switch."""

    def __init__(self, largest: int = LARGEST) -> None:
        self._ports: dict[str, int] = {}
        self._largest = largest

    def __len__(self) -> int:
        return len(self._ports)

    def learn(self, mac: str, port: int) -> Learnt | None:
        """Take note that a frame from `mac` came in at `port`; None when there is nothing new in it."""
        before = self._ports.get(mac)
        if before == port or is_group(mac):
            return None
        if before is None and len(self._ports) >= self._largest:
            return None
        self._ports[mac] = port
        return Learnt(mac, port, before)

    def port_of(self, mac: str) -> int | None:
        """The port to forward a frame for `mac` to; None means to all but the one it came from."""
        return self._ports.get(mac)

    def forget_port(self, port: int) -> tuple[str, ...]:
        """Forget and return every address behind `port`, which is no more."""
        gone = tuple(mac for mac, behind in self._ports.items() if behind == port)
        for mac in gone:
            del self._ports[mac]
        return gone
