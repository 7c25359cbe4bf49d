"""Reads heartbeat's folder, /etc/ha.d: what two nodes need of ha.cf, haresources and authkeys.

    ha.cf         keepalive 500ms     a heartbeat each half second; times are in seconds, or end with ms
                  deadtime 10         warntime, initdead, udpport (694), auto_failback on|off; nice_failback,
                                      its name before 2002, means the opposite
                  bcast eth0 eth1     heartbeats by broadcast (udp: its name in 1999); ucast eth0 192.0.2.2:
                                      to one address
                  node d1 d2          both nodes
    haresources   d1 203.0.113.1/32/eth0 LVSSyncDaemonSwap::master::eth1
                                      the node whose resources they are; addresses, which may begin with
                                      IPaddr::, and scripts in resource.d, with arguments after two colons
    authkeys      auth 1              the key that is used, and a line for each: sha1, md5 or crc
                  1 sha1 secret

Comments begin with #. Anything unknown is refused with file and line.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from availability.config import ConfigError, values
from availability.config.text import Place
from availability.config.values import Script
from availability.heartbeat.messages import Key
from availability.heartbeat.node import DEADTIME, KEEPALIVE, Settings
from availability.vrrp.instances import Address
from director.formats import parse_number

PORT = 694
RESOURCE_D = Path(__file__).with_name("resource.d")  # after the folder's own
_TIMES = ("keepalive", "deadtime", "warntime", "initdead")
_LOGGING = ("debug", "debugfile", "logfile", "logfacility", "use_logd")  # the journal has it all
_REFUSED = {
    **dict.fromkeys(("serial", "baud"), "there is no serial line: use bcast or ucast"),
    "mcast": "use bcast or ucast",
    **dict.fromkeys(("stonith", "stonith_host"), "no node is switched off"),
    **dict.fromkeys(("crm", "pacemaker", "respawn"), "resources come from haresources"),
    **dict.fromkeys(
        ("ping", "ping_group", "deadping", "hbgenmethod", "hopfudge"), "only the nodes are watched"
    ),
    **dict.fromkeys(("watchdog", "realtime", "rtprio"), "start it with chrt instead"),
}
_MAX_NAMES = 1000  # characters of all groups' names: a heartbeat is one datagram
_MIN_TIME, _MAX_TIME = 0.01, 3600.0  # seconds


@dataclass(frozen=True, slots=True)
class Medium:
    """An interface for heartbeats, and the address they go to, by default broadcast."""

    interface: str
    to: str = "255.255.255.255"


@dataclass(frozen=True, slots=True)
class Group:
    """A line of haresources: a node acquires the resources in this order, and releases them in reverse."""

    resources: tuple[Address | Script, ...]

    @property
    def addresses(self) -> tuple[Address, ...]:
        return tuple(resource for resource in self.resources if isinstance(resource, Address))


@dataclass(frozen=True, slots=True)
class Folder:
    """The configuration of one node."""

    settings: Settings
    media: tuple[Medium, ...]
    groups: dict[str, Group]
    port: int = PORT
    key: Key | None = None


@dataclass(slots=True)
class _HaCf:
    place: Place
    nodes: list[str] = field(default_factory=list)
    media: list[Medium] = field(default_factory=list)
    times: dict[str, float] = field(default_factory=dict)
    port: int = PORT
    auto_failback: bool = True


def load(folder: Path, node: str) -> Folder:
    """Read the folder's files for this node. Raises ConfigError."""
    found = _read_ha_cf(folder / "ha.cf")
    if len(set(found.nodes)) != 2 or node not in found.nodes:
        known = " and ".join(found.nodes) or "none"
        raise found.place.error(f"expected two nodes, one of them {node!r:.60} (--node), got {known}.")
    if not found.media:
        raise found.place.error("expected bcast or ucast with an interface: heartbeats need a path.")
    peer = next(name for name in found.nodes if name != node)
    preferred: dict[str, str] = {}
    groups: dict[str, Group] = {}
    for place, words in _lines(folder / "haresources"):
        if words[0] not in found.nodes:
            raise place.error(f"{words[0]!r:.60} is not a node in ha.cf.")
        resources = tuple(_resource(word, place, folder) for word in words[1:])
        name = _name(resources[0]) if resources else ""
        if not name or name in groups:
            raise place.error("expected resources after the node, the first of them different on each line.")
        if sum(map(len, groups), len(name)) > _MAX_NAMES:
            raise place.error(f"the names of all first resources may have {_MAX_NAMES} characters at most.")
        preferred[name] = words[0]
        groups[name] = Group(resources)
    times = {"deadtime": DEADTIME, **found.times}
    if times["deadtime"] <= times.get("keepalive", KEEPALIVE):
        raise found.place.error("deadtime must be longer than keepalive.")
    times.setdefault("warntime", times["deadtime"] / 2)
    times.setdefault("initdead", 2 * times["deadtime"])
    settings = Settings(node, peer, preferred, auto_failback=found.auto_failback, **times)
    return Folder(settings, tuple(found.media), groups, found.port, _key(folder / "authkeys"))


