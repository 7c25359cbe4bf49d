"""Converts a line of ipvsadm to commands for the control socket.

Values and defaults are those of ipvsadm 1.31. The director checks whether a service exists, a scheduler is
known and thresholds make sense.
"""

from __future__ import annotations

from collections.abc import Callable

from director.control.cli import (
    MAX_MARK,
    MAX_PORT,
    PROTOCOLS,
    REFUSED,
    Fields,
    UnsupportedOption,
    UsageError,
    parse_ipv4,
)
from director.formats import parse_number
from director.formats.ipvsadm_words import address_and_port, endpoint
from director.ipvsadm import names
from director.ipvsadm.arguments import Line

METHODS = {"g": "DR", "i": "TUN", "m": "NAT"}
OTHER_TUNNELS = ("gue", "gre")  # the kernel's
FLAGS = {"flag-1": "fallback", "flag-2": "port", "flag-3": None}  # no scheduler uses the third
SCHEDULERS_WITH_FLAGS = ("sh", "mh")
SCHEDULER = "wlc"
PERSISTENT = 360  # seconds
MAX_SECONDS = 31 * 24 * 3600
MAX_INT = 2**31 - 1  # of weights and thresholds
ROLES = ("master", "backup")  # of synchronisation daemons
SYNC_INTERFACE = "eth0"
MAX_MESSAGE = 65507  # bytes
MAX_PREFIX_LENGTH = 128  # of IPv6


def commands(line: Line) -> list[Fields]:
    """Raises UsageError, also for a command that changes nothing, such as -L."""
    known: dict[str, Callable[[Line], Fields]] = {
        "A": lambda line: {"command": "AddService", **_service(line)},
        "E": lambda line: {"command": "EditService", **_service(line)},
        "D": lambda line: {"command": "DeleteService", "key": _key(identity(line))},
        "a": lambda line: {"command": "AddServer", **_server(line), **_server_options(line)},
        "e": lambda line: {"command": "EditServer", **_server(line), **_server_options(line)},
        "d": lambda line: {"command": "DeleteServer", **_server(line)},
        "C": lambda _: {"command": "Clear"},
        "Z": lambda line: {"command": "Zero", "key": _key(identity(line)) if line.service else None},
        "set": _timeouts,
    }
    if line.command not in known:
        raise UsageError("only lines that change or list rules are allowed here.", REFUSED)
    return [known[line.command](line)]


def identity(line: Line) -> Fields:
    """The service that a line names, in the fields of the director's list."""
    letter = line.service or ""
    text = line.options[letter] or ""
    if letter == "f":
        mark = _number("firewall mark", text, 1, MAX_MARK)
        unspecified = "::" if "6" in line.options else "0.0.0.0"
        return {"protocol": "FWM", "mark": mark, "address": unspecified, "port": 0}
    protocol = PROTOCOLS[letter]
    address, port = names.read_endpoint("virtual service", text, protocol)
    return {"protocol": protocol, "mark": 0, "address": address, "port": port or 0}


def _key(service: Fields) -> Fields:
    if service["mark"]:
        return {"mark": service["mark"], **({"family": 6} if ":" in service["address"] else {})}
    return {"protocol": service["protocol"], "address": address_and_port(service)}


def _service(line: Line) -> Fields:
    """The fields of -A and -E."""
    service = identity(line)
    persistent = _persistent(line)
    if not (service["port"] or service["mark"] or persistent):
        raise UsageError("port 0 is every port of the address: that needs a persistent service, -p.")
    if "o" in line.options and service["protocol"] == "TCP":
        raise UsageError("-o is for UDP and firewall marks: a TCP connection has many packets.")
    scheduler = line.options.get("s", SCHEDULER) or ""
    return {
        "key": _key(service),
        "scheduler": scheduler,
        "flags": _flags(scheduler, line.options.get("b") or ""),
        "persistent": persistent,
        "netmask": _netmask(line, ipv6=":" in service["address"]),
        "one_packet": "o" in line.options,
    }


def _persistent(line: Line) -> int:
    """Seconds; 0 is no persistence."""
    if "p" not in line.options:
        return 0
    text = line.options["p"]
    return PERSISTENT if text is None else _number("time for -p", text, 1, MAX_SECONDS)


