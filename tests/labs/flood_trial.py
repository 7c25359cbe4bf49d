"""The part of test_flood.py that runs in its own namespaces (director_net.py).

The rate of each flood depends on how fast this director, on this machine, handles its packets. Started as
`python flood_trial.py METHOD FOLDER` inside `unshare`; writes FOLDER/results.json.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from director.control.channel import call
from labs.errors import LabError
from labs.methods import FLAGS
from labs.wait import patient, wait_for
from tests.labs.director_net import CIP, SERVERS, SOCKET, VIP, build, serve, sh, start, start_director, tool
from tests.labs.held import CLIENT, held

FEW, FACTOR, BOUND = 200, 3, 3_000_000
FLOODS = {"SYN": 0x02, "UDP": 0, "SYN+ACK": 0x12}  # flags of TCP


def counted() -> dict[str, int]:
    return dict(_counters()["engine"])


def _counters() -> dict[str, Any]:
    return dict(call(SOCKET, {"do": "counters"}, timeout=patient(20)))


def begin_flood(rate: int, count: int, flags: int) -> Any:
    return start("c", sys.executable, str(CLIENT), "flood", VIP, "80", str(rate), str(count), str(flags))


def takes(flags: int) -> float:
    """The packets, with those that follow from them, that it processes per second of processor time.

    Before any flood: for a second after one, its gate sheds these, too.
    """
    before = _counters()
    begin_flood(100 * FEW, FEW, flags).wait(patient(20))
    wait_for(lambda: counted()["in"] >= before["engine"]["in"] + FEW, 20, "a few packets", LabError)
    return FEW / float(_counters()["process"]["cpu_seconds"] - before["process"]["cpu_seconds"])


def try_out(method: str, folder: Path) -> dict[str, Any]:
    server = ":".join(map(str, SERVERS[method]))
    process = start_director(method, folder)
    for service in (f"-t {VIP}:80", f"-u {VIP}:80"):
        tool("ipvsadm", *f"-A {service} -s rr".split())
        tool("ipvsadm", *f"-a {service} -r {server} {FLAGS[method]}".split())
    rates = {name: int(FACTOR * takes(flags)) for name, flags in FLOODS.items()}
    results: dict[str, Any] = {name: flooded(rates[name], flags) for name, flags in FLOODS.items()}
    process.terminate()
    process.wait(patient(20))
    events = map(json.loads, (folder / "events").read_text().splitlines())
    shed = [event for event in events if event["kind"] == "shed"]
    results["events"] = {name: sum(event[name] for event in shed) for name in ("syns", "strangers")}
    return results


def flooded(rate: int, flags: int) -> dict[str, Any]:
    """What a connection from before gets during a flood, and a new one; the counters afterwards."""
    with held() as before:
        results: dict[str, Any] = {"before": before.ask("little"), "rate": rate}
        shed = counted()["shed"]
        flood = begin_flood(rate, BOUND, flags)
        wait_for(lambda: counted()["shed"] > shed, 20, "a flood that is too much", LabError)
        with held() as new:
            results["new"] = new.ask("little")
        results["old"] = before.ask()
    results["still flooded"] = flood.poll() is None
    flood.terminate()
    flood.wait()
    results["counters"] = counted()
    return results


def main(arguments: Sequence[str]) -> None:
    method, folder = arguments[0], Path(arguments[1])
    build(method)
    sh("ip", "route", "add", "198.18.0.0/15", "via", CIP, host="d")  # replies go to a host that ignores them
    address, port = SERVERS[method]
    serve("s", f"{address if method == 'nat' else VIP}:{port}", log=folder / "server.log")
    (folder / "results.json").write_text(json.dumps(try_out(method, folder)))


if __name__ == "__main__":
    main(sys.argv[1:])
