"""Names for numbers and numbers for names: hosts, ports and endpoints.

Printing looks names up in /etc/hosts only: a lab has no DNS server, and a listing must not wait for one.
On a command line, a host may have any name that the machine resolves.
"""

from __future__ import annotations

import socket
from functools import lru_cache

from director.control.cli import MAX_PORT, UsageError, parse_ipv6
from director.formats import ipvsadm_words, parse_number

HOSTS = "/etc/hosts"
_EXAMPLE = "ADDRESS[:PORT], such as 203.0.113.1:80"
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
    """ADDRESS:PORT, or their names; an IPv6 host is in brackets, even as a name."""
    if numeric:
        return ipvsadm_words.endpoint(address, value)
    name, service = host(address), port(value, protocol)
    return f"[{name}]:{service}" if ":" in address else f"{name}:{service}"


def read_endpoint(what: str, text: str, protocol: str) -> tuple[str, int | None]:
    """The address and the port of HOST[:PORT] or [HOST]:PORT, for IPv6; None if no port is given.

    Raises UsageError.
    """
    if "%" in text:
        raise UsageError(f"bad {what} {text!r}: expected an address without a zone, which no rule can have.")
    whole = parse_ipv6(text)
    if whole is not None:
        return whole, None
    bracketed = text.startswith("[")
    is_ipv6 = bracketed or text.count(":") > 2
    name, colon, service = text.removeprefix("[").partition("]:" if is_ipv6 else ":")
    address = None
    if bracketed and colon:
        address = parse_ipv6(name) or _ipv6_address(name)
    elif not is_ipv6 and not text.isdigit():
        address = _address(name)
    if address is None:
        example = "[ADDRESS]:PORT, such as [2001:db8::80]:80" if ":" in name else _EXAMPLE
        raise UsageError(f"bad {what} {text!r}: expected {example}.")
    found = _port(service, protocol) if colon else None
    if colon and found is None:
        raise UsageError(f"bad {what} {text!r}: expected a port from 0 to {MAX_PORT}, or its name.")
    return address, found


def _address(name: str) -> str | None:
    """As inet_aton(3) reads it: 010.0.0.1 is 8.0.0.1, and 10.1 is 10.0.0.1.

    Other text of digits and dots is not a name, and is not looked up.
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


def _ipv6_address(name: str) -> str | None:
    """The IPv6 address of a name; text with a colon, or a digit first, is a wrong address and no name."""
    if ":" in name or not name[:1].isalpha():
        return None
    try:
        found = socket.getaddrinfo(name, None, socket.AF_INET6)
    except _NONE:
        return None
    return str(found[0][4][0])


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
