"""The part of test_monitor.py that runs in its own namespaces (director_net.py).

VS-DR with the real servers s and t, and the director itself as sorry server. Started as
`python monitor_trial.py ENGINE FOLDER` inside `unshare`; writes FOLDER/results.json. As
`python monitor_trial.py serve NAME ADDRESS:PORT` it is a real server, whose behaviour is in /run/NAME.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from labs.wait import poll_until, slowness
from tests.labs.director_net import (
    DIP,
    ROOT,
    SOCKET,
    VIP,
    add_server,
    build,
    curl,
    sh,
    start,
    start_director,
    tool,
)
from tests.labs.trial_server import Server

MONITOR = ROOT / "availability" / "bin" / "lvs-monitor"
ADDRESSES = {"s": "203.0.113.11", "t": "203.0.113.12", "d": DIP}
TIMES = {
    "delay_loop": 0.5,
    "connect_timeout": 0.4,
    "delay_before_retry": 0.3,
}  # of templates/keepalived.conf.j2
FILE = """\
global_defs {
    enable_script_security
    script_user root
}
virtual_server 203.0.113.1 80 {
    lvs_sched rr
    lvs_method DR
    protocol TCP
    retry 1
    TIMES
    quorum_up "/bin/sh -c 'echo gained >> /run/quorum'"
    quorum_down "/bin/sh -c 'echo lost >> /run/quorum'"
    sorry_server 203.0.113.2 80
    real_server 203.0.113.11 80 {
        weight 1
        HTTP_GET {
            url {
                path /
                status_code 200
            }
        }
    }
    real_server 203.0.113.12 80 {
        weight 2
        notify_up "/bin/sh -c 'echo up >> /run/notified'"
        notify_down "/bin/sh -c 'echo down >> /run/notified'"
        HTTP_GET {
            url {
                path /
                regex "^page of t$"
            }
        }
    }
}
"""
WAIT = 30  # seconds until something is considered not to happen


class Handler(BaseHTTPRequestHandler):
    """Answers with a page that names it, or as /run/NAME says: "500", or "slow" and for how many seconds."""

    name = ""

    def do_GET(self) -> None:
        mode = Path(f"/run/{self.name}").read_text() if Path(f"/run/{self.name}").exists() else ""
        if mode.startswith("slow"):
            time.sleep(float(mode.split()[1]))
        page = f"page of {self.name}".encode()
        self.send_response(500 if mode == "500" else 200)
        self.send_header("Content-Length", str(len(page)))
        self.send_header("Client", self.client_address[0])
        self.send_header("Name", self.name)
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_arguments: object) -> None:
        pass


def serve(name: str, endpoint: str) -> None:
    Handler.name = name
    address, port = endpoint.split(":")
    Server((address, int(port)), Handler).serve_forever()


class Trial:
    """A director, its monitor and the servers; each method tries one thing and returns what it observed."""

    def __init__(self, engine: str, folder: Path) -> None:
        self._engine, self._folder = engine, folder
        self._events_file = folder / "events"
        self._factor = slowness()
        self._file = folder / "keepalived.conf"
        build("dr")
        add_server("t", ADDRESSES["t"])
        self._servers = {name: self._serve(name) for name in ADDRESSES}
        self._director = start_director("dr", folder, "--engine", engine)
        self._write(FILE)

    def _serve(self, name: str) -> subprocess.Popen[bytes]:
        program = (sys.executable, __file__, "serve", name, "0.0.0.0:80")
        process = start(name, *program, log=self._folder / f"{name}.log")
        poll_until(lambda: sh("ss", "-Hltn", "sport", "=", "80", host=name).stdout, bool, WAIT)
        return process

    def _write(self, text: str) -> None:
        times = "\n    ".join(f"{name} {seconds * self._factor:.2f}" for name, seconds in TIMES.items())
        self._file.write_text(text.replace("TIMES", times))

    def _events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._events_file.read_text().splitlines()]

    def _after(self, began: float, kind: str, server: str) -> dict[str, Any]:
        """The first event of this kind about a server since then; empty if none comes."""

        def found() -> dict[str, Any]:
            about = (event for event in self._events() if event["kind"] == kind and event["time"] >= began)
            return next((event for event in about if event.get("server", "").startswith(server)), {})

        return poll_until(found, bool, WAIT)

    def _names(self, count: int) -> str:
        """Who answers that many requests; the exit code of curl where nobody does."""
        answers = [curl(f"http://{VIP}/") for _ in range(count)]
        return " ".join(sorted({answer[3] if len(answer) > 3 else answer[0] for answer in answers}))

    def _rules(self) -> str:
        return tool("ipvsadm", "-Sn")

    def _until(self, probe: Callable[[], str], wanted: str) -> str:
        return poll_until(probe, lambda results: results == wanted, WAIT)

    # ---- what is tried ----

    def start(self) -> Any:
        tool("ipvsadm", *["-A", "-t", "203.0.113.9:25", "-s", "rr"])  # not the monitor's
        self._before = self._rules()
        program = (str(MONITOR), str(self._file), "--socket", SOCKET, "--events", str(self._events_file))
        self._monitor = start("d", *program, log=self._folder / "monitor.log")
        poll_until(lambda: self._rules().count("\n"), lambda lines: lines >= 4, WAIT)
        return {"rules": self._rules(), "names": self._names(4)}

    def failure(self, fail: Callable[[], object], heal: Callable[[], object]) -> Any:
        """Server t fails and recovers."""
        results: dict[str, Any] = {}
        began = time.time()
        fail()
        down = self._after(began, "server_down", ADDRESSES["t"])
        without = self._until(self._rules_of_servers, "s")
        results["down"] = {"rules": without, "why": down.get("why", "nothing was noticed")}
        results["names without it"] = self._names(6)
        began = time.time()
        heal()
        up = self._after(began, "server_up", ADDRESSES["t"])
        rules = self._until(self._rules_of_servers, "s t")
        results["up"] = {"event": bool(up), "rules": rules}
        results["names with it"] = self._names(4)
        return results

    def _rules_of_servers(self) -> str:
        """The names of the servers that can get a connection."""
        lines = [line.split() for line in self._rules().splitlines() if line.startswith("-a ")]
        names = {f"{address}:80": name for name, address in ADDRESSES.items()}
        return " ".join(sorted(names[line[4]] for line in lines if line[-1] != "0"))

    def every_failure(self) -> Any:
        slow = f"slow {2 * self._factor * TIMES['connect_timeout']}"
        return {
            "killed": self.failure(lambda: self._kill("t"), lambda: self._start_again("t")),
            "frozen": self.failure(
                lambda: self._servers["t"].send_signal(signal.SIGSTOP),
                lambda: self._servers["t"].send_signal(signal.SIGCONT),
            ),
            "cable": self.failure(lambda: self._cable("down"), lambda: self._cable("up")),
            "500": self.failure(lambda: Path("/run/t").write_text("500"), lambda: Path("/run/t").unlink()),
            "slow": self.failure(lambda: Path("/run/t").write_text(slow), lambda: Path("/run/t").unlink()),
        }

    def _kill(self, name: str) -> None:
        self._servers[name].kill()
        self._servers[name].wait()

    def _start_again(self, name: str) -> None:
        self._servers[name] = self._serve(name)

    def _cable(self, state: str) -> None:
        sh("ip", "link", "set", "t-eth0", state, host="t")

    def sorry(self) -> Any:
        """Both servers die: the sorry server stands in; one comes back, and it goes."""
        results: dict[str, Any] = {}
        for name in "st":
            Path(f"/run/{name}").write_text("500")
        results["rules"] = self._until(self._rules_of_servers, "d")
        results["names"] = self._names(3)
        Path("/run/s").unlink()
        results["again"] = self._until(self._rules_of_servers, "s")
        Path("/run/t").unlink()
        results["both"] = self._until(self._rules_of_servers, "s t")
        results["quorum"] = Path("/run/quorum").read_text().split()
        return results

    def reload(self) -> Any:
        """A broken file changes nothing; another one changes what differs, and keeps what is known."""
        results: dict[str, Any] = {}
        Path("/run/t").write_text("500")
        self._until(self._rules_of_servers, "s")
        before = self._rules()
        self._write("virtual_server {")
        self._hang_up("Nothing has changed.")
        results["broken"] = self._rules() == before
        self._write(
            FILE.replace("retry 1", "retry 1\n    inhibit_on_failure").replace("weight 1", "weight 5")
        )
        self._hang_up("Loaded again:")
        results["rules"] = self._rules()
        Path("/run/t").unlink()
        results["both"] = self._until(self._rules_of_servers, "s t")
        return results

    def _hang_up(self, wanted: str) -> None:
        log = self._folder / "monitor.log"
        before = len(log.read_text())
        self._monitor.send_signal(signal.SIGHUP)
        poll_until(lambda: wanted in log.read_text()[before:], bool, WAIT)

    def director_killed(self) -> Any:
        """A director that is started again gets its rules from the monitor."""
        self._director.kill()
        self._director.wait()
        self._director = start_director("dr", self._folder, "--engine", self._engine)
        rules = self._until(self._rules_of_servers, "s t")
        return {"rules": rules, "names": self._until(lambda: self._names(2), "s t")}

    def stop(self) -> Any:
        tool("ipvsadm", *["-A", "-t", "203.0.113.9:25", "-s", "rr"])
        self._monitor.terminate()
        code = self._monitor.wait(WAIT * self._factor)
        return {"code": code, "as before": self._rules() == self._before, "said": self._said()}

    def _said(self) -> str:
        return (self._folder / "monitor.log").read_text()


def main(engine: str, folder: Path) -> None:
    trial = Trial(engine, folder)
    results = {
        name: getattr(trial, name)()
        for name in ("start", "every_failure", "sorry", "reload", "director_killed", "stop")
    }
    results["notified"] = Path("/run/notified").read_text().split()
    (folder / "results.json").write_text(json.dumps(results))


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(*sys.argv[2:])
    else:
        main(sys.argv[1], Path(sys.argv[2]))
