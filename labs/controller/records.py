"""What the controller testifies: ports with their counters, and ARP packets with their claims.

Plain values that travel over the control socket as JSON objects. They know neither OpenFlow
nor sockets; the application fills them in and the client reads them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Port:
    """A switch port: its OpenFlow number and the interface that is plugged in, such as s1-eth1."""

    number: int
    name: str


@dataclass(frozen=True, slots=True)
class Switch:
    """A switch that is connected and forwards; `name` is the bridge's, such as s1."""

    name: str
    dpid: int
    ports: tuple[Port, ...]


@dataclass(frozen=True, slots=True)
class PortCounters:
    """Counters since the port was made, seen from the switch: rx is what the host sent.

    Bytes are those of Ethernet frames without preamble and checksum (OpenFlow 1.3, 7.3.5.6).
    """

    switch: str
    dpid: int
    port: int
    name: str
    rx_packets: int
    rx_bytes: int
    tx_packets: int
    tx_bytes: int


@dataclass(frozen=True, slots=True)
class ArpSighting:
    """An ARP packet that entered a switch: who claims to have which address (RFC 826).

    `at` is in seconds since the epoch; `operation` is "request", "reply", or the number of any
    other; `frame_source` is the Ethernet header's MAC, which an honest sender repeats as `sender_mac`.
    `serial` counts from 1, over all switches.
    """

    serial: int
    at: float
    switch: str
    port: int
    port_name: str
    operation: str
    sender_ip: str
    sender_mac: str
    target_ip: str
    frame_source: str
