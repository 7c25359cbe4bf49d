"""What connection synchronisation costs: packets and bytes, and new connections per second.

wrk opens connections to nginx through the director in VS-DR, `Connection: close`, sixteen at a time, as in
./inv bench; on each engine without daemons, with a master alone, and with its backup, in turn. Ratios are
within a round. Here the backup runs on the same processors, while a real one has its own. So the processor
time of both directors' processes is recorded, too; the kernel's work for them is in the rates only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from bench.measures.wrk import number_after
from compare.progress import Progress
from compare.results import Journal
from director import engines
from director.engines.engine import EngineError
from failover.options import FailoverOptions
from failover.pair import DIRECTORS, HTTP, SERVERS, VIP, Pair
from labs.errors import BuildFailed
from realserver_setup.render import configuration

ENGINES = ("scapy", "ebpf")
PROGRAMS = {"wrk": "wrk", "nginx": "nginx"}
_ALONE, _MASTER, _PAIR = _MODES = ("no daemon", "master", "master and backup")
_SECONDS, _ROUNDS = 3, 5
_START = 6.0
_REQUESTS = re.compile(r"(\d+) requests in")


def _figures(options: FailoverOptions) -> tuple[int, int]:
    """The number of rounds, and the seconds of each measurement."""
    return (1, 1) if options.quick else (_ROUNDS, _SECONDS)


def _title(engine: str) -> str:
    return f"synchronisation's cost, {engine}"


def steps(options: FailoverOptions) -> dict[str, float]:
    rounds, seconds = _figures(options)
    return {
        _title(engine): _START + len(_MODES) * rounds * (seconds + 3)
        for engine in ENGINES
        if not obstacle(engine)
    }


def obstacle(engine: str) -> str:
    """Why an engine can't run here; "" if it can."""
    try:
        engines.require(engine)
    except EngineError as missing:
        return str(missing)
    return ""


def measure(options: FailoverOptions, journal: Journal, progress: Progress) -> Iterator[str]:
    """Adds `cost` for each measurement; yields the names of the steps that are done. Raises LabError."""
    for engine in ENGINES:
        why = obstacle(engine)
        if why:
            journal.add("left out", {"what": _title(engine), "why": why})
            continue
        with progress.step(_title(engine)) as notes:
            ratios = list(_rounds(engine, options, journal))
            notes.append(f"{min(ratios):.0%} to {max(ratios):.0%} of the rate without")
        yield _title(engine)


def _rounds(engine: str, options: FailoverOptions, journal: Journal) -> Iterator[float]:
    rounds, seconds = _figures(options)
    pair = Pair(journal.file.parent / f"cost-{engine}", engine)
    try:
        pair.take_over("d1")
        _serve(pair)
        for number in range(rounds):
            rates = {}
            for mode in _MODES if number % 2 else reversed(_MODES):
                entry = _measure(pair, seconds, mode)
                about = {"sync": mode != _ALONE, "backup": mode == _PAIR}
                journal.add("cost", {"engine": engine, "round": number + 1, **about, **entry})
                rates[mode] = entry["rate"]
            yield rates[_PAIR] / rates[_ALONE]
    finally:
        pair.close()


def _serve(pair: Pair) -> None:
    for host in SERVERS:
        folder = pair.folder / f"nginx-{host}"
        folder.mkdir()
        file = Path(folder / "httpd.conf")
        file.write_text(configuration("bench/httpd.conf.j2", port=HTTP, family=4))
        pair.start(host, "nginx", "-p", str(folder), "-c", str(file))
        pair.wait_for_port(host, HTTP)


def _measure(pair: Pair, seconds: int, mode: str) -> dict[str, float]:
    pair.restart("d1")
    pair.restart("d2")  # with an empty table
    daemons = {_ALONE: {}, _MASTER: {"d1": "master"}, _PAIR: {"d1": "master", "d2": "backup"}}[mode]
    for host, role in daemons.items():
        pair.synchronise(host, role)
    options = ("-t", "1", "-c", "16", "-d", f"{seconds}s", "--timeout", "10s", "-H", "Connection: close")
    before = {host: pair.processor_time(host) for host in DIRECTORS}
    output = pair.run("c", "wrk", *options, f"http://{VIP}:{HTTP}/", seconds=seconds + 20)
    master, backup = (pair.processor_time(host) - before[host] for host in DIRECTORS)
    sent = {"messages": 0, "connections": 0}
    if daemons:
        sent = pair.ask("d1", {"do": "counters"})["sync"]["master"]
    found = _REQUESTS.search(output)
    if found is None:
        raise BuildFailed(f"wrk printed no number of requests: {output.strip()[-80:]}")
    rate = number_after("Requests/sec:", output)
    connections = int(found[1])
    return {
        "rate": rate,
        "connections": connections,
        "messages": sent["messages"],
        "records": sent["connections"],
        "master_time": master,
        "backup_time": backup,
    }
