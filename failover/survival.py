"""Which connections survive their director, by their age at its death, with and without synchronisation.

Three modes, each with VS-NAT, VS-TUN and VS-DR at the same time. In the quiet load few clients open
connections one after another until the active director dies, so that their ages are spread over some seconds.
In the crowd, many are open, and the youngest is `OLD` seconds old. No program has to notice the death: the
takeover always takes the same time. A connection survives if its next request is answered, else it is lost.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from compare.progress import Progress
from compare.results import Journal
from director.core.sync_protocol import BACKUP, MASTER
from failover.blackout import SEED
from failover.options import FailoverOptions
from failover.pair import DIRECTORS, VIP, Pair, other, port
from labs.methods import METHODS

OLD = 3.2  # seconds: the youngest of a crowd
_QUIET_RATE = 15.0  # per second, all methods together: a message fills in 2.7 s
_QUIET_SECONDS = (6.0, 9.0)  # random, so that messages are of any age when the director dies
CROWD_RATE = 200.0
_CROWD, _CROWD_QUICK = 1000, 50
_ROUND = 12.0  # seconds of a death, for the progress bar


@dataclass(frozen=True, slots=True)
class Mode:
    name: str
    title: str
    scheduler: str
    sync: bool = False
    sloppy: bool = False


MODES = (
    Mode("none", "no synchronisation", "rr"),
    Mode("sync", "synchronisation", "rr", sync=True),
    Mode("mh", "mh and sloppy_tcp, no synchronisation", "mh", sloppy=True),
)


def _rounds(options: FailoverOptions) -> int:
    """The number of deaths with the quiet load."""
    return max(1, options.count // 4)


def crowd_of(options: FailoverOptions) -> int:
    """The number of connections of each method in the crowd."""
    return _CROWD_QUICK if options.quick else _CROWD


def steps(options: FailoverOptions) -> dict[str, float]:
    crowd = _ROUND + len(METHODS) * crowd_of(options) / CROWD_RATE
    return {mode.title: _rounds(options) * (_ROUND + max(_QUIET_SECONDS)) + crowd for mode in MODES}


def measure(options: FailoverOptions, journal: Journal, progress: Progress) -> Iterator[str]:
    """Adds `survival` for each connection; yields the names of the steps that are done. Raises LabError."""
    pair = Pair(journal.file.parent / "survival", options.engine)
    active = DIRECTORS[0]
    pair.take_over(active)
    chance = random.Random(SEED)
    crowd = (len(METHODS) * crowd_of(options), CROWD_RATE, OLD)
    try:
        for mode in MODES:
            with progress.step(mode.title) as notes:
                lived = lost = 0
                for load in (*["quiet"] * _rounds(options), "crowd"):
                    quiet = (int(_QUIET_RATE * chance.uniform(*_QUIET_SECONDS)), _QUIET_RATE, None)
                    figures = quiet if load == "quiet" else crowd
                    for entry in death(pair, active, mode, *figures):
                        journal.add("survival", {"mode": mode.name, "load": load, **entry})
                        lived += entry["fate"] == "lives"
                        lost += entry["fate"] != "lives"
                    active = other(active)
                notes.append(f"{lived} live, {lost} lost")
            yield mode.title
    finally:
        pair.close()


def death(
    pair: Pair, active: str, mode: Mode, count: int, rate: float, rest: float | None
) -> list[dict[str, Any]]:
    """Open connections on the active director, kill it, and return their fates.

    It dies `rest` seconds after all are open; with None at once, while some are being opened.
    """
    standby = other(active)
    pair.restart_servers()
    pair.restart(active)  # it has been a standby, and may know ports that clients use again
    for host, role in ((active, MASTER), (standby, BACKUP)):
        pair.set(host, "sloppy_tcp", int(mode.sloppy))
        if mode.sync:
            pair.synchronise(host, role)
    with calling(pair, mode.scheduler, count, rate, opened=rest is not None) as callers:
        time.sleep(rest or 0)  # their age
        pair.kill(active)
        callers.note_death()
        pair.take_over(standby)
        found = callers.fates()
    pair.revive(active)
    return found


class Callers:
    """The clients' program; see callers.py."""

    def __init__(self, program: subprocess.Popen[str], ports: dict[int, str]) -> None:
        self._program, self._ports = program, ports

    def note_death(self) -> None:
        """Set the time of death, from which ages are counted back."""
        print(time.monotonic(), file=self._program.stdin, flush=True)

    def fates(self) -> list[dict[str, Any]]:
        """Wait for the fates: `method`, `age` in seconds and `fate` of each connection."""
        print("taken over", file=self._program.stdin, flush=True)
        assert self._program.stdout is not None
        found = [json.loads(line) for line in self._program.stdout]
        return [
            {"method": self._ports[entry["port"]], "age": entry["age"], "fate": entry["fate"]}
            for entry in found
        ]


@contextmanager
def calling(pair: Pair, scheduler: str, count: int, rate: float, *, opened: bool) -> Iterator[Callers]:
    """Start the clients; enters when all connections have begun, or with `opened` are open."""
    ports = {port(method, scheduler): method for method in METHODS}
    words = (VIP, ",".join(map(str, ports)), str(count), str(rate), *(("opened",) if opened else ()))
    command = pair.command("c", sys.executable, "-m", "failover.callers", *words)
    program = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert program.stdout is not None
        program.stdout.readline()
        yield Callers(program, ports)
    finally:
        program.kill()
        program.wait()
