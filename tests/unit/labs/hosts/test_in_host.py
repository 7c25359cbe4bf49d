"""What a host of a lab asks its neighbours, byte for byte."""

from __future__ import annotations

from director.engines.scapy import neighbour_discovery
from labs.controller.arp_log import Arp, parse_arp, parse_neighbour_discovery
from labs.hosts import in_host

MAC = bytes.fromhex("0200cb0071fe")


def test_an_arp_request_is_one_for_the_controller() -> None:
    frame = in_host._who_has(MAC, "203.0.113.254", "203.0.113.1")
    assert parse_arp(frame) == Arp("request", MAC.hex(":"), "203.0.113.254", "203.0.113.1")


def test_a_solicitation_is_that_of_the_director() -> None:
    """Whose checksum and group are compared with those of a kernel."""
    asker, vip = "2001:db8:cb00:71::254", "2001:db8:cb00:71::1"
    frame = in_host._solicitation(MAC, asker, vip)
    assert frame == neighbour_discovery.solicitation(asker, vip, MAC)
    assert parse_neighbour_discovery(frame) == Arp("request", MAC.hex(":"), asker, vip)
