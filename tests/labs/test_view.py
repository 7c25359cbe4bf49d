"""A lab that is watched while it runs: one lab with --view, from outside its sandbox, and its replay.

What the page gets is held against the run's evidence: the packet table of the report, the captures on disk,
what the commands printed.
"""

from __future__ import annotations

import http.client
import json
import os
import queue
import re
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

pytest.importorskip("starlette", reason="Starlette is missing: run sudo ./inv --list, which installs it")
pytest.importorskip("uvicorn", reason="uvicorn is missing: run sudo ./inv --list, which installs it")

from labs.run.packet_table import records
from labs.wait import patient, poll_until
from tests.labs.browser import ROOT
from tests.labs.conftest import _with_faults
from view import run
from view.story import Story

Item = dict[str, Any]
_ADDRESS = re.compile(r"Live view: (http://\S+/)\n")
_READY = "The lab stays: Ctrl-C ends it."


@dataclass
class Watched:
    """A lab with a page that is open: `items` are those that have come."""

    process: subprocess.Popen[str]
    host: str
    port: int
    path: str
    items: list[Item] = field(default_factory=list)
    answers: dict[str, Any] = field(default_factory=dict)
    folder: Path = Path()
    code: int | None = None

    def ask(self, what: str, body: Any = None, **headers: str) -> tuple[int, str]:
        asked = http.client.HTTPConnection(self.host, self.port, timeout=patient(60))
        kind = {"Content-Type": "application/json"} if body is not None else {}
        method = "GET" if body is None else "POST"
        asked.request(method, what, None if body is None else json.dumps(body), {**kind, **headers})
        answer = asked.getresponse()
        return answer.status, answer.read().decode()

    def act(self, name: str, **arguments: str) -> dict[str, Any]:
        status, text = self.ask(f"{self.path}act", {"action": name, "arguments": arguments})
        assert status == 200, text
        answer: dict[str, Any] = json.loads(text)
        return answer

    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.ask(f"{self.path}run")[1])
        return found

    def stream(self) -> None:
        """Collect what comes, in a thread, until the lab ends."""
        asked = http.client.HTTPConnection(self.host, self.port, timeout=patient(300))
        asked.request("GET", f"{self.path}items")
        answer = asked.getresponse()
        try:
            while line := answer.readline():
                if line.startswith(b"data: "):
                    self.items += [item for item in json.loads(line[6:]) if item["kind"] != "behind"]
        except (OSError, http.client.HTTPException):
            pass

    def wait(self, what: Callable[[Item], bool], since: int = 0) -> Item:
        """The first item after the number `since` for which `what` is true; it fails if none comes."""
        found = poll_until(lambda: next(filter(what, self.items[since:]), None), bool, 60)
        assert found is not None
        return found


@pytest.fixture(scope="module")
def watched(start: Callable[..., subprocess.Popen[str]], runs: Path) -> Watched:
    """A lab that was tried in every way, and has ended by Ctrl-C."""
    process = start("lab-nat", "--servers", "2", "--view", code=_with_faults({}, "packet_table"))
    lines: queue.Queue[str] = queue.Queue()
    printed: list[str] = []

    def read() -> None:
        assert process.stdout
        for line in process.stdout:
            printed.append(line)
            lines.put(line)

    threading.Thread(target=read, daemon=True).start()
    try:
        address = poll_until(lambda: _ADDRESS.search("".join(printed)), bool, 60)
        assert address, "".join(printed)
        parts = urlsplit(address[1])
        assert parts.hostname
        assert parts.port
        viewer = Watched(process, parts.hostname, parts.port, parts.path)
        viewer.document()  # answered once the lab is built
        threading.Thread(target=viewer.stream, daemon=True).start()
        assert poll_until(lambda: _READY in "".join(printed), bool, 120), "".join(printed)
        viewer.folder = next(runs.glob(f"*/{run.SETTLED}")).parent
        _try(viewer)
        os.killpg(process.pid, signal.SIGINT)
        viewer.code = process.wait(patient(60))
    finally:
        process.kill()
    return viewer


