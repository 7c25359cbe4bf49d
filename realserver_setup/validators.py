"""Validators for single values: each returns the value or raises InvalidValue with the name of the field.

Valid values need no quoting in a shell or a configuration file, but are quoted anyway (render.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from realserver_setup.errors import InvalidValue

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)
_INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,14}", re.ASCII)
_ALIAS_ROOM = 2  # characters that `:0` takes of a label's fifteen (IFNAMSIZ, linux/if.h)
_SETTINGS = ("all", "default")  # in /proc/sys/net/ipv4/conf, but not interfaces
Network = IPv4Network | IPv6Network


def host_name(field: str, value: str) -> str:
    """A host name: letters, digits, `.`, `_`, `-`, at most 63 characters."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise InvalidValue(field, "a host name of letters, digits, '.', '_' and '-'", value)
    return value


def interface(field: str, value: str) -> str:
    """The name of a network interface: 1 to 15 characters, the first a letter or digit."""
    if not isinstance(value, str) or not _INTERFACE.fullmatch(value) or value in _SETTINGS:
        raise InvalidValue(field, "an interface name of 1 to 15 letters, digits, '.', '_' and '-'", value)
    return value


def aliased_interface(field: str, value: str) -> str:
    """An interface name short enough for an alias such as eth0:0 (15 characters in all)."""
    longest = 15 - _ALIAS_ROOM
    if len(interface(field, value)) > longest:
        raise InvalidValue(
            field, f"an interface name of at most {longest} characters, to leave room for ':0'", value
        )
    return value


def address(field: str, value: str) -> str:
    """The address of a host: a dotted quad, or IPv6 as RFC 5952 recommends, without a zone."""
    try:
        parsed = ip_address(str(value))
    except ValueError:
        raise InvalidValue(field, "an address such as 203.0.113.1 or 2001:db8::1", value) from None
    if parsed.is_multicast or parsed.is_unspecified or parsed.is_loopback or parsed == _BROADCAST:
        raise InvalidValue(field, "the address of one host", value)
    if isinstance(parsed, IPv6Address) and (
        parsed.ipv4_mapped or parsed.is_link_local or str(parsed) != value
    ):
        raise InvalidValue(field, "an IPv6 address of global scope, as RFC 5952 writes it", value)
    return str(parsed)


_BROADCAST = IPv4Address("255.255.255.255")


def same_family(field: str, value: str, other: str) -> str:
    """An address of the same IP version as `other`, which is valid."""
    if ip_address(address(field, value)).version != ip_address(other).version:
        raise InvalidValue(field, f"an address of the same IP version as {other}", value)
    return value


def address_in_network(field: str, value: str, bits: int) -> str:
    """A host's address, not the network's (IPv6: the subnet-router anycast address) nor the broadcast one."""
    network = ip_network(f"{address(field, value)}/{_prefix('prefix', bits, value)}", strict=False)
    reserved = [network.network_address]
    if network.version == 4:
        reserved.append(network.broadcast_address)
    if network.num_addresses > 2 and ip_address(value) in reserved:
        raise InvalidValue(field, f"the address of a host in {network}", value)
    return value


def _prefix(field: str, value: int, of: str) -> int:
    """A prefix length in bits: 1 to 32, or 1 to 128 for IPv6."""
    most = ip_address(of).max_prefixlen
    return _whole(field, value, 1, most, f"a prefix length of 1 to {most}")


def neighbour(field: str, value: str, network: Network, own: str) -> str:
    """A gateway: another host in `network`, a network of this host."""
    if ip_address(address(field, value)) not in network or value == own:
        raise InvalidValue(field, f"another host of {network}", value)
    return value


def destination(field: str, value: str) -> str:
    """The destination of a route: `default`, or a network as address/prefix."""
    if value == "default":
        return value
    try:
        return str(ip_network(value))
    except ValueError:
        raise InvalidValue(field, "'default' or a network such as 192.0.2.0/27", value) from None


def port(field: str, value: int) -> int:
    """A TCP or UDP port, 1 to 65535."""
    return _whole(field, value, 1, 65535, "a port of 1 to 65535")


def weight(field: str, value: int) -> int:
    """A real server's weight, 1 to 65535; the published rules have no weight 0."""
    return _whole(field, value, 1, 65535, "a weight of 1 to 65535")


def versions(field: str, value: Sequence[int]) -> tuple[int, ...]:
    """Versions of IP: 4, 6, or both."""
    if not value or not set(value) <= {4, 6} or len(set(value)) < len(value):
        raise InvalidValue(field, "4, 6 or both, each once", value)
    return tuple(value)


def one_of(field: str, value: str, known: Iterable[str]) -> str:
    """One of the `known` words."""
    words = tuple(known)
    if value not in words:
        raise InvalidValue(field, f"one of {', '.join(words)}", value)
    return value


def _whole(field: str, value: int, least: int, most: int, expected: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise InvalidValue(field, expected, value)
    return value
