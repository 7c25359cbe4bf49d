"""Records what a run's folder would lack, in view.jsonl: the director's tables, link load, neighbour tables.

Each is polled at most twice a second, less often if answers are slow or no page is open: a view takes about a
sixtieth of a director's time, but polls at least every ten seconds. Unchanged data is not written again.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from director.control.channel import ChannelError, call
from labs.controller.controller_client import ControllerClient, ControllerError
from labs.hosts.environment import DIRECTOR
from labs.run import json_lines
from labs.run.processes import SOCKET
from view.story import ADDED, MOST_CONNECTIONS

_OFTEN, _SELDOM = 0.5, 2.0  # seconds between two polls: while a page is open, and otherwise
_SHARE = 60  # the pause after a poll, in units of the time that the poll took
_LONGEST = 10.0  # seconds: the longest pause
_TIMEOUT = 20.0
_MOST_SIZE = 128 * 1024 * 1024  # bytes of view.jsonl
_COUNTERS = ("engine", "process", "sync")
_COMPLETE = 0x2  # ATF_COM: the flag of a resolved entry (arp(7))

Poll = Callable[[], Iterator[dict[str, Any]]]


class Poller:
    """Polls in its own threads until the process ends.

    `hosts` maps names to pids, `owners` MACs to interfaces, `directors` names to control sockets. In an
    exercise (`hide`) it does not read neighbour tables.
    """

    def __init__(
        self,
        folder: Path,
        hosts: Mapping[str, int],
        owners: Mapping[str, str],
        watched: Callable[[], bool],
        *,
        hide: bool = False,
        directors: Mapping[str, str] | None = None,
        controller: str = SOCKET,
    ) -> None:
        self._file = folder / ADDED
        self._hosts = hosts
        self._owners = owners
        self._watched = watched
        self._hide = hide
        self._directors = directors or {"": DIRECTOR}
        self._controller = ControllerClient(controller)
        self._lock = threading.Lock()
        self._size = 0
        self._before: dict[str, Any] = {}
        self._ports: dict[tuple[str, int], tuple[float, int, int]] = {}
        self.services: list[dict[str, Any]] = []  # from the last answer

    def start(self) -> None:
        polls: list[Poll] = [self.links]
        polls += [partial(self.tables, name, path) for name, path in self._directors.items()]
        if not self._hide:
            polls.append(self.neighbours)
        for poll in polls:
            threading.Thread(target=self._repeat, args=(poll,), daemon=True).start()

    def _repeat(self, poll: Poll) -> None:
        while True:
            time.sleep(self.once(poll))

    def once(self, poll: Poll) -> float:
        """Write what a poll yields; return the pause in seconds. A failed poll has cost nothing."""
        pause, began = _OFTEN if self._watched() else _SELDOM, time.monotonic()
        try:
            for entry in poll():
                self.write(entry)
        except (ChannelError, ControllerError, OSError, ValueError, KeyError):
            return pause
        return min(max(pause, (time.monotonic() - began) * _SHARE), _LONGEST)

    def write(self, entry: dict[str, Any]) -> None:
        """Append an entry with the current time, unless the file is full."""
        with self._lock:
            if self._size > _MOST_SIZE:
                return
            self._size += len(json.dumps(entry))
            json_lines.append(self._file, {"time": round(time.time(), 6), **entry})

    def _is_new(self, what: str, value: Any) -> bool:
        if self._before.get(what) == value:
            return False
        self._before[what] = value
        return True

    # ---- the directors ----

    def tables(self, name: str, path: str) -> Iterator[dict[str, Any]]:
        """A director's services, connections and counters, if more than timers or counters have changed."""
        services = _ask(path, "list", at_once=True)["services"]
        listed = _ask(path, "connections", most=MOST_CONNECTIONS)["connections"]
        counters = _ask(path, "counters")
        self.services = services
        shown = [_connection(entry) for entry in listed]
        still = [{**entry, "expires": 0} for entry in shown]
        if self._is_new(f"tables of {name}", (services, still)):
            yield {
                "kind": "tables",
                **({"host": name} if len(self._directors) > 1 else {}),
                "services": services,
                "connections": shown,
                "connections_total": max(len(listed), _counted(services)),
                "counters": {part: counters[part] for part in _COUNTERS if counters.get(part)},
                "source": "director",
            }

    # ---- the switches ----

    def links(self) -> Iterator[dict[str, Any]]:
        """Counters of every switch port, with the rates in bytes per second since the last poll."""
        ports, now = self._controller.ports(), time.monotonic()
        rows = []
        for port in ports:
            key = port.switch, port.port
            at, received, sent = self._ports.get(key, (now, port.rx_bytes, port.tx_bytes))
            seconds = max(now - at, 1e-3)
            rows.append(
                {
                    "switch": port.switch,
                    "port": port.port,
                    "rx_bytes": port.rx_bytes,
                    "tx_bytes": port.tx_bytes,
                    "rx_rate": round(max(0, port.rx_bytes - received) / seconds),
                    "tx_rate": round(max(0, port.tx_bytes - sent) / seconds),
                }
            )
            self._ports[key] = now, port.rx_bytes, port.tx_bytes
        if rows and self._is_new("links", rows):
            yield {"kind": "links", "ports": rows}

    # ---- the hosts ----

    def neighbours(self) -> Iterator[dict[str, Any]]:
        """The ARP tables that have changed, read from /proc/PID/net/arp, which shows the host's own."""
        for name, pid in self._hosts.items():
            try:
                text = Path(f"/proc/{pid}/net/arp").read_text()
            except OSError:
                continue
            entries = list(parse_arp(text, self._owners))
            if self._is_new(f"neighbours of {name}", entries):
                yield {"kind": "neighbours", "host": name, "entries": entries}


def _counted(services: list[dict[str, Any]]) -> int:
    """The number of connections, from the counters of the real servers."""
    return sum(server["active"] + server["inactive"] for service in services for server in service["servers"])


def _ask(path: str, what: str, **details: Any) -> dict[str, Any]:
    """A director's answer. Raises ChannelError if there is none, ValueError if it refuses."""
    answer = call(path, {"do": what, **details}, timeout=_TIMEOUT)
    if not answer.get("ok"):
        raise ValueError(answer.get("error"))
    return answer


def parse_arp(text: str, owners: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """The complete entries of /proc/net/arp (proc(5)), each with the interface that owns its MAC."""
    for line in text.splitlines()[1:]:
        words = line.split()
        if len(words) >= 4 and int(words[2], 16) & _COMPLETE:
            yield {"ip": words[0], "mac": words[3], "owner": owners.get(words[3])}


def _connection(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "key": f"{entry['protocol']} {entry['client']} {entry['vip']}",
        "protocol": entry["protocol"],
        "client": entry["client"],
        "virtual": entry["vip"],
        "server": entry["server"],
        "state": entry["state"],
        "expires": entry["expires"],
        "template": is_template(entry),
    }


def is_template(entry: Mapping[str, Any]) -> bool:
    """Whether it is a persistence template: its client port is 0 (ipvsadm -Lcn lists it too)."""
    return str(entry["client"]).endswith(":0") and entry["state"] in ("NONE", "ASSURED")