def _try(viewer: Watched) -> None:
    answers = viewer.answers
    poll_until(lambda: viewer.document()["actions"][3]["name"], lambda name: name == "weight", 30)
    answers["document"] = viewer.document()
    answers["stranger"] = viewer.ask(f"{viewer.path}run", Host="evil.example")
    answers["wrong secret"] = viewer.ask("/wrong/run")
    answers["from a page"] = viewer.ask(f"{viewer.path}act", {"action": "list"}, Origin="http://evil.example")
    before = len(viewer.items)
    answers["request"] = viewer.act("request", client="c1")
    viewer.wait(lambda item: item["kind"] == "event" and item["event"] == "new", before)
    viewer.wait(lambda item: item["kind"] == "packet" and "F" in (item["l4"] or {}).get("flags", ""), before)
    before = len(viewer.items)
    rule = {"service": "-t 203.0.113.1:80", "server": "172.16.0.2:80"}
    answers["weight"] = viewer.act("weight", **rule, weight="7")
    answers["tables"] = viewer.wait(
        lambda item: item["kind"] == "tables" and "'weight': 7" in str(item), before
    )
    answers["quiesce"] = viewer.act("quiesce", **rule)
    answers["requests"] = viewer.act("requests", client="c2", count="3")
    answers["stop"] = viewer.act("stop", server="rs2")
    answers["refused"] = poll_until(  # nginx takes a moment to end
        lambda: viewer.act("request", client="c1"), lambda answer: answer["code"] != 0, 30
    )
    answers["start"] = viewer.act("start", server="rs2")
    answers["served"] = poll_until(
        lambda: viewer.act("request", client="c1"), lambda answer: answer["code"] == 0, 30
    )
    answers["cut"] = viewer.act("cut", port="s1-eth1")
    answers["cut off"] = viewer.act("request", client="c1")
    answers["mend"] = viewer.act("mend", port="s1-eth1")
    before = len(viewer.items)
    answers["doctor"] = viewer.act("doctor")
    if answers["doctor"]["code"]:
        answers["finding"] = viewer.wait(lambda item: item["kind"] == "finding", before)


def packets(items: list[Item], **wanted: Any) -> list[Item]:
    return [
        item
        for item in items
        if item["kind"] == "packet" and all(item[name] == value for name, value in wanted.items())
    ]


def test_the_document_is_the_lab_s(watched: Watched) -> None:
    document = watched.answers["document"]
    assert (document["lab"], document["live"], document["vips"]) == ("nat", True, ["203.0.113.1"])
    assert [host["name"] for host in document["hosts"]] == ["c1", "c2", "r0", "d", "rs1", "rs2"]
    ports = {host["name"]: host["ports"] for host in document["hosts"] if host["role"] == "realserver"}
    assert ports == {"rs1": [21, 80], "rs2": [21, 8000]}
    assert {link["a"]: (link["b"], link["port"]) for link in document["links"]}["d-eth1"] == ("s3", 1)
    assert document["incomplete"] is None


def test_strangers_are_refused(watched: Watched) -> None:
    answers = watched.answers
    assert answers["stranger"][0] == 403
    assert answers["wrong secret"][0] == 404
    assert answers["from a page"][0] == 403


def test_a_packet_s_walk_is_that_of_the_packet_table(watched: Watched) -> None:
    """The addresses of the request at each hop are the rows of report.json."""
    report = json.loads((watched.folder / "report.json").read_text())
    rows = {row["packet"]: (row["source"], row["dest"]) for row in report["packets"]}
    carrying = [
        packet
        for packet in packets(watched.items, direction="request")
        if (packet["l4"] or {}).get("data", "").startswith("GET /index.html")
    ]
    first = carrying[0]["walk"]
    hops = packets(watched.items, walk=first)
    assert [hop["interface"] for hop in hops][:5] == ["c1-eth0", "r0-eth0", "r0-eth1", "d-eth0", "d-eth1"]
    assert [hop["hop"] for hop in hops] == list(range(6))

    def ends(hop: Item) -> tuple[str, str]:
        ip, l4 = hop["ip"], hop["l4"]
        return f"{ip['src']}:{l4['sport']}", f"{ip['dst']}:{l4['dport']}"

    assert ends(hops[0]) == rows["request"]
    assert ends(hops[4]) == rows["inbound rewriting"]
    assert {"ip.dst"} <= set(hops[4]["changed"])


def test_every_hop_is_in_the_capture_of_its_interface(watched: Watched) -> None:
    """Each item's time is that of a record on disk: nothing is invented."""
    started = watched.answers["document"]["started"]
    times = {
        path.stem: {at for at, *_ in records(path.read_bytes())}
        for path in (watched.folder / "pcap").glob("*.pcap")
    }
    found = packets(watched.items)
    assert len(found) > 100
    assert all(round((started + packet["t"]) * 1e6) in times[packet["interface"]] for packet in found)


