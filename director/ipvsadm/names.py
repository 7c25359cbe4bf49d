"""Names for numbers and numbers for names: hosts, ports and endpoints.

Printing looks names up in /etc/hosts only: a lab has no DNS server, and a listing must not wait for one.
On a command line, a host may have any name that the machine resolves.
"""

from __future__ import annotations

import socket
from functools import lru_cache

from director.control.cli import MAX_PORT, UnsupportedOption, UsageError
from director.formats import parse_number

HOSTS = "/etc/hosts"
_NONE = (OSError, TypeError, ValueError)  # no such address or name; the last two: not a C string


def host(address: str) -> str:
    """The name of `address`, if it has one."""
    return _hosts().get(address, address)


def port(value: int, protocol: str) -> str:
    """The name of a TCP or UDP port, if it has one."""
    if value and protocol in ("TCP", "UDP"):
        try:
            return socket.getservbyport(value, protocol.lower())
        except OSError:
            pass
    return str(value)


def endpoint(address: str, value: int, protocol: str, *, numeric: bool) -> str:
    """ADDRESS:PORT, or their names."""
    return f"{address}:{value}" if numeric else f"{host(address)}:{port(value, protocol)}"


def read_endpoint(what: str, text: str, protocol: str) -> tuple[str, int | None]:
    """The address and the port of HOST[:PORT]; None where no port is given. Raises UsageError."""
    if _is_ipv6(text):
        raise UnsupportedOption(
            f"bad {what} {text!r}: IPv6 is for the kernel's IPVS, this director has IPv4."
        )
    name, colon, service = text.partition(":")
    address = None if text.isdigit() else _address(name)
    if address is None:
        raise UsageError(f"bad {what} {text!r}: expected ADDRESS[:PORT], such as 203.0.113.1:80.")
    found = _port(service, protocol) if colon else None
    if colon and found is None:
        raise UsageError(f"bad {what} {text!r}: expected a port from 0 to {MAX_PORT}, or its name.")
    return address, found


def _is_ipv6(text: str) -> bool:
    """Whether it is an IPv6 address, with or without port: 2001:db8::1 or [2001:db8::1]:80."""
    name = text[1:].partition("]")[0] if text.startswith("[") else text
    try:
        socket.inet_pton(socket.AF_INET6, name)
    except _NONE:
        return False
    return True


def _address(name: str) -> str | None:
    """As inet_aton(3) reads it: 010.0.0.1 is 8.0.0.1, and 10.1 is 10.0.0.1.

    Anything else of digits and dots is not a name, and is not looked up.
    """
    try:
        return socket.inet_ntoa(socket.inet_aton(name))
    except _NONE:
        if not name.strip("0123456789."):
            return None
    try:
        return socket.gethostbyname(name)
    except _NONE:
        return None


def _port(service: str, protocol: str) -> int | None:
    value = parse_number(service)
    if 0 <= value <= MAX_PORT:
        return value
    try:
        return socket.getservbyname(service, protocol.lower()) if value < 0 else None
    except _NONE:
        return None


@lru_cache(maxsize=1)
def _hosts() -> dict[str, str]:
    """The first name of each address in the hosts file (hosts(5))."""
    names: dict[str, str] = {}
    try:
        with open(HOSTS, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                address, *given = line.partition("#")[0].split() or [""]
                if given:
                    names.setdefault(address, given[0])
    except OSError:
        pass
    return names
