"""The listings of ipvsadm -L: rules, counters, connections, timeouts.

Every heading, width and space is that of ipvsadm 1.31. Source: its output, recorded with kernel 6.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cmp_to_key
from socket import AF_INET, AF_INET6, inet_pton
from typing import Any

from director.control.cli import Fields
from director.core import ALL_128_BITS, ALL_ONES
from director.ipvsadm import names
from director.ipvsadm.arguments import VIEWS

_COUNTERS = ("connections", "packets_in", "packets_out", "bytes_in", "bytes_out")
_UNITS = ((10**8, 1, ""), (10**9, 10**3, "K"), (10**11, 10**6, "M"), (10**14, 10**9, "G"))
_LOCAL, _REMOTE = "Prot LocalAddress:Port", "  -> RemoteAddress:Port"
_WIDTH = 33  # of the first column, with an address
_HEADINGS = {
    "": f"{_LOCAL} Scheduler Flags\n{_REMOTE:{_WIDTH}} Forward Weight ActiveConn InActConn\n",
    "stats": f"{_LOCAL:{_WIDTH}}    Conns   InPkts  OutPkts  InBytes OutBytes\n{_REMOTE}\n",
    "rate": f"{_LOCAL:{_WIDTH}}      CPS    InPPS   OutPPS    InBPS   OutBPS\n{_REMOTE}\n",
    "thresholds": f"{_LOCAL:{_WIDTH}} Uthreshold Lthreshold ActiveConn InActConn \n{_REMOTE}\n",
    "persistent-conn": f"{_LOCAL:{_WIDTH}} Weight    PersistConn ActiveConn InActConn \n{_REMOTE}\n",
}
_COLUMNS = {  # of a server: fields and widths
    "": (("method", 7), ("weight", 6), ("active", 10), ("inactive", 10)),
    "thresholds": (("upper", 10), ("lower", 10), ("active", 10), ("inactive", 10)),
    "persistent-conn": (("weight", 9), ("persistent_connections", 11), ("active", 10), ("inactive", 10)),
}

Options = Mapping[str, str | None]


def title(size: int) -> str:
    """The first line of a whole table; `size` is the number of buckets for connections."""
    return f"IP Virtual Server version 1.2.1 (size={size})\n"


def rules(services: Sequence[Fields], options: Options) -> str:
    """Services with their servers, in the view that the options select."""
    view = next((view for view in VIEWS if view in options), "")
    lines = [_HEADINGS[view]]
    for service in services if "nosort" in options else sorted_services(services):
        lines.append(_service(service, view, options))
        lines += [_server(server, service, view, options) for server in service["servers"]]
    return "".join(lines)


def sorted_services(services: Sequence[Fields]) -> list[Fields]:
    """IPv4 before IPv6, TCP before UDP before firewall marks, each by address and port; servers likewise.

    ipvsadm compares numbers of 32 bits by the sign of their difference, so 203.0.113.1 comes before
    10.0.0.1, which is more than half of all addresses away.
    """
    return [
        {**service, "servers": sorted(service["servers"], key=lambda node: _ORDER(_number_of(node)))}
        for service in sorted(services, key=lambda node: _ORDER(_place(node)))
    ]


def _place(service: Fields) -> tuple[int, ...]:
    ipv6, *number = _number_of(service)
    return service["mark"], ipv6, int(service["protocol"] == "UDP"), *number


def _number_of(node: Fields) -> tuple[int, ...]:
    """Whether it is IPv6, the words of the address, and the port."""
    ipv6 = ":" in node["address"]
    packed = inet_pton(AF_INET6 if ipv6 else AF_INET, node["address"])
    words = (int.from_bytes(packed[at : at + 4], "big") for at in range(0, len(packed), 4))
    return int(ipv6), *words, node["port"]


def _compare(left: tuple[int, ...], right: tuple[int, ...]) -> int:
    for first, second in zip(left, right, strict=False):  # those of two families differ before they end
        if first != second:
            return -1 if (first - second) & _SIGN else 1
    return 0


_SIGN = 1 << 31
_ORDER = cmp_to_key(_compare)


def connections(entries: Iterable[Fields], options: Options) -> Iterator[str]:
    """The connection table, line by line as it comes; persistence templates have port 0."""
    last = f"{'destination':<18} {'pe name':<16} pe_data" if "persistent-conn" in options else "destination"
    yield f"IPVS connection entries\npro expire state       source             virtual            {last}\n"
    for entry in entries:
        yield _connection(entry, options)


def _connection(entry: Fields, options: Options) -> str:
    minutes, seconds = divmod(int(entry["expires"]), 60)
    source, virtual, server = (_named(entry, end, options) for end in ("client", "vip", "server"))
    expires = f"{minutes:02}:{seconds:02}"
    return f"{entry['protocol']:<3} {expires:<6} {entry['state']:<11} {source:<18} {virtual:<18} {server}\n"


def _named(entry: Fields, end: str, options: Options) -> str:
    address, _, port = entry[end].rpartition(":")
    return names.endpoint(address.strip("[]"), int(port), entry["protocol"], numeric="n" in options)


def timeouts(seconds: Fields) -> str:
    return f"Timeout (tcp tcpfin udp): {seconds['tcp']} {seconds['tcpfin']} {seconds['udp']}\n"


def daemons(running: Iterable[Fields]) -> str:
    """The synchronisation daemons: the master first."""
    form = (
        "{role} sync daemon (mcast={interface}, syncid={syncid}, maxlen={maxlen}, "
        "group={group}, port={port}, ttl={ttl}{resync})\n"
    )
    return "".join(
        form.format(**{**daemon, "resync": ", resync" if daemon.get("resync") else ""}) for daemon in running
    )


def _service(service: Fields, view: str, options: Options) -> str:
    if service["mark"]:
        name = f"FWM  {service['mark']}{' IPv6' if ':' in service['address'] else ''}"
    else:
        name = f"{service['protocol']:<4} {_endpoint(service, service, options)}"
    if view in ("stats", "rate"):
        return f"{name:<{_WIDTH}}{_numbers(service, view, options)}\n"
    words = [name, service["scheduler"]]
    if service["flags"]:
        words.append(f"({','.join(service['flags'])})")
    if service["persistent"]:
        words.append(f"persistent {service['persistent']}")
        if service["netmask"] not in (ALL_ONES, ALL_128_BITS):
            words.append(f"mask {service['netmask']}")
    if service["one_packet"]:
        words.append("ops")
    return " ".join(words) + "\n"


def _server(server: Fields, service: Fields, view: str, options: Options) -> str:
    name = f"  -> {_endpoint(server, service, options):<28}"
    if view in ("stats", "rate"):
        return f"{name}{_numbers(server, view, options)}\n"
    cells = (f"{server[field]:<{width}}" for field, width in _COLUMNS[view])
    return f"{name} {' '.join(cells)}\n"


def _endpoint(node: Fields, service: Fields, options: Options) -> str:
    """Long names are cut off, so that columns stay in place; those of a service of IPv6 are not."""
    name = names.endpoint(node["address"], node["port"], service["protocol"], numeric="n" in options)
    return name if ":" in service["address"] else name[:28]


def _numbers(node: Mapping[str, Any], view: str, options: Options) -> str:
    values = node if view == "stats" else node["rates"]
    return "".join(large(values[name], exact="exact" in options) for name in _COUNTERS)


def large(value: int, *, exact: bool) -> str:
    """A counter in nine columns, from 100 million on rounded down to K, M, G or T; wider if need be."""
    if exact:
        return f" {value:8}"
    for below, divisor, unit in _UNITS:
        if value < below:
            return f"{value // divisor:{9 - len(unit)}}{unit}"
    return f"{value // 10**12:8}T"
