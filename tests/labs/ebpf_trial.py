"""The part of test_ebpf.py that runs in namespaces of its own (director_net.py).

Started as `python ebpf_trial.py METHOD FOLDER` inside `unshare`; writes FOLDER/results.json.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from socket import inet_aton
from typing import Any

from director.control.channel import call
from labs.methods import FLAGS
from labs.wait import patient, poll_until
from tests.labs.director_net import (
    CIP,
    SERVERS,
    SOCKET,
    VIP,
    build,
    make_anew,
    serve,
    sh,
    start,
    start_director,
    tool,
)
from tests.labs.held import CLIENT, held

LIMIT, FLOOD, FILE = 64, 500, 100_000
ipvsadm = partial(tool, "ipvsadm")


class Trial:
    """Every public method tries one behaviour; each starts with one service."""

    def __init__(self, method: str, folder: Path) -> None:
        self._method, self._folder = method, folder
        server = ":".join(map(str, SERVERS[method]))
        self._rules = (f"-A -t {VIP}:80 -s wrr", f"-a -t {VIP}:80 -r {server} {FLAGS[method]} -w 3 -x 900")
        self._start()

    def _start(self, *options: str) -> None:
        self._director = start_director(self._method, self._folder, "--engine", "ebpf", *options)
        for line in self._rules:
            ipvsadm(*line.split())

    def _end(self) -> int:
        self._director.send_signal(signal.SIGTERM)
        return self._director.wait(patient(20))

    @staticmethod
    def _engine() -> dict[str, int]:
        return dict(call(SOCKET, {"do": "counters"})["engine"])

    def forwarded_in_the_kernel(self) -> Any:
        with held() as connection:
            names = [connection.ask() for _ in range(5)]
        counted = self._engine()
        return {
            "names": names,
            "by_the_program": counted["forwarded_in_kernel"],
            "by_the_core": counted["in"],
        }

    def killed(self) -> Any:
        """Connections continue, new ones begin; the next director has the rules and both connections."""
        with held() as before:
            results: dict[str, Any] = {"before": before.ask()}
            ipvsadm("-Z")
            packets = self._packets()
            self._kill()
            results["meanwhile"] = before.ask()
            with held() as another:
                results["new"] = another.ask()
                self._start_next()
                results["after"] = [before.ask(), another.ask()]
                results["rules"] = ipvsadm("-Sn").splitlines()
                results["connections"] = ipvsadm("-Lcn").count("ESTABLISHED")
                active = call(SOCKET, {"do": "list"})["services"][0]["servers"][0]["active"]
                results["active"], results["upper"] = active, "-x 900" in results["rules"][-1]
                results["more_packets"] = self._packets() - packets
                results["since_zero"] = call(SOCKET, {"do": "list"})["services"][0]["connections"]
        results["wanted"] = list(self._rules)
        return results

    def _kill(self) -> None:
        self._director.send_signal(signal.SIGKILL)
        self._director.wait()

    def _start_next(self) -> None:
        self._director = start_director(self._method, self._folder, "--engine", "ebpf")

    def persistent(self) -> Any:
        """The core chooses once for a client; then the program follows the template, core or no core."""
        service = ("-E", "-t", f"{VIP}:80", "-s", "wrr")
        ipvsadm(*service, "-p", "300")
        results: dict[str, Any] = {}
        with held() as first:
            results["names"] = [first.ask()]
            by_the_core = self._engine()["in"]
            with held() as second:
                results["names"].append(second.ask())
                results["more_by_the_core"] = self._engine()["in"] - by_the_core
                self._kill()
                with held() as third:
                    results["names"].append(third.ask())
                    self._start_next()
                    server = call(SOCKET, {"do": "list"})["services"][0]["servers"][0]
                    results["active"] = server["active"]
                    results["persistent"] = server["persistent_connections"]
                    lines = ipvsadm("-Lcn").splitlines()
                    results["templates"] = [line.split()[2:4] for line in lines if f"{CIP}:0 " in line]
        ipvsadm(*service)
        return results

    def ftp(self) -> Any:
        """A client that is logged in gets its answer as soon as there is a director again."""
        server, what = SERVERS[self._method][0], "fetch" if self._method == "nat" else "again"
        ipvsadm(*f"-A -t {VIP}:21 -s rr".split())
        ipvsadm(*f"-a -t {VIP}:21 -r {server}:21 {FLAGS[self._method]}".split())
        with held("ftp", 21) as client:
            results: dict[str, Any] = {"before": [client.ask(what), client.ask(what)]}
            counted = self._packets(21)
            self._kill()
            results["after"] = [client.ask(what, self._start_next), client.ask(what)]
            results["counted_on"] = self._packets(21) > counted
        ipvsadm("-D", "-t", f"{VIP}:21")
        return results

    @staticmethod
    def _packets(port: int = 80) -> int:
        services = call(SOCKET, {"do": "list"})["services"]
        return int(next(service["packets_in"] for service in services if service["port"] == port))

    def second(self) -> Any:
        log = self._folder / "second.log"
        command = (sys.executable, "-m", "director", "--engine", "ebpf", "--socket", "/run/other.sock")
        code = start("d", *command, log=log).wait(patient(30))
        with held() as connection:
            return {"code": code, "says": log.read_text(), "first": connection.ask()}

    def unknown_neighbour(self) -> Any:
        """With an empty neighbour table the first packet waits for the ARP reply, and is not lost."""
        sh("ip", "neigh", "flush", "all", host="d")
        before = self._counter("TcpRetransSegs")
        with held() as connection:
            name = connection.ask()
        return {"name": name, "sent_again": self._counter("TcpRetransSegs") - before}

    @staticmethod
    def _counter(name: str) -> int:
        output = sh("env", "NSTAT_HISTORY=/run/nstat-c", "nstat", "-az", name, host="c").stdout.split()
        return int(output[output.index(name) + 1])

    def moved_neighbour(self) -> Any:
        """The server changes its MAC address during a connection."""
        with held() as connection:
            before = connection.ask()
            sh("ip", "link", "set", "s-eth0", "address", "02:00:00:00:00:77", host="s")
            self._announce(SERVERS[self._method][0], bytes.fromhex("020000000077"))
            return {"before": before, "after": connection.ask()}

    @staticmethod
    def _announce(address: str, mac: bytes) -> None:
        """Send the ARP announcement of a new MAC address (RFC 5227, 3) until the director's kernel has it.

        The kernel ignores another one within a second (neigh.locktime).
        """
        owner = mac + inet_aton(address)
        frame = b"\xff" * 6 + mac + bytes.fromhex("0806000108000604" + "0002") + owner + owner
        program = (
            "import socket; s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); s.bind(('s-eth0', 0)); "
            f"s.send({frame!r})"
        )

        def heard() -> bool:
            sh(sys.executable, "-c", program, host="s")
            return mac.hex(":") in sh("ip", "neigh", "show", address, host="d").stdout

        poll_until(heard, bool, 10)

    def flood(self) -> Any:
        """More half-open connections than fit: an established one stays, new ones begin."""
        self._end()
        self._start("--conn-limit", str(LIMIT))
        with held() as connection:
            before = connection.ask()
            sh(sys.executable, str(CLIENT), "syns", VIP, "80", str(FLOOD), host="c")
            count = len(ipvsadm("-Lcn").splitlines()) - 2
            with held() as another:
                return {"before": before, "after": connection.ask(), "new": another.ask(), "entries": count}

    def interface_replaced(self) -> Any:
        """All interfaces are deleted, and made anew with the same names and addresses."""
        make_anew("d")
        with held() as connection:
            name = connection.ask()
        return {"name": name, "alive": self._director.poll() is None}

    def other_filter(self) -> Any:
        """Another program has a filter in the usual slot: it stays, and sees what the director passes on."""
        self._end()
        place = ("dev", "d-eth0", "ingress")
        theirs = ("prio", "1", "handle", "1", "bpf", "bytecode", "1,6 0 0 0", "flowid", "1:1")
        sh("tc", "qdisc", "add", "dev", "d-eth0", "clsact", host="d", check=False)
        sh("tc", "filter", "add", *place, *theirs, host="d")
        before = sh("tc", "filter", "show", *place, host="d").stdout
        self._start()
        with held() as connection:
            names = [connection.ask()]
            self._kill()
            self._start_next()
            names.append(connection.ask())
        results = {"names": names, "exit": self._end()}
        results["stays"] = sh("tc", "filter", "show", *place, host="d").stdout == before != ""
        sh("tc", "filter", "del", *place, "prio", "1", "handle", "1", "bpf", host="d")
        return results

    def interface_gone(self) -> Any:
        """An interface is deleted: the director continues, and answers. The one before has ended."""
        sh("ip", "link", "add", "gone", "type", "veth", "peer", "name", "gone-too", host="d")
        sh("ip", "addr", "add", "198.51.100.1/24", "dev", "gone", host="d")
        sh("ip", "link", "set", "gone", "up", host="d")
        self._start()
        sh("ip", "link", "del", "gone", host="d")
        with held() as connection:
            name = connection.ask()
        return {"name": name, "alive": self._director.poll() is None, "exit": self._end()}

    def nothing_left(self) -> Any:
        """After an orderly end nothing is left on the director's host."""
        filters = sh("tc", "filter", "show", "dev", "d-eth0", "ingress", host="d").stdout
        links = sh("ip", "-o", "link", host="d").stdout
        return {"filters": filters, "devices": [name for name in ("lvs0", "lvs-upcall") if name in links]}


def serve_ftp(folder: Path) -> None:
    root = folder / "ftp"
    root.mkdir()
    (root / "file").write_bytes(bytes(FILE))
    start("s", sys.executable, "-m", "realserver_setup.ftpd", "--root", str(root), log=folder / "ftpd.log")
    poll_until(lambda: sh("ss", "-Hltn", "sport = :21", host="s").stdout, bool, 10)


def main(arguments: Sequence[str]) -> None:
    method, folder = arguments[0], Path(arguments[1])
    build(method)
    address, port = SERVERS[method]
    serve("s", f"{address if method == 'nat' else VIP}:{port}", log=folder / "server.log")
    serve_ftp(folder)
    trial = Trial(method, folder)
    names = [name for name in vars(Trial) if not name.startswith("_")]
    results = {}
    for name in names:
        look: Callable[[], Any] = getattr(trial, name)
        results[name] = look()
    (folder / "results.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main(sys.argv[1:])
