"""Rules as lines of ipvsadm: -S writes them, -R reads them.

The kernel's ipvsadm understands what is written here, and the other way round. It does not save
thresholds; they are saved here. It carries out line after line; here, all are one request.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from director.control.tool import Failure, Fields, WrongLine
from director.ipvsadm import names, requests
from director.ipvsadm.arguments import PROGRAM, parse
from director.ipvsadm.listing import sorted_services

_FORWARDING = {"Masq": "-m", "Tunnel": "-i", "Route": "-g", "Local": "-g"}


def text(services: Sequence[Fields], *, numeric: bool) -> str:
    """The lines that make these services again, in the order of the listing."""
    lines: list[str] = []
    for service in sorted_services(services):
        key = key_of(service, numeric=numeric)
        lines.append(" ".join(["-A", key, *policy_of(service)]))
        for server in service["servers"]:
            where = names.endpoint(server["address"], server["port"], service["protocol"], numeric=numeric)
            lines.append(" ".join(["-a", key, "-r", where, *settings_of(server)]))
    return "".join(f"{line}\n" for line in lines)


def key_of(service: Fields, *, numeric: bool = True) -> str:
    """The words that name a service."""
    if service["mark"]:
        return f"-f {service['mark']}"
    protocol = service["protocol"]
    where = names.endpoint(service["address"], service["port"], protocol, numeric=numeric)
    return f"-{protocol[0].lower()} {where}"


def policy_of(service: Fields) -> Iterator[str]:
    """The words behind -A: how it deals with its clients."""
    yield f"-s {service['scheduler']}"
    if service["persistent"]:
        yield f"-p {service['persistent']}"
        if service["netmask"] != requests.ONE_CLIENT:
            yield f"-M {service['netmask']}"
    if service["one_packet"]:
        yield "-o"
    if service["flags"]:
        yield f"-b {','.join(service['flags'])}"


def settings_of(server: Fields) -> Iterator[str]:
    """The words behind -a and the server."""
    forwarding = _FORWARDING[server["method"]]
    yield f"{forwarding} -w {server['weight']}"
    if forwarding == "-i":
        yield "--tun-type ipip"
    for option, threshold in (("-x", server["upper"]), ("-y", server["lower"])):
        if threshold:
            yield f"{option} {threshold}"


def read(lines: str) -> list[Fields]:
    """The commands of many lines. Raises WrongLine, which says which line."""
    commands: list[Fields] = []
    for place, line in enumerate(lines.split("\n"), start=1):
        words = line.split()
        if words[:1] == [PROGRAM]:
            del words[0]
        if not words or words[0].startswith("#"):
            continue
        try:
            commands += requests.commands(parse(words))
        except Failure as error:
            raise WrongLine(f"line {place}: {error}") from None
    return commands
