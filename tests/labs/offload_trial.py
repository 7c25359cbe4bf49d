"""The part of test_offload.py that runs in its own namespaces (director_net.py).

Started as `python offload_trial.py METHOD FOLDER` inside `unshare`; writes FOLDER/results.json: by engine,
what arrived, or why the engine can't run here.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from director import engines
from director.control.channel import call
from director.engines.engine import EngineError
from labs.methods import FLAGS
from labs.wait import patient
from tests.labs.director_net import SERVERS, SOCKET, VIP, build, curl, serve, start_director, tool
from tests.labs.trial_server import CONTENT, digest

GOT, SENT = Path("/run/got"), Path("/run/sent")


def transfers() -> dict[str, Any]:
    """A few bytes, as in the kernel's own test of IPVS, then many each way."""
    results = {}
    for name, data in (("few", os.urandom(32)), ("up", CONTENT[::-1])):
        SENT.write_bytes(data)
        code = curl("-H", "Expect:", "--data-binary", f"@{SENT}", f"http://{VIP}/")[0]
        results[name] = code == "0" and GOT.read_text() == digest(data)
    code = curl(f"http://{VIP}/")[0]
    results["down"] = code == "0" and GOT.read_bytes() == CONTENT
    return results


def try_out(method: str, engine: str, folder: Path) -> dict[str, Any]:
    try:
        engines.require(engine)
    except EngineError as missing:
        return {"missing": str(missing)}
    process = start_director(method, folder, "--engine", engine)
    tool("ipvsadm", *f"-A -t {VIP}:80 -s rr".split())
    tool("ipvsadm", *f"-a -t {VIP}:80 -r {':'.join(map(str, SERVERS[method]))} {FLAGS[method]}".split())
    results = {**transfers(), "counters": call(SOCKET, {"do": "counters"})["engine"]}
    process.send_signal(signal.SIGTERM)
    return {**results, "exit": process.wait(patient(20))}


def main(arguments: Sequence[str]) -> None:
    method, folder = arguments[0], Path(arguments[1])
    build(method, offload=True)
    address, port = SERVERS[method]
    serve("s", f"{address if method == 'nat' else VIP}:{port}", log=folder / "server.log")
    results = {engine: try_out(method, engine, folder) for engine in engines.names()}
    (folder / "results.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main(sys.argv[1:])
