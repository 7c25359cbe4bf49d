"""The part of test_director_features.py that runs in its own namespaces (director_net.py).

There are two real servers: s, and the director itself (d), the local node. The engine is `scapy`,
our director, or `kernel`: IPVS itself, with the real ipvsadm.
Started as `python features_trial.py METHOD ENGINE FOLDER` inside `unshare`; writes FOLDER/results.json.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from threading import Thread
from typing import Any

from director import ipvsadm
from labs.methods import FLAGS
from labs.wait import poll_until
from tests.labs.director_net import BIN, CIP, DIP, SERVERS, VIP, build, curl, serve, sh, start_director, tool
from tests.labs.held import CLIENT, held
from tests.labs.trial_server import CONTENT

PACED = 1500
ADDED = 10  # services by each of two administrators


def client(*arguments: object) -> Any:
    command = (sys.executable, "-S", str(CLIENT), *map(str, arguments))
    return json.loads(sh(*command, host="c", seconds=60).stdout or "null")


REAL = "/usr/sbin/ipvsadm"
MARKS = """\
table ip trial {
    chain before {
        type filter hook prerouting priority mangle
        RULE
    }
}
"""
ROUTER = ("net.ipv4.ip_forward=1", "net.ipv4.conf.all.send_redirects=0", "net.ipv4.conf.all.rp_filter=0")


def names(count: int, port: int = 80) -> list[str]:
    """The servers of that many requests; a code of curl if there is none."""
    answers = [
        curl("--data", "", f"http://{VIP}:{port}/") for _ in range(count)
    ]  # without the usual megabyte
    return [answer[3] if len(answer) > 3 else answer[0] for answer in answers]


class Trial:
    """Each method tries one feature and returns what it observed; it starts without rules."""

    def __init__(self, method: str, engine: str) -> None:
        self._kernel = engine == "kernel"
        self._how = FLAGS[method]
        self._s = SERVERS[method][0]

    def _ipvsadm(self, line: str) -> str:
        """The same in this process, where the typing is not what is tried: a start of Python takes longer."""
        if self._kernel:
            return self._type(line)
        with redirect_stdout(StringIO()) as printed, redirect_stderr(printed):
            ipvsadm.main(line.split())
        return printed.getvalue()

    def _type(self, line: str, text: str | None = None) -> str:
        program = REAL if self._kernel else str(BIN / "ipvsadm")
        done = sh(program, *line.split(), host="d", check=False, text=text)
        return f"{done.stdout}{done.stderr}"

    def _mark(self) -> str:
        """Ports 80 and 81 of the VIP carry the mark 7."""
        if self._kernel:
            rule = f"ip daddr {VIP} tcp dport 80-81 meta mark set 7"
            return sh("nft", "-f", "-", host="d", text=MARKS.replace("RULE", rule)).stdout
        tool("fwmark", *f"-A -p tcp -d {VIP} --dport 80:81 --set-mark 7".split())
        return tool("fwmark", "-L")

    def _unmark(self) -> None:
        if self._kernel:
            sh("nft", "delete", "table", "ip", "trial", host="d")
        else:
            tool("fwmark", "-F")

    def _rules(self, service: str, *options: str, port: str = ":80") -> None:
        """A service with both servers; s is added last, and so has the first turn."""
        self._ipvsadm(f"-A {service} -s rr {' '.join(options)}")
        for server in (DIP, self._s):
            self._ipvsadm(f"-a {service} -r {server}{port} {self._how}")

    def local_node(self) -> Any:
        self._rules(f"-t {VIP}:80")
        results: dict[str, Any] = {"names": names(4), "whole": []}
        for _ in range(2):
            _, _, _, name = curl(f"http://{VIP}/")
            results["whole"].append([name, Path("/run/got").read_bytes() == CONTENT])
        results["list"] = self._ipvsadm("-Ln")
        return results

    def local_port(self) -> Any:
        """The local node at a port that is not the service's."""
        self._ipvsadm(f"-A -t {VIP}:83 -s rr")
        refused = self._ipvsadm(f"-a -t {VIP}:83 -r 127.0.0.1:8083 -m")
        self._ipvsadm(f"-d -t {VIP}:83 -r 127.0.0.1:8083")  # the kernel accepts it, and drops its packets
        self._ipvsadm(f"-a -t {VIP}:83 -r {DIP}:8083 -m -w 3")
        before = self._ipvsadm("-Sn")
        results = names(2, 83)
        self._ipvsadm("-C")
        self._type("-R", before)
        return {
            "names": results,
            "again": names(1, 83),
            "saved": before,
            "refused": refused,
            "tables": sh("nft", "list", "tables", host="d").stdout,
            "counted": self._ipvsadm("-Ln --stats"),
        }

    def explained(self) -> Any:
        if self._kernel:
            return None
        self._rules(f"-t {VIP}:84")  # late packets of earlier connections, to port 80, would count
        before = self._ipvsadm("-Ln --stats")
        new = json.loads(tool("lvs-explain", "--json", f"{CIP}:4000", f"{VIP}:84"))
        local = json.loads(tool("lvs-explain", "--json", f"{CIP}:4000", f"{VIP}:4711"))
        unchanged = self._ipvsadm("-Ln --stats") == before
        self._rules(f"-t {VIP}:80")
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
        self._rules(f"-t {VIP}:80")
        service, server = f"-t {VIP}:80", f"-r {self._s}:80 {self._how}"
        with held() as connection:
            results: dict[str, Any] = {"first": connection.ask()}
            self._ipvsadm(f"-e {service} {server} -w 0")
            results["quiet"] = {"new": names(3), "old": connection.ask()}
            self._ipvsadm(f"-d {service} -r {self._s}:80")
            results["deleted"] = names(2)
            results["back"] = connection.ask(meanwhile=lambda: self._ipvsadm(f"-a {service} {server}"))
        return results

    def refused(self) -> Any:
        self._ipvsadm(f"-A -t {VIP}:81")
        results: dict[str, Any] = {"no server": names(1, port=81)}
        self._ipvsadm(f"-a -t {VIP}:81 -r {self._s}:81 {self._how} -x 1")
        with held(port=81) as connection:
            results["held"] = connection.ask()
            results["overloaded"] = names(1, port=81)
            results["thresholds"] = self._ipvsadm("-Ln --thresholds")
        results["no rule"] = names(1, port=4711)
        return results

    def persistent(self) -> Any:
        self._rules(f"-t {VIP}:80", "-p", "60")
        return {"names": names(4), "connections": self._ipvsadm("-Lcn")}

    def marked(self) -> Any:
        """Two ports are one service."""
        marks = self._mark()
        self._rules("-f 7", "-p", "60", port="")
        results = {"names": names(2) + names(2, port=81), "list": self._ipvsadm("-Ln"), "marks": marks}
        self._unmark()
        return results

    def datagrams(self) -> Any:
        self._rules(f"-u {VIP}:80")
        return {"fragmented": client("udp", VIP, 80, 4000, 2), "list": self._ipvsadm("-Lcn")}

    def one_packet(self) -> Any:
        self._rules(f"-u {VIP}:80", "-o")
        answers = client("udp", VIP, 80, 10, 4)
        stats = poll_until(  # the kernel's are up to two seconds late
            lambda: self._ipvsadm("-Ln --stats"), lambda text: " 4 " in text, 5
        )
        return {"answers": answers, "stats": stats, "list": self._ipvsadm("-Lcn")}

    def paced(self) -> Any:
        self._ipvsadm(f"-A -u {VIP}:81 -s rr")
        self._ipvsadm(f"-a -u {VIP}:81 -r {self._s}:81 {self._how}")
        return {"answer": client("pace", VIP, 81, 1500, PACED), "sent": PACED}

    def icmp(self) -> Any:
        self._ipvsadm(f"-A -u {VIP}:99 -s rr")
        self._ipvsadm(f"-a -u {VIP}:99 -r {self._s}:99 {self._how}")
        self._rules(f"-t {VIP}:80")
        refused = client("refused", VIP, 99)
        counted = self._ipvsadm(f"-Ln --stats -u {VIP}:99")
        return {"refused": refused, "counted": counted, "ttl": client("ttl", VIP, 80)}

    def saved(self) -> Any:
        self._rules(f"-t {VIP}:80", "-p", "60", "-M", "255.255.255.0")
        self._rules(f"-u {VIP}:80", "-o")
        self._rules("-f 3", port="")
        before = self._type("-Sn")
        self._type("-C")
        empty = self._type("-Sn")
        self._type("-R", before)
        after = self._type("-Sn")
        bad = self._type("-R", f"-A -t {VIP}:9\n-D -t {VIP}:10\n")
        refused = self._type("-Sn")
        return {"before": before, "empty": empty, "after": after, "bad": bad, "refused": refused}

    def two_administrators(self) -> Any:
        def work(first: int) -> None:
            for port in range(first, first + ADDED):
                self._type(f"-A -t {VIP}:{port}")

        workers = [Thread(target=work, args=(first,)) for first in (1000, 2000)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return self._type("-Sn").count("-A ")


FEATURES = [name for name in vars(Trial) if not name.startswith("_")]


def main(method: str, engine: str, folder: Path) -> None:
    build(method)
    trial = Trial(method, engine)
    at = SERVERS[method][0] if method == "nat" else VIP
    serve("s", f"{at}:80", f"{at}:81", log=folder / "server.log")
    own = [f"{VIP}:80", f"{VIP}:81"]
    if engine == "kernel":  # which also rewrites packets to itself in VS-NAT
        own += [f"{DIP}:80", f"{DIP}:81"]
        sh("sysctl", "-qw", *ROUTER, host="d")
    else:
        process = start_director(method, folder, "--engine", engine)
    serve("d", *own, f"{DIP}:8083", log=folder / "server.log")
    results = {}
    for feature in FEATURES:
        trial._ipvsadm("-C")
        results[feature] = getattr(trial, feature)()
    results["alive"] = engine == "kernel" or process.poll() is None
    (folder / "results.json").write_text(json.dumps(results))


if __name__ == "__main__":
    arguments: Sequence[str] = sys.argv[1:]
    main(arguments[0], arguments[1], Path(arguments[2]))
