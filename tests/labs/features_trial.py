"""The part of test_director_features.py that runs in namespaces of its own (director_net.py).

There are two real servers: s, and the director itself (d), the local node.
Started as `python features_trial.py METHOD FOLDER` inside `unshare`; writes FOLDER/seen.json.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

from director_net import BIN, CIP, DIP, SERVERS, VIP, build, curl, serve, sh, start_director, tool
from trial_server import CONTENT

CLIENT = str(Path(__file__).with_name("trial_client.py"))
HOW = {"nat": "-m", "tun": "-i", "dr": "-g"}
PACED = 4500


def client(*arguments: object) -> Any:
    command = (sys.executable, CLIENT, *map(str, arguments))
    return json.loads(sh(*command, host="c", timeout=60).stdout or "null")


def ipvsadm(line: str) -> str:
    return tool("ipvsadm", *line.split())


def names(count: int, port: int = 80) -> list[str]:
    """Who serves that many requests; a code of curl where nobody does."""
    answers = [curl(f"http://{VIP}:{port}/") for _ in range(count)]
    return [answer[3] if len(answer) > 3 else answer[0] for answer in answers]


class Held:
    """A connection that stays open; `ask` says which server answers on it."""

    def __init__(self) -> None:
        command = ("ip", "netns", "exec", "c", sys.executable, CLIENT, "hold", VIP, "80")
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)

    def ask(self, meanwhile: Callable[[], object] = lambda: None) -> str:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write("again\n")
        self._process.stdin.flush()
        meanwhile()
        return str(json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        self._process.communicate()


@contextmanager
def held() -> Any:
    connection = Held()
    try:
        yield connection
    finally:
        connection.close()


class Trial:
    """Each method is one feature, and returns what was seen of it; they begin without rules."""

    def __init__(self, method: str) -> None:
        self.method = method
        self.how = HOW[method]
        self.s = f"{SERVERS[method][0]}"
        self.d = DIP

    def rules(self, service: str, *options: str, port: str = ":80") -> None:
        """A service with both servers, s first."""
        ipvsadm(f"-A {service} -s rr {' '.join(options)}")
        for server in (self.s, self.d):
            ipvsadm(f"-a {service} -r {server}{port} {self.how}")

    def local_node(self) -> Any:
        self.rules(f"-t {VIP}:80")
        seen = names(4)
        return {"names": seen, "whole": Path("/run/got").read_bytes() == CONTENT, "list": ipvsadm("-Ln")}

    def explained(self) -> Any:
        self.rules(f"-t {VIP}:80")
        before = ipvsadm("-Ln --stats")
        new = json.loads(tool("lvs-explain", "--json", f"{CIP}:4000", f"{VIP}:80"))
        local = json.loads(tool("lvs-explain", "--json", f"{CIP}:4000", f"{VIP}:4711"))
        unchanged = ipvsadm("-Ln --stats") == before
        curl("--local-port", "4321", f"http://{VIP}/")
        curl("--local-port", "4322", f"http://{VIP}/")
        tables = [
            json.loads(tool("lvs-explain", "--json", "--table", f"{CIP}:{port}")) for port in (4321, 4322)
        ]
        rows = [table["connections"][0]["rows"] for table in tables]
        words = tool("lvs-explain", "--flags", "A", f"{CIP}:4321", f"{VIP}:80")
        return {"new": new, "local": local, "unchanged": unchanged, "rows": rows, "words": words}

    def drained(self) -> Any:
        """Weight 0 keeps what there is; a deleted server's connections wait for it."""
        self.rules(f"-t {VIP}:80")
        service, server = f"-t {VIP}:80", f"-r {self.s}:80 {self.how}"
        with held() as connection:
            seen: dict[str, Any] = {"first": connection.ask()}
            ipvsadm(f"-e {service} {server} -w 0")
            seen["quiet"] = {"new": names(3), "old": connection.ask()}
            ipvsadm(f"-d {service} -r {self.s}:80")
            seen["deleted"] = names(2)
            seen["back"] = connection.ask(meanwhile=lambda: ipvsadm(f"-a {service} {server}"))
        return seen

    def refused(self) -> Any:
        ipvsadm(f"-A -t {VIP}:80")
        seen: dict[str, Any] = {"no server": names(1)}
        ipvsadm(f"-a -t {VIP}:80 -r {self.s}:80 {self.how} -x 1")
        with held() as connection:
            seen["held"] = connection.ask()
            seen["overloaded"] = names(1)
            seen["thresholds"] = ipvsadm("-Ln --thresholds")
        seen["no rule"] = names(1, port=4711)
        return seen

    def persistent(self) -> Any:
        self.rules(f"-t {VIP}:80", "-p", "60")
        return {"names": names(4), "connections": ipvsadm("-Lcn")}

    def marked(self) -> Any:
        """Two ports are one service."""
        tool("fwmark", *f"-A -p tcp -d {VIP} --dport 80:81 --set-mark 7".split())
        self.rules("-f 7", "-p", "60", port="")
        seen = {"names": names(2) + names(2, port=81), "list": ipvsadm("-Ln"), "marks": tool("fwmark", "-L")}
        tool("fwmark", "-F")
        return seen

    def datagrams(self) -> Any:
        self.rules(f"-u {VIP}:80")
        return {"fragmented": client("udp", VIP, 80, 4000, 2), "list": ipvsadm("-Lcn")}

    def one_packet(self) -> Any:
        self.rules(f"-u {VIP}:80", "-o")
        answers = client("udp", VIP, 80, 10, 4)
        return {"answers": answers, "stats": ipvsadm("-Ln --stats"), "list": ipvsadm("-Lcn")}

    def paced(self) -> Any:
        ipvsadm(f"-A -u {VIP}:81 -s rr")
        ipvsadm(f"-a -u {VIP}:81 -r {self.s}:81 {self.how}")
        seconds = client("pace", VIP, 81, 1500, PACED)
        return {"seconds": seconds, "answer": client("udp", VIP, 81, 10, 1), "sent": PACED}

    def icmp(self) -> Any:
        ipvsadm(f"-A -u {VIP}:99 -s rr")
        ipvsadm(f"-a -u {VIP}:99 -r {self.s}:99 {self.how}")
        self.rules(f"-t {VIP}:80")
        return {"refused": client("refused", VIP, 99), "ttl": client("ttl", VIP, 80)}

    def saved(self) -> Any:
        self.rules(f"-t {VIP}:80", "-p", "60", "-M", "255.255.255.0")
        self.rules(f"-u {VIP}:80", "-o")
        self.rules("-f 3", port="")
        before = ipvsadm("-Sn")
        ipvsadm("-C")
        empty = ipvsadm("-Sn")
        sh(str(BIN / "ipvsadm"), "-R", host="d", input=before)
        bad = sh(str(BIN / "ipvsadm"), "-R", host="d", input=f"-A -t {VIP}:9\n-D -t {VIP}:10\n", check=False)
        return {"before": before, "empty": empty, "after": ipvsadm("-Sn"), "bad": bad.returncode}

    def two_administrators(self) -> Any:
        def work(first: int) -> None:
            for port in range(first, first + 20):
                ipvsadm(f"-A -t {VIP}:{port}")

        workers = [Thread(target=work, args=(first,)) for first in (1000, 2000)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return ipvsadm("-Sn").count("-A ")


FEATURES = [name for name in vars(Trial) if not name.startswith("_") and name != "rules"]


def main(method: str, folder: Path) -> None:
    build(method)
    trial = Trial(method)
    at = SERVERS[method][0] if method == "nat" else VIP
    serve("s", f"{at}:80", f"{at}:81", log=folder / "server.log")
    serve("d", f"{VIP}:80", f"{VIP}:81", log=folder / "server.log")
    process = start_director(method, folder)
    seen = {}
    for feature in FEATURES:
        ipvsadm("-C")
        seen[feature] = getattr(trial, feature)()
    seen["alive"] = process.poll() is None
    (folder / "seen.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    arguments: Sequence[str] = sys.argv[1:]
    main(arguments[0], Path(arguments[1]))