def _lines(file: Path) -> Iterator[tuple[Place, list[str]]]:
    try:
        text = file.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise ConfigError(f"{file} can't be read: {error.strerror}.") from None
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.partition("#")[0].split()
        if words:
            yield Place(str(file), number), words


# ---- ha.cf ----


def _read_ha_cf(file: Path) -> _HaCf:
    found = _HaCf(Place(str(file), 1))
    for place, (name, *words) in _lines(file):
        found.place = place
        if name in _REFUSED:
            raise place.error(f"{name} is not supported here: {_REFUSED[name]}.")
        try:
            _directive(found, name, words)
        except ValueError as error:
            raise place.error(f"{name}: {error}.") from None
    return found


def _directive(found: _HaCf, name: str, words: list[str]) -> None:
    """Raises ValueError."""
    if name in _LOGGING:
        return
    if name not in (*_TIMES, "node", "bcast", "udp", "ucast", "udpport", "auto_failback", "nice_failback"):
        raise ValueError("not a directive of ha.cf")
    if not words or (name in ("udpport", *_TIMES, "auto_failback", "nice_failback") and len(words) > 1):
        raise ValueError(f"expected {'values' if not words else 'one value'}")
    if name in _TIMES:
        found.times[name] = _seconds(words[0])
    elif name == "node":
        found.nodes += words
    elif name in ("bcast", "udp"):
        found.media += map(Medium, words)
    elif name == "ucast":
        if len(words) != 2:
            raise ValueError("expected an interface and an address")
        found.media.append(Medium(words[0], values.ipv4(words[1])))
    elif name == "udpport":
        found.port = values.port(words[0])
    else:
        if words[0] not in ("on", "off"):
            raise ValueError(f"expected on or off, got {words[0]!r:.60}")
        found.auto_failback = (words[0] == "on") == (name == "auto_failback")


def _seconds(word: str) -> float:
    """Seconds from 10, 0.5, or 500ms. Raises ValueError."""
    number, unit = (word[:-2], 1000.0) if word.endswith("ms") else (word, 1.0)
    digits = number.replace(".", "", 1)
    value = float(number) / unit if parse_number(digits, 11) >= 0 else 0.0
    if not _MIN_TIME <= value <= _MAX_TIME:
        raise ValueError(
            f"expected seconds, or milliseconds with ms, of {_MIN_TIME:g} s or more, got {word!r:.60}"
        )
    return value


# ---- haresources ----


def _name(first: Address | Script) -> str:
    """The name of a group, equal on both nodes although their interfaces may have different names."""
    return (
        first.address
        if isinstance(first, Address)
        else "::".join((Path(first.words[0]).name, *first.words[1:]))
    )


def _resource(word: str, place: Place, folder: Path) -> Address | Script:
    name, *arguments = word.split("::")
    if name == "IPaddr" and len(arguments) == 1:
        name, arguments = arguments[0], []
    if name[:1].isdigit() and not arguments:
        return _address(name, place)
    file = next((file for file in (folder / "resource.d" / name, RESOURCE_D / name) if file.is_file()), None)
    if file is None or "/" in name:
        raise place.error(
            f"{word!r:.60} is neither ADDRESS/BITS/INTERFACE nor a script in {folder}/resource.d."
        )
    return Script((str(file), *arguments), (), place)


def _address(word: str, place: Place) -> Address:
    parts = word.split("/")
    if len(parts) != 3 or not 0 <= parse_number(parts[1], 2) <= 32:
        raise place.error(f"expected ADDRESS/BITS/INTERFACE, such as 203.0.113.1/32/eth0, got {word!r:.60}.")
    try:
        return Address(values.ipv4(parts[0]), int(parts[1]), parts[2])
    except ValueError as error:
        raise place.error(f"{error}.") from None


# ---- authkeys ----


def _key(file: Path) -> Key | None:
    """The key of authkeys; None without the file: messages are not signed then. Raises ConfigError."""
    if not file.exists():
        return None
    if file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(f"{file} is not private to its owner: run `chmod 600 {file}`.")
    keys: dict[str, Key] = {}
    chosen, where = "", Place(str(file), 1)
    for place, words in _lines(file):
        if words[0] == "auth" and len(words) == 2:
            chosen, where = words[1], place
        elif words[1:2] in (["sha1"], ["md5"]) and len(words) == 3 and words[0].isdecimal():
            keys[words[0]] = Key(int(words[0]), words[1], words[2])
        elif words[1:] == ["crc"] and words[0].isdecimal():
            keys[words[0]] = Key(int(words[0]), "crc")
        else:
            raise place.error("expected `auth NUMBER`, or NUMBER with sha1 KEY, md5 KEY or crc.")
    if chosen not in keys:
        raise where.error("expected `auth NUMBER` with the number of a key in this file.")
    return keys[chosen]