def test_items_come_once_and_in_order(watched: Watched) -> None:
    assert [item["id"] for item in watched.items] == list(range(1, len(watched.items) + 1))
    assert min(item["t"] for item in watched.items) >= 0


def test_commands_do_what_they_say(watched: Watched) -> None:
    answers = watched.answers
    assert answers["request"]["command"] == "c1 curl -sS --max-time 10 http://203.0.113.1/name"
    assert answers["request"]["output"] in ("rs1\n", "rs2\n")
    assert answers["weight"]["command"].startswith("d ipvsadm -e -t 203.0.113.1:80 -r 172.16.0.2:80 -m -w 7")
    assert answers["requests"]["output"] == "rs2\n" * 3  # rs1 is quiesced
    assert (answers["stop"]["code"], answers["refused"]["code"]) == (0, 7)
    assert answers["served"]["output"] == "rs2\n"
    assert (answers["cut"]["code"], answers["mend"]["code"]) == (0, 0)
    assert answers["cut off"]["code"] != 0


def test_the_doctor_s_findings_are_pinned_to_their_host(watched: Watched) -> None:
    """A quiesced server is none of its causes, so there may be nothing to find."""
    doctor = watched.answers["doctor"]
    assert doctor["command"] == "./inv doctor"
    if doctor["code"]:
        assert watched.answers["finding"]["host"] in doctor["output"]


def test_ctrl_c_ends_it_with_the_code_of_its_checks(watched: Watched) -> None:
    assert watched.code == 0


def test_a_replay_has_what_was_live(watched: Watched) -> None:
    document = run.document(watched.folder)
    assert document["started"] == watched.answers["document"]["started"]
    story = Story(watched.folder, document)
    items = [*story.more(), *story.end()]
    assert items[-1]["kind"] == "end"
    live = {(packet["t"], packet["interface"]) for packet in packets(watched.items)}
    assert live <= {(packet["t"], packet["interface"]) for packet in packets(items)}
    for kind in ("tables", "links", "neighbours"):
        polled = [item for item in items if item["kind"] == kind and item.get("source") != "events"]
        watched_items = [
            item for item in watched.items if item["kind"] == kind and item.get("source") != "events"
        ]
        assert [item["t"] for item in watched_items] == [item["t"] for item in polled][: len(watched_items)]
        assert watched_items


def test_the_command_shows_the_run_until_ctrl_c(
    watched: Watched, start: Callable[..., subprocess.Popen[str]]
) -> None:
    process = start("view", "--run", watched.folder.name)
    assert process.stdout
    try:
        address = _ADDRESS.search(process.stdout.readline())
        assert address
        parts = urlsplit(address[1])
        assert parts.hostname
        assert parts.port
        viewer = Watched(process, parts.hostname, parts.port, parts.path)
        document = viewer.document()
        assert (document["live"], document["actions"]) == (False, [])
        assert viewer.ask(f"{viewer.path}act", {"action": "list"})[0] == 404
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(patient(30)) == 0
        assert "Traceback" not in process.stdout.read()
    finally:
        process.kill()


def test_the_replay_ends_with_the_program_that_started_it(watched: Watched, tmp_path: Path) -> None:
    """Killed as by a window that is closed: no signal reaches the replay itself."""
    log = tmp_path / "log"
    log.touch()
    line = f'"{sys.executable}" tasks.py view "{watched.folder}" > "{log}" 2>&1 & echo $! && wait'
    shell = subprocess.Popen(
        ["sh", "-c", line], cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert shell.stdout
    replay = os.pidfd_open(int(shell.stdout.readline()))
    try:
        assert poll_until(lambda: "Ctrl-C ends it." in log.read_text(), bool, 60), log.read_text()
        assert not select.select([replay], [], [], 0)[0]
        shell.kill()
        assert select.select([replay], [], [], patient(30))[0]
    finally:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(replay, signal.SIGKILL)
        os.close(replay)
        shell.wait()


def test_who_has_the_vip_is_seen(watched: Watched) -> None:
    entries = {
        entry["ip"]: entry["owner"]
        for item in watched.items
        if item["kind"] == "neighbours" and item["host"] == "r0"
        for entry in item["entries"]
    }
    assert entries["203.0.113.1"] == "d-eth0"