def _netmask(line: Line, *, ipv6: bool) -> str | None:
    """A netmask, or a prefix length for IPv6; None if none is given."""
    text = line.options.get("M")
    if text is not None and ipv6:
        return str(_number("prefix length", text, 1, MAX_PREFIX_LENGTH))
    netmask = None if text is None else parse_ipv4(text)
    if text is not None and netmask is None:
        raise UsageError(f"bad netmask {text!r}: expected a netmask such as 255.255.255.0.")
    return netmask


def _flags(scheduler: str, text: str) -> list[str]:
    """The flags by name, each once: flag-1 of sh is sh-fallback."""
    given = {FLAGS.get(flag, flag.removeprefix(f"{scheduler}-")) for flag in text.split(",") if flag}
    if given and scheduler not in SCHEDULERS_WITH_FLAGS:
        raise UsageError(f"-b {text!r} is for {' and '.join(SCHEDULERS_WITH_FLAGS)}, not for {scheduler}.")
    if not given <= set(FLAGS.values()):
        raise UsageError(f"bad flags {text!r}: {scheduler} has {scheduler}-fallback and {scheduler}-port.")
    return [f"{scheduler}-{flag}" for flag in sorted(flag for flag in given if flag)]


def _server(line: Line) -> Fields:
    """The service and the server of -a, -e and -d; only -m may change the port."""
    service = identity(line)
    protocol = "TCP" if service["mark"] else service["protocol"]
    address, port = names.read_endpoint("real server", line.options["r"] or "", protocol)
    forced = line.command != "d" and "m" not in line.options and not service["mark"]
    if line.command != "d" and "i" not in line.options and (":" in address) != (":" in service["address"]):
        raise UsageError("Different address family is allowed only for tunneling servers: give -i.")
    if port is None or forced:
        port = service["port"]
    return {"key": _key(service), "server": endpoint(address, port)}


def _server_options(line: Line) -> Fields:
    """The options of -a and -e; omitted ones get their defaults, also in -e."""
    letter = next((letter for letter in METHODS if letter in line.options), "g")
    tunnel = line.options.get("tun-type")
    if tunnel is not None and (tunnel != "ipip" or letter != "i"):
        kind = UnsupportedOption if tunnel in OTHER_TUNNELS else UsageError
        raise kind(f"--tun-type {tunnel!r}: expected ipip, and -i with it.")
    return {
        "method": METHODS[letter],
        "weight": _number("weight", line.options.get("w", "1") or "", 0, MAX_INT),
        "upper": _number("upper threshold", line.options.get("x", "0") or "", 0, MAX_INT),
        "lower": _number("lower threshold", line.options.get("y", "0") or "", 0, MAX_INT),
    }


def _timeouts(line: Line) -> Fields:
    tcp, tcpfin, udp = (_number("timeout", word, 0, MAX_SECONDS) for word in line.words)
    return {"command": "SetTimeouts", "tcp": tcp, "tcpfin": tcpfin, "udp": udp}


def daemon(line: Line) -> Fields:
    """The request of --start-daemon or --stop-daemon."""
    role = line.options[line.command]
    if role not in ROLES:
        raise UsageError(f"--{line.command} {role!r}: expected {' or '.join(ROLES)}.")
    if line.command == "stop-daemon":
        return {"do": "stop_daemon", "role": role}
    request: Fields = {
        "do": "start_daemon",
        "role": role,
        "interface": line.options.get("mcast-interface") or SYNC_INTERFACE,
    }
    for option, field, minimum, maximum in (
        ("syncid", "syncid", 0, 255),
        ("sync-maxlen", "maxlen", 1, MAX_MESSAGE),
        ("mcast-port", "port", 1, MAX_PORT),
        ("mcast-ttl", "ttl", 1, 255),
    ):
        text = line.options.get(option)
        if text is not None:
            request[field] = _number(option, text, minimum, maximum)
    if "resync" in line.options:
        request["resync"] = True
    group = line.options.get("mcast-group")
    if group is not None:
        if parse_ipv4(group) is None:
            raise UsageError(f"bad mcast-group {group!r}: expected an IPv4 address such as 224.0.0.81.")
        request["group"] = group
    return request


def _number(what: str, text: str, minimum: int, maximum: int) -> int:
    value = parse_number(text)
    if not minimum <= value <= maximum:
        raise UsageError(f"bad {what} {text!r}: expected a number from {minimum} to {maximum}.")
    return value
