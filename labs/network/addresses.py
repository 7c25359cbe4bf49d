"""The addresses of the labs: the documentation prefixes of RFC 5737, and 172.16.0.0/24 for VS-NAT.

    the Internet    198.51.100.0/24   clients .101 .., site routers .11 .., the router r0 .254
    director's LAN  203.0.113.0/24    VIP .1, directors .2 and .3, VS-DR's real servers .11 .., r0 .254
    private net     172.16.0.0/24     director .1, VS-NAT's real servers .2 .. (as published); two directors
                                      have .251 and .252, and the active one has .1 as well
    remote sites    192.0.2.0/24      eight networks of 32 addresses for VS-TUN, router first

In IPv6 each has a twin: its prefix (of RFC 3849 if public) contains the IPv4 network in hexadecimal, and its
last group is written with the digits of the host number.

    the Internet    2001:db8:c633:64::/64    clients ::101 .., site routers ::11 .., r0 ::254
    director's LAN  2001:db8:cb00:71::/64    VIP ::1, directors ::2 and ::3, real servers ::11 .., r0 ::254
    private net     fd00:ac10::/64           director ::1, real servers ::2 ..
    remote sites    2001:db8:c000:200::/64   2001:db8:c000:220::/64 and so on, router ::1

Addresses only: the nodes of each lab are in labs/vs_*. `PUBLISHED` are the addresses above; another
`Addressing` shifts some of them, so that no two students have the same lab.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address, ip_address

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
    """VS-TUN: the site, 0 to 7, of real server `number`, counted from 1; servers alternate between sites."""
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
    """A locally administered MAC with `address`, or its IPv4 twin, in the last four bytes."""
    return "02:00:" + IPv4Address(_ipv4_twin(address) if ":" in address else address).packed.hex(":")


def link_local(mac: str) -> str:
    """The link-local address that the kernel gives the interface with this MAC (RFC 4291, appendix A)."""
    first, *rest = bytes.fromhex(mac.replace(":", ""))
    identifier = bytes([first ^ 2, *rest[:2], 0xFF, 0xFE, *rest[2:]])
    return str(IPv6Address(bytes.fromhex("fe80") + bytes(6) + identifier))


# ---- IPv6 ----

PREFIX6 = 64
_SITES = (192, 0, 2)  # the networks of the remote sites, by their first three octets
_PRIVATE = (172, 16, 0)


def ipv6_twin(address: str) -> str:
    """The IPv6 address of the node with the IPv4 address `address`."""
    *network, host = IPv4Address(address).packed
    site = 0
    if tuple(network) == _SITES:
        site, host = host - host % _SITE_SIZE, host % _SITE_SIZE
    high, low = network[0] << 8 | network[1], network[2]
    if tuple(network) == _PRIVATE:
        return str(IPv6Address(f"fd00:{high:x}::{host}"))
    if tuple(network) == _SITES:
        low = low << 8 | site
    return str(IPv6Address(f"2001:db8:{high:x}:{low:x}::{host}"))


def _ipv4_twin(address: str) -> str:
    """The inverse: the IPv4 address whose twin is `address`."""
    words = [int(word, 16) for word in IPv6Address(address).exploded.split(":")]
    host = int(f"{words[7]:x}")
    if words[0] == 0xFD00:
        return str(IPv4Address(bytes([words[1] >> 8, words[1] & 0xFF, 0, host])))
    low, site = (words[3] >> 8, words[3] & 0xFF) if words[3] >> 8 else (words[3], 0)
    return str(IPv4Address(bytes([words[2] >> 8, words[2] & 0xFF, low, site + host])))


@dataclass(frozen=True, slots=True)
class Addressing:
    """The addresses that may differ between labs; `clients` and `servers` are offsets of their numbers.

    `version` is the IP version, 4 or 6, of `vip` and `dip`.
    """

    vip: str = VIP
    dip: str = DIP
    clients: int = 0
    servers: int = 0
    version: int = 4

    def in_ipv6(self) -> Addressing:
        """The IPv6 twins of these addresses; these if they are IPv6."""
        if self.version == 6:
            return self
        return replace(self, vip=ipv6_twin(self.vip), dip=ipv6_twin(self.dip), version=6)

    def _twin(self, address: str) -> str:
        """`address`, or its twin."""
        return address if self.version == 4 else ipv6_twin(address)

    def director(self, number: int) -> str:
        """The DIP of director `number`, counted from 1, if there are two."""
        return _plus(self.dip, number - 1)

    def paired_director(self, number: int) -> str:
        """The address of director 1 or 2 on the network that both share."""
        return self._twin(paired_director(number))

    def client(self, number: int) -> str:
        """The address of client `number`, counted from 1."""
        return self._twin(_plus("198.51.100.100", number + self.clients))

    def private_server(self, number: int) -> str:
        """VS-NAT: real server `number`, from 1, starting at 172.16.0.2 as in the published example."""
        return self._twin(_plus(DIRECTOR_INSIDE, number + self.servers))

    def lan_server(self, number: int) -> str:
        """VS-DR: real server `number`, counted from 1, on the director's own segment."""
        return self._twin(_plus("203.0.113.10", number + self.servers))

    def site_server(self, number: int) -> str:
        """VS-TUN: real server `number`, counted from 1, in the network of its site."""
        first = site_router(site_of(number))
        return self._twin(_plus(first, 1 + (number - 1) // SITES + self.servers))

    @property
    def router_internet(self) -> str:
        return self._twin(ROUTER_INTERNET)

    @property
    def router_lan(self) -> str:
        return self._twin(ROUTER_LAN)

    @property
    def director_inside(self) -> str:
        """VS-NAT: the gateway of the real servers."""
        return self._twin(DIRECTOR_INSIDE)

    @property
    def director_network(self) -> str:
        """The director's LAN, as address/prefix."""
        return self._network(DIRECTOR_NETWORK)

    def site_router(self, site: int) -> str:
        """VS-TUN: the router's address on the network of `site`."""
        return self._twin(site_router(site))

    def site_network(self, site: int) -> str:
        """VS-TUN: the network of `site`, as address/prefix."""
        return self._network(site_network(site))

    def site_uplink(self, site: int) -> str:
        """VS-TUN: the address of the site's router on the Internet."""
        return self._twin(site_uplink(site))

    def _network(self, network: str) -> str:
        return network if self.version == 4 else f"{ipv6_twin(network.partition('/')[0])}/{PREFIX6}"

    @property
    def prefix(self) -> int:
        return PREFIX if self.version == 4 else PREFIX6

    @property
    def site_prefix(self) -> int:
        """VS-TUN: the prefix length of a site's network."""
        return SITE_PREFIX if self.version == 4 else PREFIX6


def _plus(address: str, offset: int) -> str:
    return str(ip_address(address) + offset)


PUBLISHED = Addressing()
