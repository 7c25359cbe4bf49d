"""What the program tells of its connections, as the core's own events."""

from __future__ import annotations

from typing import Any

from director.core.events import Trace
from director.core.packet import UDP
from director.core.states import State
from director.engines.ebpf import layouts
from director.engines.ebpf.clock import NANO, KernelClock
from director.engines.ebpf.libbpf.maps import Map
from director.engines.ebpf.libbpf.ring import Ring
from director.engines.ebpf.table import SharedTable

_KINDS = {layouts.OPENED: "new", layouts.STATE_CHANGED: "state", layouts.EXPIRED: "expired"}


class EventReader:
    """What becomes of the core's own connections, the table hears as well."""

    def __init__(self, events: Map, trace: Trace, table: SharedTable, clock: KernelClock) -> None:
        self._trace = trace
        self._table = table
        self._clock = clock
        self._ring = Ring(events, self._heard)

    def fileno(self) -> int:
        return self._ring.fileno()

    def hear(self) -> None:
        """Tell all that has happened."""
        self._ring.consume()

    def _heard(self, record: bytes) -> None:
        when, before, after, key, _, address, port, what, expires = layouts.EVENT.unpack(record)
        now = self._clock.seconds(when)
        if after & layouts.CORE_OWNED:
            self._let_know(what, after, key, now)
        if not self._trace.enabled or what == layouts.REPLIED:
            return
        protocol, client, vip = layouts.parse_flow_key(key)
        entry = layouts.Entry(expires, after, 0, 0, address, port)
        fields: dict[str, Any] = {
            "protocol": "UDP" if protocol == UDP else "TCP",
            "expires": max(0.0, round((expires - when) / NANO, 3)),
            "state": entry.state.value,
            "client": str(client),
            "vip": str(vip),
            "server": str(entry.endpoint),
        }
        if what == layouts.OPENED:
            how = "persistent: the client's server" if after & layouts.CORE_OWNED else "scheduled"
            fields["why"] = f"{how}, by the program in the kernel"
        elif what == layouts.STATE_CHANGED:
            fields["before"] = layouts.state_of(before).value
        self._trace.emit(_KINDS[what], now, lambda: fields)

    def _let_know(self, what: int, after: int, key: bytes, now: float) -> None:
        if what == layouts.OPENED:
            self._table.opened(key, now)
        elif what == layouts.REPLIED or layouts.state_of(after) is State.ESTABLISHED:
            self._table.spoken(key)

    def close(self) -> None:
        self._ring.close()
