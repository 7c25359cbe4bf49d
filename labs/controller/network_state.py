"""The controller's knowledge of the network: switches, ports, ARP packets.

The application's handlers write here in their thread, the control socket reads in another; a lock protects
both. The only OpenFlow message used here is the request for the counters of a switch.

`Replies` collects the replies of several switches to one request. The request to each switch has its own
number (OpenFlow's xid), and the reply may come in parts; one thread waits while another delivers the parts.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from labs.controller.arp_log import ArpLog, Entry
from labs.controller.state_queries import ArpSighting, ControlError, Port, PortCounters, Switch
from labs.controller.switching import MacTable
from labs.wait import patient

TIMEOUT = 3.0  # seconds for the switches to send their counters; less than a caller waits
MAX_PORT = 0xFFFFFF00  # OFPP_MAX: reserved ports are above
LOCAL_PORT = 0xFFFFFFFE  # OFPP_LOCAL: the port that has the bridge's name


@dataclass(slots=True)
class Connection:
    """A connected switch; `ready` once it has confirmed its first flows."""

    datapath: Any
    macs: MacTable = field(default_factory=MacTable)
    names: dict[int, str] = field(default_factory=dict)
    ready: bool = False

    @property
    def name(self) -> str:
        return self.names.get(LOCAL_PORT, f"switch-{self.datapath.id}")

    def port_name(self, number: int) -> str:
        return self.names.get(number, f"{self.name}:{number}")


class NetworkState:
    """All switches, by their OpenFlow number (dpid). Implements `state_queries.StateQueries`."""

    def __init__(self, framework: tuple[str, str]) -> None:
        self.log = ArpLog()
        self.replies = Replies()
        self._framework = framework
        self._connections: dict[int, Connection] = {}
        self._lock = threading.Lock()

    def connected(self, datapath: Any) -> None:
        """Add a switch that has identified itself, in place of one with the same number."""
        with self._lock:
            self._connections[datapath.id] = Connection(datapath)

    def disconnected(self, datapath: Any) -> None:
        with self._lock:
            known = self._connections.get(datapath.id)
            if known is None or known.datapath is not datapath:
                return  # it reconnected before the end of the old connection was noticed
            del self._connections[datapath.id]
        self.replies.disconnected(datapath.id)

    def connection(self, datapath: Any) -> Connection | None:
        with self._lock:
            known = self._connections.get(datapath.id)
        return known if known is not None and known.datapath is datapath else None

    def port_named(self, datapath: Any, number: int, name: str) -> None:
        known = self.connection(datapath)
        if known is not None:
            with self._lock:
                known.names[number] = name

    def port_gone(self, datapath: Any, number: int) -> tuple[str, ...]:
        """Forget a deleted port; returns the MACs behind it."""
        known = self.connection(datapath)
        if known is None:
            return ()
        with self._lock:
            known.names.pop(number, None)
            return known.macs.forget_port(number)

    def switches(self) -> tuple[Switch, ...]:
        with self._lock:
            return tuple(_switch(*item) for item in sorted(self._connections.items()) if item[1].ready)

    def ports(self) -> tuple[PortCounters, ...]:
        with self._lock:
            switches = {dpid: switch for dpid, switch in self._connections.items() if switch.ready}

        def ask(dpid: int, number: int) -> None:
            datapath = switches[dpid].datapath
            request = datapath.ofproto_parser.OFPPortStatsRequest(datapath)
            request.set_xid(number)
            datapath.send_msg(request)

        seconds = patient(TIMEOUT)
        answers, silent = self.replies.collect(switches, ask, seconds)
        if silent:
            names = ", ".join(sorted(switches[dpid].name for dpid in silent))
            raise ControlError(
                f"no port counters from {names} within {seconds:g} s: see the log of ovs-vswitchd"
            )
        with self._lock:
            return tuple(
                _counters(dpid, switches[dpid], port)
                for dpid, ports in sorted(answers.items())
                for port in sorted(ports, key=_number)
                if port.port_no <= MAX_PORT
            )

    def arp(self, since: int) -> tuple[ArpSighting, ...]:
        entries = self.log.since(since)
        with self._lock:
            return tuple(_sighting(entry, self._connections.get(entry.dpid)) for entry in entries)

    def forget_arp(self) -> int:
        return self.log.forget()

    def framework(self) -> tuple[str, str]:
        return self._framework


def _number(port: Any) -> int:
    return int(port.port_no)


def _switch(dpid: int, known: Connection) -> Switch:
    ports = tuple(Port(*port) for port in sorted(known.names.items()) if port[0] <= MAX_PORT)
    return Switch(known.name, dpid, ports)


def _counters(dpid: int, known: Connection, port: Any) -> PortCounters:
    return PortCounters(
        switch=known.name,
        dpid=dpid,
        port=port.port_no,
        name=known.port_name(port.port_no),
        rx_packets=port.rx_packets,
        rx_bytes=port.rx_bytes,
        tx_packets=port.tx_packets,
        tx_bytes=port.tx_bytes,
    )


def _sighting(entry: Entry, known: Connection | None) -> ArpSighting:
    return ArpSighting(
        serial=entry.serial,
        at=entry.at,
        switch=known.name if known else f"switch-{entry.dpid}",
        port=entry.port,
        port_name=known.port_name(entry.port) if known else f"switch-{entry.dpid}:{entry.port}",
        operation=entry.arp.operation,
        sender_ip=entry.arp.sender_ip,
        sender_mac=entry.arp.sender_mac,
        target_ip=entry.arp.target_ip,
        frame_source=entry.frame_source,
        flags=entry.arp.flags,
    )


Ask = Callable[[int, int], None]  # sends the request with a dpid and an xid


@dataclass(slots=True)
class _Request:
    dpid: int
    parts: list[Any] = field(default_factory=list)
    done: bool = False
    gone: bool = False


class Replies:
    """Outstanding requests, by xid."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._open: dict[int, _Request] = {}
        self._changed = threading.Condition()

    def collect(
        self, dpids: Iterable[int], ask: Ask, seconds: float
    ) -> tuple[dict[int, list[Any]], list[int]]:
        """Send to every switch; returns the parts by dpid, and the dpids without a reply within `seconds`.

        A switch that disconnects meanwhile is in neither.
        """
        requests = {next(self._numbers): _Request(dpid) for dpid in dpids}
        with self._changed:
            self._open.update(requests)
        try:
            for number, request in requests.items():
                ask(request.dpid, number)
            self._wait(list(requests.values()), seconds)
        finally:
            with self._changed:
                for number in requests:
                    del self._open[number]
        complete = [request for request in requests.values() if request.done and not request.gone]
        answers = {request.dpid: request.parts for request in complete}
        return answers, [request.dpid for request in requests.values() if not request.done]

    def _wait(self, requests: list[_Request], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        with self._changed:
            while not all(request.done for request in requests):
                left = deadline - time.monotonic()
                if left <= 0:
                    return
                self._changed.wait(left)

    def part(self, dpid: int, number: int, part: Iterable[Any], *, last: bool) -> None:
        """Deliver a part of a reply; unexpected parts are dropped."""
        with self._changed:
            request = self._open.get(number)
            if request is not None and request.dpid == dpid:
                request.parts.extend(part)
                request.done = last
                self._changed.notify_all()

    def disconnected(self, dpid: int) -> None:
        """Stop waiting for this switch."""
        with self._changed:
            for request in self._open.values():
                if request.dpid == dpid and not request.done:
                    request.done = request.gone = True
            self._changed.notify_all()
