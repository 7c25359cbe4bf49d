"""Services, real servers and rules of fwmark as words of command lines, from the fields of a listing.

The engine ipvs hands these lines to the kernel; `ipvsadm -S` prints them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from director.core import ALL_128_BITS, ALL_ONES

_ALL_PORTS = (0, 2**16 - 1)
FORWARDING = {"Masq": "-m", "Tunnel": "-i", "Route": "-g"}  # options, by the values of Method

Fields = dict[str, Any]


def service_option(service: Fields, named: str = "") -> str:
    """The option that names a service, such as `-t 203.0.113.1:80`; `named` replaces the numbers."""
    if service["mark"]:
        return f"-f {service['mark']}{' -6' if ':' in service['address'] else ''}"
    return f"-{service['protocol'][0].lower()} {named or address_and_port(service)}"


def address_and_port(node: Fields) -> str:
    """ADDRESS:PORT of a service or a real server, in numbers; an address of IPv6 is in brackets."""
    return endpoint(node["address"], node["port"])


def endpoint(address: str, port: object) -> str:
    """`203.0.113.1:80`, `[2001:db8::1]:80`."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def policy_options(service: Fields) -> Iterator[str]:
    """The words after the service in -A and -E."""
    yield f"-s {service['scheduler']}"
    if service["persistent"]:
        yield f"-p {service['persistent']}"
        if service["netmask"] not in (ALL_ONES, ALL_128_BITS):
            yield f"-M {service['netmask']}"
    if service["one_packet"]:
        yield "-o"
    if service["flags"]:
        yield f"-b {','.join(service['flags'])}"


def server_options(server: Fields) -> Iterator[str]:
    """The words after the real server in -a and -e."""
    forwarding = FORWARDING[server["method"]]
    yield f"{forwarding} -w {server['weight']}"
    if forwarding == "-i":
        yield "--tun-type ipip"
    for option, threshold in (("-x", server["upper"]), ("-y", server["lower"])):
        if threshold:
            yield f"{option} {threshold}"


def mark_options(rule: Fields) -> str:
    """The words after fwmark's -A and -D for a rule of the director's list."""
    protocol = "" if rule["protocol"] == "any" else f"-p {rule['protocol'].lower()} "
    first, last = rule["first"], rule["last"]
    ports = str(first) if first == last else f"{first}:{last}"
    dport = "" if (first, last) == _ALL_PORTS else f"--dport {ports} "
    return f"{protocol}-d {rule['network']} {dport}--set-mark {rule['mark']}"
