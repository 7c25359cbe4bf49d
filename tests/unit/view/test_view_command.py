"""./inv view: which run is meant, the single file, the wall, and what is polled of a live lab."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from labs.errors import BadRequest, Unable
from labs.run.attach import AttachedLab
from tests.unit.view import packets
from view import command, poll, run, single_file, wall
from view.act import Action, Actions, Argument

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LVS_RUNS", str(tmp_path))
    folder = packets.folder(tmp_path)
    (folder / "pcap" / "about.json").write_text(json.dumps(packets.ABOUT))
    return tmp_path


@pytest.mark.parametrize("name", ["", "nat", "lab-nat", "20260101-120000-lab-nat"])
def test_a_run_is_found_by_its_names(runs: Path, name: str) -> None:
    assert run.find(name) == runs / "20260101-120000-lab-nat"


def test_a_folder_anywhere_is_a_run(runs: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "copied"
    (runs / "20260101-120000-lab-nat").rename(elsewhere)
    assert run.find(str(elsewhere)) == elsewhere


@pytest.mark.parametrize("name", ["tun", "../..", "/etc", "/nowhere", "\0", "x" * 5000])
def test_what_is_no_run_is_one_sentence(runs: Path, name: str) -> None:
    assert runs.is_dir()
    with pytest.raises(BadRequest) as raised:
        run.find(name)
    assert "\n" not in str(raised.value)


def test_without_any_run_it_says_how_to_make_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LVS_RUNS", str(tmp_path))
    with pytest.raises(BadRequest, match=r"\./inv lab-nat"):
        run.find("")


@pytest.mark.parametrize(
    ("host", "port"), [("127.0.0.1", -1), ("127.0.0.1", 65536), ("no.such.name.invalid", 0), ("192.0.2.1", 0)]
)
def test_an_address_that_is_none_is_refused(host: str, port: int) -> None:
    pytest.importorskip("starlette", reason="Starlette is missing: run sudo ./inv --list, which installs it")
    with pytest.raises((BadRequest, Unable)):
        command.open_socket(host, port)


# ---- the single file ----


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "page"
    folder.mkdir()
    (folder / "index.html").write_text(
        '<!doctype html>\n<meta charset="utf-8">\n<link rel="stylesheet" href="page/style.css">\n'
        '<script type="module" src="page/main.js"></script>\n'
    )
    (folder / "style.css").write_text("body { color: black }")
    (folder / "main.js").write_text('import { b } from "./b.js";\nimport { c } from "./c.js";\nb(c);\n')
    (folder / "b.js").write_text('import { c } from "./c.js";\nexport function b(x) { return x + c; }\n')
    (folder / "c.js").write_text("export const c = 1;\n")
    monkeypatch.setattr(single_file, "PAGE", folder)
    return folder


def test_modules_are_joined_each_once_and_in_order(page: Path) -> None:
    assert page.is_dir()
    assert single_file.joined("main.js").split("\n") == [
        "const c = 1;",
        "function b(x) { return x + c; }",
        "b(c);",
    ]


def test_one_file_has_all_and_asks_for_nothing(runs: Path, page: Path, tmp_path: Path) -> None:
    assert page.is_dir()
    target = tmp_path / "run.html"
    assert command.view("nat", html=str(target)) == 0
    text = target.read_text()
    assert runs.is_dir()
    assert "src=" not in text
    assert "href=" not in text
    document = re.search(r'<script type="application/json" id="run">(.*?)</script>', text, re.DOTALL)
    listed = re.search(r'<script type="application/json" id="items">\n(.*?)\n</script>', text, re.DOTALL)
    assert document
    assert listed
    assert json.loads(document[1])["name"] == "20260101-120000-lab-nat"
    assert [json.loads(line)["kind"] for line in listed[1].split("\n")] == [*["packet"] * 3, "end"]
    for tag in ('script type="module"', "style"):
        body = re.search(rf"<{tag}>(.*?)</{tag.split()[0]}>", text, re.DOTALL)
        assert body
        digest = base64.b64encode(hashlib.sha256(body[1].encode()).digest()).decode()
        assert f"'sha256-{digest}'" in text


def test_markup_in_data_ends_no_script(page: Path) -> None:
    assert page.is_dir()
    evil = "</script><script>alert(1)</script><!--"
    text = single_file.whole({"name": evil}, [{"id": 1, "text": evil}])
    assert text.count("</script>") == 3
    assert "<!--" not in text
    listed = re.search(r'id="items">\n(.*?)\n</script>', text, re.DOTALL)
    assert listed
    assert json.loads(listed[1])["text"] == evil


@pytest.mark.parametrize("target", ["nowhere/run.html", "."])
def test_a_file_that_can_not_be_made_is_refused(
    runs: Path, page: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(runs)
    assert page.is_dir()
    with pytest.raises(BadRequest, match="--html"):
        command.view("nat", html=target)


def test_the_wall_has_no_run(runs: Path) -> None:
    assert runs.is_dir()
    with pytest.raises(BadRequest, match="--wall"):
        command.view("nat", wall=True)


# ---- the wall ----


def test_a_tile_has_what_status_tells(tmp_path: Path) -> None:
    journal = [
        {"at": 100.0, "what": "started", "exercise": "e04", "student": "<b>ada</b>"},
        {"at": 130.0, "what": "hint", "number": 1},
        {"at": 160.0, "what": "check", "passed": ["web"]},
    ]
    (tmp_path / "journal.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in journal))
    about: dict[str, Any] = {"lab": "lab-dr", "exercise": "e04", "student": "<b>ada</b>"}
    tile = wall.tile(AttachedLab(tmp_path, about, os.getpid()))
    assert (tile["user"], tile["exercise"], tile["since"]) == ("<b>ada</b>", "e04", 100.0)
    assert (tile["checks_passed"], tile["hints"]) == (1, 1)
    assert tile["checks"] > 1
    assert tile["symptom"]


# ---- live ----


def test_neighbours_are_read_as_the_kernel_shows_them() -> None:
    text = (
        "IP address       HW type     Flags       HW address            Mask     Device\n"
        "203.0.113.1      0x1         0x2         02:00:cb:00:71:02     *        r0-eth1\n"
        "203.0.113.9      0x1         0x0         00:00:00:00:00:00     *        r0-eth1\n"
    )
    assert list(poll.parse_arp(text, {"02:00:cb:00:71:02": "d-eth0"})) == [
        {"ip": "203.0.113.1", "mac": "02:00:cb:00:71:02", "owner": "d-eth0"}
    ]


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        (Argument("client", choices=("c1", "c2")), "c1; reboot"),
        (Argument("client", choices=("c1", "c2")), ""),
        (Argument("client", choices=("c1", "c2")), None),
        (Argument("count", default="1", most=10), "11"),
        (Argument("count", default="1", most=10), "-1"),
        (Argument("count", default="1", most=10), "1 2"),
        (Argument("count", default="1", most=10), "$(reboot)"),
        (Argument("count", default="1", most=10), ["1"]),
        (Argument("count", default="1", most=10), "١"),
    ],
)
def test_nothing_but_choices_and_numbers_gets_into_a_command(argument: Argument, value: Any) -> None:
    from view.server import Refused

    with pytest.raises(Refused):
        argument.checked(value)


def test_an_action_is_shown_as_it_is_typed() -> None:
    action = Action(
        "x", "X", "{client} ping {host}", (Argument("client", choices=("c1",)), Argument("n", default="3"))
    )
    assert action.as_json() == {
        "name": "x",
        "label": "X",
        "command": "{client} ping {host}",
        "arguments": [{"name": "client", "choices": ["c1"]}, {"name": "n", "default": "3"}],
    }


@pytest.mark.parametrize("netem", [True, False])
def test_delay_is_offered_where_the_kernel_has_it(tmp_path: Path, netem: bool) -> None:
    document = {
        "exercise": None,
        "vips": ["203.0.113.1"],
        "hosts": [{"name": "c1", "role": "client"}],
        "links": [{"a": "c1-eth0", "b": "s1", "port": 1}],
    }
    actions = Actions(tmp_path, {"c1": 1}, document, "nat", list, netem=netem)
    commands = {one.name: one.command for one in actions.available()}
    wanted = "{client} tc qdisc replace dev {client}-eth0 root netem delay {ms}ms"
    assert commands.get("delay") == (wanted if netem else None)


def test_a_lab_without_a_view_loads_nothing_of_it() -> None:
    """So it costs such a lab neither time nor memory."""
    code = (
        "import sys, tasks, labs.run.lab, labs.run.builder; "
        "sys.exit(any(name.split('.')[0] in ('view', 'starlette', 'uvicorn') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


@pytest.mark.parametrize("ended", [False, True])
def test_a_caller_that_has_ended_before_it_is_watched_is_noticed(ended: bool) -> None:
    """The kernel has given us another parent by then: PID 1, or a subreaper that lives on."""
    code = (
        "from labs.errors import Unable\nfrom view import command\n"
        "try: print('watched' if command.pidfd_of_caller() else 'on its own')\n"
        "except Unable: print('refused')"
    )
    inner = 'export LVS_CALLER="$$ $PPID"; echo $PPID; read -r _; exec "$@"'
    shell = ["sh", "-c", 'exec 3<&0; sh -c "$0" sh "$@" <&3 & wait', inner, sys.executable, "-c", code]
    outer = subprocess.Popen(
        shell,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert outer.stdin
    assert outer.stdout
    assert int(outer.stdout.readline()) == outer.pid  # it has started
    if ended:
        outer.kill()
        outer.wait()
    outer.stdin.write("go\n")
    outer.stdin.close()
    assert outer.stdout.read() == ("refused\n" if ended else "watched\n")
    outer.wait()


def test_a_capture_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "pcap" / "c1-eth0.pcap").mkdir(parents=True)  # reading it fails, for root as well
    assert run.sightings(tmp_path) == 0
    assert run.document(tmp_path)["started"] > 0
