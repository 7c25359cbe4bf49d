"""How long clients get no answer when the active director dies: three techniques of takeover.

Each kill ends the programs of the active director and cuts its cables, at a random moment between two of its
messages. The client sends a request each millisecond through the director to a real server in VS-DR; the
longest time between two answers is the blackout. Then the dead director comes back as the standby, for the
next kill.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compare.progress import Progress
from compare.results import Journal
from failover.options import FailoverOptions
from failover.pair import DIRECTORS, PROBES, VIP, Pair, other
from labs.run import json_lines

SEED = 1
_STEADY = 200  # answers, before a director is killed
_START, _REVIVE = 6.0, 3.0  # seconds, for the progress bar

_HEARTBEAT = {
    "ha.cf": "keepalive 1\ndeadtime 10\nauto_failback off\nbcast {0}-eth0 {0}-eth1\nnode d1 d2\n",
    "haresources": f"d1 {VIP}/32/{{0}}-eth0\n",
}
_VRRP = f"""\
vrrp_instance VIP {{{{
    state BACKUP
    nopreempt
    interface {{0}}-eth0
    virtual_router_id 51
    version VERSION
    advert_int INTERVAL
    virtual_ipaddress {{{{
        {VIP}/32
    }}}}
}}}}
"""


@dataclass(frozen=True, slots=True)
class Era:
    """A technique of takeover: its files on host {0}, its program, and its times in seconds."""

    name: str
    title: str
    files: dict[str, str]
    module: str
    target: str  # the program's argument, a file or a folder
    interval: float  # between two messages
    expected: float  # the longest silence before a takeover, from the settings
    is_standby: Callable[[dict[str, Any]], bool]  # from its last event: whether it would take over

    def command(self, host: str, folder: Path) -> tuple[str, ...]:
        home = folder / f"{self.name}-{host}"
        home.mkdir(exist_ok=True)
        for name, text in self.files.items():
            (home / name).write_text(text.format(host))
        node = ("--node", host) if self.target == "." else ()
        return (
            *(sys.executable, "-m", self.module, str(home / self.target), *node),
            *("--events", str(events_of(folder, self.name, host))),
        )


def events_of(folder: Path, era: str, host: str) -> Path:
    return folder / f"{era}-{host}.jsonl"


def _is_heartbeats_standby(event: dict[str, Any]) -> bool:
    return event["state"] == "active" and not event["held"]


def _is_backup(event: dict[str, Any]) -> bool:
    return bool(event["state"] == "BACKUP")


def _vrrp(name: str, title: str, version: int, interval: float) -> Era:
    text = _VRRP.replace("VERSION", str(version)).replace("INTERVAL", f"{interval:g}")
    unit = interval if version == 3 else 1.0
    expected = 3 * interval + unit * 156 / 256  # priority 100
    module = "availability.vrrp.process"
    return Era(name, title, {"vrrp.conf": text}, module, "vrrp.conf", interval, expected, _is_backup)


ERAS = (
    Era(
        *("heartbeat", "heartbeat, 1999: deadtime 10 s", _HEARTBEAT, "availability.heartbeat.beating", "."),
        *(1.0, 10.0, _is_heartbeats_standby),
    ),
    _vrrp("vrrp", "VRRP, defaults: 1 s", 2, 1.0),
    _vrrp("vrrp3", "VRRPv3: 10 ms", 3, 0.01),
)


def steps(options: FailoverOptions) -> dict[str, float]:
    """The steps' names and expected seconds."""
    return {era.title: _START + options.count * (era.expected + _REVIVE + era.interval) for era in ERAS}


def measure(options: FailoverOptions, journal: Journal, progress: Progress) -> Iterator[str]:
    """Adds `blackout` for each kill; yields the names of the steps that are done. Raises LabError."""
    folder = journal.file.parent / "blackout"
    pair = Pair(folder, options.engine)
    chance = random.Random(SEED)
    try:
        for era in ERAS:
            with progress.step(era.title) as notes:
                found = [kill["seconds"] for kill in _kills(era, pair, options.count, chance, journal)]
                notes.append(f"{min(found):.3g} to {max(found):.3g} s")
            yield era.title
    finally:
        pair.close()


def _kills(
    era: Era, pair: Pair, count: int, chance: random.Random, journal: Journal
) -> Iterator[dict[str, Any]]:
    for host in DIRECTORS:
        pair.accompany(host, *era.command(host, pair.folder))
    command = pair.command("c", sys.executable, "-m", "failover.prober", VIP, str(PROBES))
    prober = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        for number in range(count):
            found = _kill(era, pair, prober, chance)
            journal.add("blackout", {"era": era.name, "number": number + 1, **found})
            yield found
    finally:
        prober.kill()
        prober.wait()
        for host in DIRECTORS:
            pair.kill(host)
            pair.revive(host)


def _report(prober: subprocess.Popen[str]) -> dict[str, float]:
    _send(prober, "report")
    assert prober.stdout is not None
    return dict(json.loads(prober.stdout.readline()))


def _send(prober: subprocess.Popen[str], word: str) -> None:
    assert prober.stdin is not None
    prober.stdin.write(f"{word}\n")
    prober.stdin.flush()


def _kill(era: Era, pair: Pair, prober: subprocess.Popen[str], chance: random.Random) -> dict[str, Any]:
    """Kill the active director, wait for the takeover, revive it; returns the figures in seconds."""

    def is_ready() -> bool:
        owners = pair.owners()
        return len(owners) == 1 and _is_standby(era, pair, other(owners[0]))

    pair.wait(is_ready, f"one master and a standby ({era.title})")
    _send(prober, "begin")
    pair.wait(lambda: _report(prober)["answered"] > _STEADY, f"answers through the director ({era.title})")
    takeovers = _takeovers(era, pair)
    time.sleep(chance.uniform(0, era.interval))  # the moment of death is any moment of an interval
    owners = pair.owners()
    if len(owners) != 1:  # at 10 ms, a standby that waits for a processor may take over
        return _kill(era, pair, prober, chance)
    (active,) = owners
    _send(prober, "begin")
    died = time.monotonic()
    pair.kill(active)
    standby = other(active)
    pair.wait(lambda: pair.owners() == (standby,), f"the takeover ({era.title})")
    taken = time.monotonic()
    pair.wait(lambda: _report(prober)["last"] > taken, f"answers after the takeover ({era.title})")
    report = _report(prober)
    pair.revive(active)
    pair.accompany(active, *era.command(active, pair.folder))
    return {
        "seconds": report["gap"],
        "after": report["began"] - died,
        "pause": report["pause"],
        "false": max(0, _takeovers(era, pair) - takeovers - 1),
    }


def _events(era: Era, pair: Pair, host: str) -> list[dict[str, Any]]:
    return list(json_lines.entries(events_of(pair.folder, era.name, host)))


def _is_standby(era: Era, pair: Pair, host: str) -> bool:
    events = _events(era, pair, host)
    return bool(events) and era.is_standby(events[-1])


def _takeovers(era: Era, pair: Pair) -> int:
    """How often the two directors have taken the VIP."""
    events = [event for host in DIRECTORS for event in _events(era, pair, host)]
    return sum(event.get("state") == "MASTER" or bool(event.get("held")) for event in events)
