"""The addresses of the labs: the documentation prefixes of RFC 5737, and 172.16.0.0/24 for VS-NAT.

    the Internet    198.51.100.0/24   clients .101 .., site routers .11 .., the router r0 .254
    director's LAN  203.0.113.0/24    VIP .1, directors .2 and .3, VS-DR's real servers .11 .., r0 .254
    private net     172.16.0.0/24     director .1, VS-NAT's real servers .2 .. (as published); two directors
                                      have .251 and .252, and the active one has .1 as well
    remote sites    192.0.2.0/24      eight networks of 32 addresses for VS-TUN, router first

Numbers only: which lab has which node is in labs/vs_*. `PUBLISHED` are the addresses above; another
`Addressing` shifts some of them, so that no two students have the same lab.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

VIP = "203.0.113.1"
DIP = "203.0.113.2"
PREFIX = 24
DIRECTOR_NETWORK = "203.0.113.0/24"

ROUTER_INTERNET = "198.51.100.254"
ROUTER_LAN = "203.0.113.254"
DIRECTOR_INSIDE = "172.16.0.1"

SITES = 8
SITE_PREFIX = 27
_SITE_SIZE = 32


def paired_director(number: int) -> str:
    """The address of director 1 or 2 on the network that both share."""
    return _plus("172.16.0.250", number)


def site_of(number: int) -> int:
    """VS-TUN: the site, 0 to 7, of real server `number`, counted from 1; sites take turns."""
    return (number - 1) % SITES


def site_router(site: int) -> str:
    """VS-TUN: the router's address on the network of `site`."""
    return _plus("192.0.2.1", _SITE_SIZE * site)


def site_network(site: int) -> str:
    """VS-TUN: the network of `site`, as address/prefix."""
    return f"{_plus('192.0.2.0', _SITE_SIZE * site)}/{SITE_PREFIX}"


def site_uplink(site: int) -> str:
    """VS-TUN: the address of the site's router on the Internet."""
    return _plus("198.51.100.11", site)


def mac_of(address: str) -> str:
    """A locally administered MAC with `address` in its last four bytes."""
    return "02:00:" + IPv4Address(address).packed.hex(":")


@dataclass(frozen=True, slots=True)
class Addressing:
    """The addresses that may differ between labs; `clients` and `servers` are offsets of their numbers."""

    vip: str = VIP
    dip: str = DIP
    clients: int = 0
    servers: int = 0

    def director(self, number: int) -> str:
        """The DIP of director `number`, counted from 1, where there are two."""
        return _plus(self.dip, number - 1)

    def client(self, number: int) -> str:
        """The address of client `number`, counted from 1."""
        return _plus("198.51.100.100", number + self.clients)

    def private_server(self, number: int) -> str:
        """VS-NAT: real server `number`, from 1, starting at 172.16.0.2 as in the published example."""
        return _plus(DIRECTOR_INSIDE, number + self.servers)

    def lan_server(self, number: int) -> str:
        """VS-DR: real server `number`, counted from 1, on the director's own segment."""
        return _plus("203.0.113.10", number + self.servers)

    def site_server(self, number: int) -> str:
        """VS-TUN: real server `number`, counted from 1, in the network of its site."""
        return _plus(site_router(site_of(number)), 1 + (number - 1) // SITES + self.servers)


def _plus(address: str, offset: int) -> str:
    return str(IPv4Address(address) + offset)


PUBLISHED = Addressing()
