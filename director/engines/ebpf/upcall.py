"""What the program sends up: packets for the core to decide, and events about connections."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from director.core.packet import PROTOCOL_NAMES
from director.core.states import State
from director.engines import tuntap
from director.engines.ebpf import layouts
from director.engines.ebpf.layouts import NANO, KernelClock
from director.engines.ebpf.libbpf.maps import Map, RingBuffer
from director.engines.ebpf.table import SharedTable

if TYPE_CHECKING:
    from director.core.director import Director

DEVICE = "lvs-upcall"
_MAX_FRAME = 65536
_EVENT_KINDS = {layouts.OPENED: "new", layouts.STATE_CHANGED: "state", layouts.EXPIRED: "expired"}


class UpcallDevice:
    """A TAP device into which the program redirects packets; it exists from `open` until `close`.

    It has no offloads, so that the kernel completes checksums and segments long buffers first.
    """

    def __init__(self) -> None:
        self._device = -1

    def open(self) -> int:
        """Create the device; returns its interface index. Raises EngineError."""
        self._device = tuntap.open_up(DEVICE, tuntap.TAP)
        disable_ipv6 = Path("/proc/sys/net/ipv6/conf", DEVICE, "disable_ipv6")
        if disable_ipv6.exists():
            disable_ipv6.write_text("1")
        return socket.if_nametoindex(DEVICE)

    def fileno(self) -> int:
        return self._device

    def read(self) -> bytes | None:
        """The next frame; None if none is waiting."""
        try:
            return os.read(self._device, _MAX_FRAME)
        except OSError:
            return None

    def close(self) -> None:
        if self._device >= 0:
            os.close(self._device)
            self._device = -1


class EventReader:
    """Passes events on to the trace, to the table (connections that the core owns) and to the sender."""

    def __init__(self, events: Map, director: Director, table: SharedTable, clock: KernelClock) -> None:
        self._director = director
        self._trace = director.trace
        self._table = table
        self._clock = clock
        self._ring = RingBuffer(events)

    def fileno(self) -> int:
        return self._ring.fileno()

    def poll(self) -> None:
        """Handle all events that are waiting."""
        for record in self._ring.read():
            self._handle(record)

    def _handle(self, record: bytes) -> None:
        fields = layouts.EVENTS_BY_LENGTH[len(record)].unpack(record)
        time, before, after, key, server, address, port, event, packets, expires = fields
        now = self._clock.seconds(time)
        entry = layouts.Entry(expires, after, server, packets, address, port)
        if event == layouts.SYNC_DUE:
            sender = self._director.sender
            with suppress(KeyError):  # its real server was deleted
                if sender is not None:
                    sender.send_due(self._table.synced_connection(key, entry), now)
            return
        if after & layouts.CORE_OWNED:
            self._update_table(event, after, key, now)
        if not self._trace.enabled or event == layouts.REPLIED:
            return
        protocol, client, vip = layouts.parse_flow_key(key)
        about: dict[str, Any] = {
            "protocol": PROTOCOL_NAMES[protocol],
            "expires": max(0.0, round((expires - time) / NANO, 3)),
            "state": entry.state.value,
            "client": str(client),
            "vip": str(vip),
            "server": str(entry.endpoint),
        }
        if event == layouts.OPENED:
            how = "persistent: the client's server" if after & layouts.CORE_OWNED else "scheduled"
            synced = after & layouts.SYNCED
            about["why"] = (
                "received from another director" if synced else f"{how}, by the program in the kernel"
            )
        elif event == layouts.STATE_CHANGED:
            about["before"] = layouts.state_of(before).value
        self._trace.emit(_EVENT_KINDS[event], now, lambda: about)

    def _update_table(self, event: int, after: int, key: bytes, now: float) -> None:
        if event == layouts.OPENED:
            self._table.on_opened(key, now)
        elif event == layouts.REPLIED or layouts.state_of(after) is State.ESTABLISHED:
            self._table.on_replied(key)

    def close(self) -> None:
        self._ring.close()


class RecordReader:
    """Passes on the records that the program has written for another director."""

    def __init__(self, records: Map, director: Director, clock: KernelClock) -> None:
        self._director = director
        self._clock = clock
        self._ring = RingBuffer(records)

    def fileno(self) -> int:
        return self._ring.fileno()

    def poll(self) -> None:
        """Pass on all records that are waiting."""
        found = self._ring.read()
        sender = self._director.sender
        if found and sender is not None:
            sender.pass_on(found, self._clock.now())

    def close(self) -> None:
        self._ring.close()
