"""The live view's page in a real browser: what it shows is compared with the run's captures and events."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from scapy.utils import RawPcapReader

from labs.wait import patient, poll_until
from tests.labs import browser
from tests.labs.browser import opened, served, settled, wait
from tests.labs.conftest import _with_faults
from tests.labs.support import Finished
from tests.unit.view import packets

pytestmark = pytest.mark.skipif(bool(browser.missing()), reason=browser.missing() or "there is a browser")

LABS = ("lab-nat", "lab-tun", "lab-dr")
PANELS = ("packet", "why", "tables", "states", "events", "hosts", "checks")
# Where each packet of the packet table is seen: host, the interface's short name, and its way.
SEEN_AT = {
    "lab-nat": (("c1", "eth0", "out"), ("d", "eth1", "out"), ("rs", "eth0", "out"), ("d", "eth0", "out")),
    "lab-tun": (("c1", "eth0", "out"), ("d", "eth0", "out"), ("rs", "tunl0", ""), ("rs", "eth0", "out")),
    "lab-dr": (("r0", "eth1", "out"), ("d", "eth0", "out"), ("rs", "eth0", "out")),
}
PATHS = ("request", "forwarded", "reply")
COLUMNS = {
    "source": "IP from",
    "dest": "IP to",
    "outer_source": "outer IP from",
    "outer_dest": "outer IP to",
    "source_mac": "MAC from",
    "dest_mac": "MAC to",
}
CHECKS = "only_director_answers, packet_table, as_scheduled"  # no downloads: few packets, opened at once
MARKUP = '<img src=x onerror="window.broken=1"><b>bold</b>'


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser.browser() as found:
        yield found


@pytest.fixture(scope="module", params=LABS)
def run(request: pytest.FixtureRequest, run_lab: Callable[..., Finished], runs: Path) -> Path:
    """The folder of a lab that has been run."""
    before = set(runs.glob(f"*-{request.param}"))
    finished = run_lab(request.param, checks=CHECKS)
    assert finished.code == 0, finished.output
    (folder,) = set(runs.glob(f"*-{request.param}")) - before
    return folder


@pytest.fixture(scope="module")
def address(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of the replay of that run."""
    log = tmp_path_factory.mktemp("view") / "log"
    with served("view", str(run), runs=run.parent, log=log) as found:
        yield found


@pytest.fixture(scope="module")
def page(chromium: Any, address: str) -> Iterator[Any]:
    """The replay, opened once for all tests that only look at it."""
    with opened(chromium, address) as found:
        yield found


# For what is the same in all three labs.
in_one_lab = pytest.mark.parametrize("run", ["lab-nat"], indirect=True)


def lab_of(run: Path) -> str:
    return next(lab for lab in LABS if run.name.endswith(lab))


def report_of(run: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((run / "report.json").read_text())
    return report


def events_of(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]


def press(page: Any, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)
        settled(page)


def columns(page: Any) -> list[tuple[str, dict[str, str]]]:
    """All that the matrices on the screen show: (head such as "d eth1 ▸ out", {row: value})."""
    found = page.evaluate(
        """() => [...document.querySelectorAll("table.matrix")].flatMap((table) => {
            const heads = [...table.tHead.rows[0].cells].slice(1).map((head) => head.textContent.trim());
            return heads.map((head, place) => [head, [...table.tBodies[0].rows].map((row) => {
                const shown = row.cells[place + 1].cloneNode(true);
                shown.querySelectorAll("del, .mark, .hidden").forEach((one) => one.remove());
                return [row.cells[0].textContent, shown.textContent.trim()];
            })]);
        })"""
    )
    return [(head, dict(rows)) for head, rows in found]


def packets_shown(page: Any) -> Iterator[tuple[str, dict[str, str]]]:
    """The columns of all packets of the selected connection, one packet after the other."""
    for number in range(page.evaluate("page.player.connection.walks.length")):
        page.evaluate(f"page.player.choose(page.player.connection.key, {number}, 0)")
        settled(page)
        yield from columns(page)


def choose(page: Any, client: str) -> None:
    """Choose the connection of this client by the filter and the list."""
    page.click("#tab-packet")
    page.fill("#filter", client)
    page.locator("#panel-packet .chooser [role=option]", has_text=client).first.click()
    settled(page)


def test_the_packet_table_of_the_run_is_what_the_walks_show(run: Path, page: Any) -> None:
    """report.json has the rows of one connection, read from the captures by other code."""
    lab, rows = lab_of(run), report_of(run)["packets"]
    client = rows[0]["source"]
    choose(page, client)
    server = page.locator("#panel-packet .walk h3").inner_text().split("served by ")[1].split()[0]
    shown = {(head, *pair) for head, rows_ in packets_shown(page) for pair in rows_.items()}
    for row, (host, port, direction) in zip(rows, SEEN_AT[lab], strict=True):
        name = server if host == "rs" else host
        head = f"{name} {port} ▸ {direction}" if direction else f"{name} {port}"
        wanted = {(head, title, row[field]) for field, title in COLUMNS.items() if field in row}
        assert wanted <= shown, (row["packet"], wanted - shown)


def test_every_captured_packet_of_a_connection_is_shown(run: Path, page: Any) -> None:
    """As many as the captures have; floods to other hosts' ports are no hops of it."""
    client = report_of(run)["packets"][0]["source"]
    choose(page, client)
    page.locator(".walk details summary").click()
    settled(page)
    listed = page.locator(".walk details [role=option]").first.get_attribute("aria-setsize")
    port = int(client.split(":")[1])
    needle = port.to_bytes(2, "big")
    captured = 0
    for file in (run / "pcap").glob("*.pcap"):
        for data, _ in RawPcapReader(str(file)):
            ends = _tcp_ports(data, ethernet=data[12:14] == b"\x08\x00")
            captured += needle in ends
    assert 0 < int(listed) <= captured
    hosts = {"lab-nat": 6, "lab-tun": 11, "lab-dr": 6}[lab_of(run)]
    page.evaluate("page.player.choose(page.player.connection.key, 0, 0)")
    settled(page)
    assert page.locator("table.matrix").first.locator("thead th").count() == hosts + 1


def _tcp_ports(data: bytes, *, ethernet: bool) -> tuple[bytes, ...]:
    at = 14 if ethernet else 0
    if len(data) < at + 40 or data[at] >> 4 != 4:
        return ()
    if data[at + 9] == 4:  # IP in IP
        at += (data[at] & 15) * 4
    if data[at + 9] != 6:
        return ()
    at += (data[at] & 15) * 4
    return data[at : at + 2], data[at + 2 : at + 4]


def test_states_are_those_of_the_directors_events(run: Path, page: Any) -> None:
    client = report_of(run)["packets"][0]["source"]
    wanted = [
        event["state"] for event in events_of(run) if event.get("client") == client and event.get("state")
    ]
    choose(page, client)
    page.click("#end")
    press(page, "4")
    rows = page.locator("#panel-states table", has_text="States of this connection").locator("tbody th")
    shown = [text.split()[0] for text in rows.all_inner_texts()]
    assert shown[: len(wanted)] == wanted
    lit = page.locator("#panel-states svg text.now").text_content()
    assert lit == shown[-1]


def test_why_names_the_server_that_was_chosen(run: Path, page: Any) -> None:
    client = report_of(run)["packets"][0]["source"]
    (new,) = (event for event in events_of(run) if event["kind"] == "new" and event["client"] == client)
    choose(page, client)
    press(page, "2")
    panel = page.locator("#panel-why")
    assert new["server"] in panel.locator("h3").inner_text()
    sentences = " ".join(panel.locator("li").all_inner_texts())
    for part in new["why"].split("; "):
        assert part in sentences
    assert panel.locator("figure svg, table.sets").count() == 1


def test_the_checks_are_those_of_the_report(run: Path, page: Any) -> None:
    checks = report_of(run)["checks"]
    press(page, "7")
    page.click("#end")
    assert page.locator("#panel-checks h3").inner_text() == f"{len(checks)} of {len(checks)} checks passed"
    shown = page.locator("#panel-checks tbody th").all_inner_texts()
    assert shown == [check["name"] for check in checks]


def test_hosts_have_the_addresses_of_their_set_up_scripts(run: Path, page: Any) -> None:
    press(page, "6")
    table = page.locator("#panel-hosts table").first
    for script in (run / "scripts").glob("*/iproute2/*.sh"):
        if script.name.endswith("-undo.sh"):
            continue
        host = script.parts[-3]
        row = table.locator("tbody tr", has=page.locator("th", has_text=re.compile(f"^{host}$")))
        for address, port in re.findall(
            r"^ip addr replace ([\d.]+/(?!32)\d+) .*dev (\S+)", script.read_text(), re.M
        ):
            assert row.filter(has_text=port).filter(has_text=address).count() == 1, (host, address)


def test_the_vip_has_one_owner_and_the_router_holds_its_mac(page: Any) -> None:
    page.click("#end")
    owners = page.locator("#network .host.owner")
    assert owners.count() == 1
    assert "owns the VIP 203.0.113.1" in str(owners.get_attribute("aria-label"))
    assert str(owners.get_attribute("data-name")) == "d"
    router = str(page.locator('#network [data-name="r0"]').get_attribute("aria-label"))
    assert "holds 02:00:cb:00:71:02 for 203.0.113.1" in router


def test_the_path_is_drawn_before_a_connection_is_chosen(
    chromium: Any, page: Any, address: str, run: Path
) -> None:
    """By the method, through as many hosts as the captures show."""

    def legs(shown: Any) -> dict[str, int]:
        return {kind: shown.locator(f"#network path.way.{kind}").count() for kind in PATHS}

    choose(page, report_of(run)["packets"][0]["source"])
    captured = legs(page)
    assert all(captured.values())
    with opened(chromium, address) as other:
        settled(other)
        assert legs(other) == captured


def test_an_instant_has_an_address_that_another_browser_can_open(
    chromium: Any, page: Any, address: str, run: Path
) -> None:
    choose(page, report_of(run)["packets"][0]["source"])
    press(page, "n", "ArrowRight", "ArrowRight", "l")
    wait(page, "/hop=3/.test(location.hash)", "the address of the third hop")
    shown = page.locator(".walk .position").inner_text()
    link = page.url
    assert link.startswith(address)
    with opened(chromium, link) as other:
        settled(other)
        assert other.locator(".walk .position").inner_text() == shown
        assert other.locator("#time").inner_text() == page.locator("#time").inner_text()


def test_no_label_of_a_path_and_no_packet_covers_a_host(run: Path, page: Any) -> None:
    """At every hop of one connection."""
    choose(page, report_of(run)["packets"][0]["source"])
    covering = page.evaluate(
        """async () => {
            const network = document.getElementById("network"), found = [];
            const frame = () => new Promise((done) => requestAnimationFrame(done));
            for (let step = 0; step < page.player.steps.length; step += 1) {
                page.player.goToStep(step);
                await frame();
                await frame();
                network.getAnimations({ subtree: true }).forEach((one) => one.finish());
                const { interface: port } = page.player.current.sighting;
                const onCable = port.includes("-eth"); // a tunnel's end is inside its host
                const marks = network.querySelectorAll(onCable ? ".waylabel, .marker .inner" : ".waylabel");
                for (const mark of marks) for (const box of network.querySelectorAll(".host .box")) {
                    const [one, other] = [mark, box].map((part) => part.getBoundingClientRect());
                    if (one.left < other.right && one.right > other.left
                        && one.top < other.bottom && one.bottom > other.top)
                        found.push(`${step} ${mark.textContent || "packet"} ${port}`);
                }
            }
            return found;
        }"""
    )
    assert covering == []


@in_one_lab
def test_the_back_button_returns_to_the_same_instant(chromium: Any, address: str) -> None:
    """Steps do not fill the browser's history: one press leaves the page, and the way back leads there."""
    with opened(chromium, address) as page:
        entries = page.evaluate("history.length")
        press(page, "n", "ArrowRight", "ArrowRight")
        wait(page, "/hop=3/.test(location.hash)", "the address of the third hop")
        assert page.evaluate("history.length") == entries
        before = page.locator(".walk .position").inner_text(), page.locator("#time").inner_text()
        page.goto("about:blank")
        page.go_back()
        wait(page, "window.page && page.store.ended", "all items of the run")
        settled(page)
        assert (page.locator(".walk .position").inner_text(), page.locator("#time").inner_text()) == before


@in_one_lab
def test_a_slow_network_delays_and_loses_nothing(chromium: Any, page: Any, address: str) -> None:
    context = chromium.new_context()
    slow = context.new_page()
    session = context.new_cdp_session(slow)
    session.send("Network.enable")
    session.send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": 200, "downloadThroughput": 400_000, "uploadThroughput": 50_000},
    )
    slow.add_init_script(
        """window.modes = new Set();
        setInterval(() => {
            const mode = document.querySelector("#mode")?.textContent;
            if (window.page && page.store.packets.length) modes.add(mode);
        }, 10);"""
    )
    slow.goto(address, wait_until="commit")
    wait(slow, "window.page && page.store.ended && modes.has('replay')", "the items of the run")
    assert slow.evaluate("[...modes]") == ["reading …", "replay"]  # with the first of them, and all
    count = "page.store.packets.length + page.store.events.length"
    assert slow.evaluate(count) == page.evaluate(count)
    context.close()


@in_one_lab
def test_a_session_by_keyboard_alone(chromium: Any, address: str) -> None:
    """From the first key to a host's details: no mouse, and the focus is never lost."""
    with opened(chromium, address) as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the panels"
        press(page, "c")
        assert page.evaluate("document.activeElement.getAttribute('role')") == "listbox"
        press(page, "Home", "ArrowDown", "ArrowDown", "End", "ArrowUp")
        chosen = page.locator('.chooser [aria-selected="true"]')
        assert chosen.count() == 1
        assert page.evaluate(
            "document.activeElement.getAttribute('aria-activedescendant')"
        ) == chosen.get_attribute("id")
        press(page, "f")
        page.keyboard.type("40001")
        press(page, "Tab", "ArrowDown")
        assert "40001" in page.locator(".walk h3").inner_text()
        press(page, "Escape", "Tab")
        before = page.locator(".walk .position").inner_text()
        press(page, "ArrowRight")
        after = page.locator(".walk .position").inner_text()
        assert before != after
        assert "hop" in page.locator("#status").inner_text()
        press(page, " " if page.evaluate("document.activeElement === document.body") else "Tab")
        for number, panel in enumerate(PANELS, 1):
            press(page, str(number))
            assert page.locator(f"#panel-{panel}").is_visible()
            assert page.evaluate("document.activeElement.id") == f"tab-{panel}"
        press(page, "ArrowLeft")
        assert page.locator("#panel-hosts").is_visible()
        press(page, "?")
        assert page.locator("#help").is_visible()
        press(page, "Escape")
        assert not page.locator("#help").is_visible()
        for _ in range(40):
            if page.evaluate("document.activeElement.dataset?.name") == "d":
                break
            page.keyboard.press("Shift+Tab")
        press(page, "Enter")
        assert "d-eth1" in page.locator("#panel-hosts").inner_text()


@in_one_lab
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_any_panel(chromium: Any, address: str, scheme: str) -> None:
    rules = ("color-contrast",) if scheme == "dark" else ()  # all else is the same
    with opened(chromium, address, color_scheme=scheme, bypass_csp=True) as page:
        press(page, "n", "ArrowRight", "ArrowRight")
        found = {}
        for number, panel in enumerate(PANELS, 1):
            if panel == "checks":
                press(page, "End")
            press(page, str(number))
            page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
            settled(page)
            found[panel] = browser.violations(page, *rules)
        press(page, "?")
        found["keys"] = browser.violations(page, *rules)
        assert found == {panel: [] for panel in [*PANELS, "keys"]}


@in_one_lab
def test_with_reduced_motion_nothing_moves(chromium: Any, address: str) -> None:
    def moving(**options: Any) -> int:
        with opened(chromium, address, **options) as page:
            press(page, "n")
            page.keyboard.press("ArrowRight")
            count: int = page.evaluate(
                """() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(
                    document.getAnimations().filter((one) => one.playState === "running").length))))"""
            )
            return count

    assert moving(reduced_motion="reduce") == 0
    assert moving(reduced_motion="no-preference") > 0


@in_one_lab
def test_markup_in_names_and_payloads_is_shown_and_never_run(chromium: Any, address: str) -> None:
    with opened(chromium, address) as page:
        page.evaluate(
            """(text) => {
                const id = page.store.lastId + 1, t = page.store.end, key = `TCP ${text}:1 203.0.113.1:80`;
                page.store.ended = false;
                page.arrived([
                    {id, t, kind: "event", event: text, text, connection: key, server: text, why: text,
                     state: text},
                    {id: id + 1, t, kind: "packet", host: text, interface: text, text, connection: key,
                     frame: {src: text, dst: text, type: text}, outer: null, arp: null, changed: [],
                     ip: {src: text, dst: text, ttl: 1}, l4: {sport: 1, dport: 2, flags: "S"},
                     walk: 1e9, hop: 0, direction: "request"},
                    {id: id + 2, t, kind: "finding", host: "rs1", cause: text, title: text, evidence: text,
                     repair: text},
                    {id: id + 3, t, kind: "scheduler", service: text, name: text, connection: key,
                     chosen: text, sentences: [text], picture: {kind: "turns", turns: [text], at: 0}},
                    {id: id + 4, t, kind: "missed", count: 1, why: text},
                    {id: id + 5, t, kind: "missed", count: 7, why: text, what: "packets"},
                    {id: id + 6, t, kind: "missed", count: 3, why: text, what: "connections"},
                ]);
                page.player.choose(key);
                page.player.setTime(t);
            }""",
            MARKUP,
        )
        for number in range(1, 8):
            press(page, str(number))
            assert page.locator("img, b").count() == 0
        assert MARKUP in page.locator("#panel-events .finding h3").text_content()
        assert page.locator("#incomplete").text_content() == f"{MARKUP}."
        assert "not shown: 7 packets and the events of 3 connections" in page.locator("#of").inner_text()
        assert not page.evaluate("window.broken")


def test_one_file_shows_the_same_packet_without_any_server(
    chromium: Any, run: Path, page: Any, tmp_path: Path
) -> None:
    file = tmp_path / "run.html"
    client = report_of(run)["packets"][0]["source"]
    command = [sys.executable, "tasks.py", "view", str(run), "--html", str(file)]
    subprocess.run(command, cwd=browser.ROOT, check=True, timeout=patient(120))
    choose(page, client)
    press(page, "ArrowRight")
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, offline=True)
    other = context.new_page()
    requests: list[str] = []
    other.on("request", lambda request: requests.append(request.url))
    errors: list[str] = []
    other.on("pageerror", lambda error: errors.append(str(error)))
    other.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    other.goto(file.as_uri())
    wait(other, "window.page && page.store.ended", "the items of the file")
    choose(other, client)
    press(other, "ArrowRight")
    for part in (".walk h3", ".walk .sentence", "table.matrix >> nth=0", "#network", "#time"):
        assert other.locator(part).inner_text() == page.locator(part).inner_text(), part
    assert [url for url in requests if not url.startswith("data:")] == [file.as_uri()]
    assert errors == []
    context.close()


# ---- an exercise that runs: as its student sees it, and on the teacher's wall ----


@pytest.fixture(scope="module")
def exercise(chromium: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Any]]:
    """The page of e04 (one real server lacks the VIP) and the wall beside it."""
    place = tmp_path_factory.mktemp("exercise")
    words = ("exercise", "e04", "--student", "ada", "--view")
    with (
        served(*words, runs=place, log=place / "log") as live,
        opened(chromium, live, bypass_csp=True) as page,
        served("view", "--wall", runs=place, log=place / "wall") as address,
    ):
        context = chromium.new_context(bypass_csp=True)
        wall = context.new_page()
        wall.goto(address)
        yield page, wall
        context.close()


def test_an_exercise_s_page_does_not_give_the_answer_away(exercise: tuple[Any, Any]) -> None:
    page, _ = exercise
    document = page.evaluate("page.store.document")
    assert document["exercise"] == "e04"
    devices = [interface["name"] for host in document["hosts"] for interface in host["interfaces"]]
    assert [name for name in devices if "-eth" not in name] == []
    assert "doctor" not in [action["name"] for action in document["actions"]]
    assert "for you to find" in page.locator("#hidden").inner_text()
    assert page.evaluate("page.store.neighbours.size") == 0
    press(page, "6")
    assert "No neighbour entries" in page.locator("#panel-hosts").inner_text()
    assert "silent" not in page.locator("#network").inner_text()
    posted = page.evaluate(
        """async () => (await fetch("act", {method: "POST", headers: {"Content-Type": "application/json"},
             body: JSON.stringify({action: "doctor", arguments: {}})})).status"""
    )
    assert posted == 400
    page.problems.clear()  # chromium reports that answer as an error
    assert page.evaluate("page.store.findings.length") == 0


def test_a_button_gives_its_command_and_its_packets_appear(exercise: tuple[Any, Any]) -> None:
    """By keyboard: the panel, a choice, the button."""
    page, _ = exercise
    wait(page, "document.querySelector('#mode').textContent === '● live'", "the first items")
    press(page, "8")
    form = page.locator("form.action").first
    form.locator("button").focus()
    press(page, "Tab")
    assert page.evaluate("document.activeElement.tagName") == "SELECT"
    page.keyboard.type("c2")
    command = form.locator("code").first.inner_text()
    assert re.fullmatch(r"c2 curl -sS --max-time 10 http://\S+/name", command)
    begun = page.evaluate("page.store.end")
    press(page, "Shift+Tab", "Enter")
    form.locator("pre").wait_for(timeout=patient(30) * 1000)  # the request may time out: that is the fault
    assert form.locator("output code").inner_text() == f"$ {command}"
    assert page.evaluate("document.activeElement.textContent") == "Request a page"
    assert browser.violations(page) == []
    newer = f"(one) => one.served && one.first > {begun} && one.walks.length"
    wait(page, f"[...page.store.connections.values()].some({newer})", "the packets of the request")
    press(page, "w")
    assert page.evaluate("page.player.connection.first") > begun


def test_two_tabs_and_a_connection_that_fails(chromium: Any, exercise: tuple[Any, Any]) -> None:
    """What one tab does, the other sees; one that was offline catches up, and shows nothing twice."""
    page, _ = exercise
    address = page.url.partition("#")[0]
    ids = "[...page.store.packets, ...page.store.events].map((one) => one.id).sort((a, b) => a - b)"
    request = """async () => (await fetch("act", {
        method: "POST", headers: {"Content-Type": "application/json"},
        body: JSON.stringify({action: "request", arguments: {client: "c1"}})})).status"""
    with opened(chromium, address) as other:
        begun = page.evaluate("page.store.lastId")
        assert other.evaluate(request) == 200
        wait(page, f"page.store.events.some((one) => one.id > {begun})", "what the other tab has done")
        other.context.set_offline(True)
        begun = page.evaluate("page.store.lastId")
        assert page.evaluate(request) == 200
        wait(page, f"page.store.packets.some((one) => one.id > {begun})", "its own request")
        known = page.evaluate("page.store.lastId")
        other.context.set_offline(False)
        wait(other, f"page.store.lastId >= {known} && !page.lost", "the rest, after the interruption")
        here, there = ([one for one in tab.evaluate(ids) if one <= known] for tab in (page, other))
        assert here == there
        assert len(set(there)) == len(there)
        other.problems.clear()  # chromium reports what failed while it was offline
    page.problems.clear()


def test_the_wall_has_a_tile_and_the_doctor_s_findings_for_the_teacher(exercise: tuple[Any, Any]) -> None:
    _, wall = exercise
    tile = wall.locator("#tiles li")
    assert poll_until(tile.count, bool, 30) == 1
    assert "ada" in tile.inner_text()
    assert "real server has no VIP" not in tile.inner_text()
    assert browser.violations(wall) == []
    tile.get_by_role("button", name="What is wrong with e04 of ada?").press("Enter")
    found = poll_until(lambda: tile.locator("[role=status] li").all_inner_texts(), bool, 60)
    assert len(found) == 1
    assert re.match(r"rs\d: ", found[0])
    assert browser.violations(wall) == []


def test_a_page_left_open_says_that_its_lab_was_killed(exercise: tuple[Any, Any]) -> None:
    """The last test of this lab."""
    page, _ = exercise
    address = page.url.partition("#")[0]
    browser.serving[address].kill()
    wait(page, "page.lost", "the end of the stream")
    settled(page)
    assert page.locator("#mode").inner_text() == "connection lost"
    assert "the lab has ended" in page.locator("#trouble").inner_text()
    press(page, "1", "Home")
    assert page.locator("#network .host").count() > 4  # what had arrived can still be looked at
    press(page, "8")
    page.get_by_role("button", name="Request a page", exact=True).click()
    message = page.locator("#panel-act .failed")
    assert poll_until(message.count, bool, 30)
    assert (
        message.inner_text() == "No answer: the server of this page has ended, or the network is interrupted."
    )
    page.goto("about:blank")  # it would try again for ever
    page.problems.clear()


# ---- IPv6 ----

CLIENT6, VIP6, DIRECTOR6 = "2001:db8:c633:64::101", "2001:db8:cb00:71::1", "2001:db8:cb00:71::2"
SERVER6 = {"lab-nat": "2001:db8:ac10::2", "lab-tun": "2001:db8:c000:200::2"}


def _ipv6_folder(place: Path, lab: str) -> Path:
    """A run of one SYN in IPv6, built byte by byte: rewritten in VS-NAT, in an outer header in VS-TUN."""
    folder = packets.folder(place)
    server, tunnelled = SERVER6[lab], lab == "lab-tun"
    inside = "d-eth0" if tunnelled else "d-eth1"
    interfaces = {
        "c1-eth0": [f"client c1, {CLIENT6}, on the Internet", packets.MACS["c1-eth0"]],
        "d-eth0": [f"director d, {DIRECTOR6}, on the director's LAN", packets.MACS["d-eth0"]],
        "d-eth1": ["director d, 2001:db8:ac10::1, on the private network", packets.MACS["d-eth1"]],
        "rs1-eth0": [f"real server rs1, {server}, on the private network", "02:00:00:00:00:0a"],
    }
    names = {CLIENT6: "c1", DIRECTOR6: "d", server: "rs1", VIP6: "VIP"}
    about = {**packets.ABOUT, "names": names, "interfaces": interfaces}
    (folder / "pcap" / "about.json").write_text(json.dumps(about))
    syn = packets.tcp(40001, 80, 2)
    body = packets.ip6(CLIENT6, VIP6 if tunnelled else server, syn, hops=62)
    if tunnelled:
        body = packets.ip6(DIRECTOR6, server, body, following=41)
    mac = packets.MACS
    seen = [
        ("c1-eth0", packets.frame(mac["c1-eth0"], mac["d-eth0"], packets.ip6(CLIENT6, VIP6, syn), 0x86DD)),
        ("d-eth0", packets.frame(packets.A, mac["d-eth0"], packets.ip6(CLIENT6, VIP6, syn, hops=63), 0x86DD)),
        (inside, packets.frame(mac[inside], "02:00:00:00:00:0a", body, 0x86DD)),
        ("rs1-eth0", packets.frame(mac[inside], "02:00:00:00:00:0a", body, 0x86DD)),
    ]
    for name in interfaces:
        frames = [(100 + at / 1000, raw) for at, (port, raw) in enumerate(seen) if port == name]
        (folder / "pcap" / f"{name}.pcap").write_bytes(packets.pcap(*frames))
    (folder / "events.jsonl").write_text("")
    if tunnelled:
        start = folder / "scripts" / "d" / "start.sh"
        start.write_text(start.read_text().replace("--method nat", "--method tun"))
    return folder.rename(folder.with_name(f"20260101-120000-{lab}"))


@pytest.mark.parametrize(
    ("lab", "changed"),
    [
        ("lab-nat", {"IP to": "[…ac10::2]:80"}),
        ("lab-tun", {"outer IP from": "…cb00:71::2", "outer IP to": "…c000:200::2"}),
    ],
)
def test_the_director_s_change_to_a_packet_of_ipv6_is_shown(
    chromium: Any, tmp_path: Path, lab: str, changed: dict[str, str]
) -> None:
    folder = _ipv6_folder(tmp_path, lab)
    with (
        served("view", str(folder), runs=tmp_path, log=tmp_path / "log") as address,
        opened(chromium, address, bypass_csp=True) as page,
    ):
        choose(page, "40001")
        ((_, before), (_, arrived), (head, sent), (_, received)) = columns(page)
        assert head.startswith("d eth")
        assert head.endswith("out")
        assert before["IP to"] == arrived["IP to"] == "[…cb00:71::1]:80"
        assert changed.items() <= sent.items()
        assert changed.items() <= received.items()
        assert sent["IP from"] == "[…c633:64::101]:40001"
        assert page.locator("#network .folded").text_content() == "… is 2001:db8:"
        assert browser.violations(page) == []


# ---- two directors, live, in IPv6 ----


def test_two_directors_in_ipv6_while_the_vip_moves(chromium: Any, tmp_path: Path) -> None:
    """Roles, tables, packets: held against what the takeover programs, and the lab's report, say."""
    code = _with_faults({}, "packet_table, as_scheduled, failures.director_killed")
    words = ("lab-ha", "--family", "6", "--advert-interval", "300", "--view")
    with (
        served(*words, runs=tmp_path, log=tmp_path / "log", code=code) as address,
        opened(chromium, address) as page,
    ):
        wait(page, "document.querySelector('#mode').textContent === '● live'", "the first items")
        wait(page, "page.store.reports.length", "the checks of the lab")
        (folder,) = tmp_path.glob("*-lab-ha")
        report = report_of(folder)
        assert report["ok"], report["checks"]
        started = page.evaluate("page.store.document.started")
        told = [
            (event["time"] - started, host, event["state"])
            for host in ("d1", "d2")
            for event in map(json.loads, (folder / f"events-{host}.jsonl").read_text().splitlines())
            if event["kind"] == "vrrp"
        ]
        masters = [host for _, host, state in sorted(told) if state == "MASTER"]
        assert masters[:2] == ["d1", "d2"]
        count = sum(state == "MASTER" for *_, state in told)
        shown = "page.store.events.filter((one) => one.event === 'vrrp' && one.master)"
        wait(page, f"{shown}.length >= {count}", "what the directors say of themselves")
        for at, host, state in told:
            page.evaluate(f"page.player.setTime({at + 1e-3})")
            settled(page)
            label = str(page.locator(f'#network [data-name="{host}"]').get_attribute("aria-label"))
            assert ("master" if state == "MASTER" else "backup") in label, (at, host, state, label)
        page.set_viewport_size({"width": 1024, "height": 768})
        assert smallest_text(page) >= 10
        press(page, "3")
        heads = page.locator("#panel-tables section h3").all_inner_texts()
        assert [head.split(":")[0] for head in heads] == ["d1", "d2"]
        assert "2001:db8:" in page.locator("#panel-tables").inner_text()
        choose(page, report["packets"][0]["source"].split("]")[1])  # its port: the list folds prefixes
        seen = [set(rows.values()) for _, rows in packets_shown(page)]
        for row in report["packets"]:
            wanted = {row[field].replace("2001:db8:", "…") for field in COLUMNS if field in row}
            assert any(wanted <= one for one in seen), (row, seen)


@in_one_lab
def test_100_000_packets_play_without_long_frames_in_little_memory(chromium: Any, address: str) -> None:
    """Processor time, not time on the clock: other tests run beside this one."""
    with opened(chromium, address) as page:
        page.evaluate(
            """() => {
                const { store } = page, old = store.packets.slice(), from = store.end;
                let id = store.lastId, walk = 1e6, items = [];
                store.ended = false;
                for (let at = 0; store.packets.length + items.length < 100_000; at += 1) {
                    const one = structuredClone(old[at % old.length]);
                    one.id = (id += 1);
                    one.t = from + at / 2000;
                    one.walk = one.walk === null ? null : walk + Math.floor(at / old.length) * 1e5 + one.walk;
                    items.push(one);
                }
                page.arrived(items);
                page.store.ended = true;
            }"""
        )
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        page.evaluate(
            """() => {
                window.long = 0; window.frames_ = 0;
                const frame = page.frame.bind(page);
                page.frame = (now) => { window.frames_ += 1; frame(now); };
                page.player.speed = 2;
                page.player.setTime(0.5);
                page.player.play(true);
            }"""
        )
        before = _metrics(session)
        wait(page, "window.frames_ >= 150", "150 frames")
        after = _metrics(session)
        frames = page.evaluate("window.frames_")
        session.send("HeapProfiler.collectGarbage")
        assert page.evaluate("page.store.packets.length") >= 100_000
        assert (after["TaskDuration"] - before["TaskDuration"]) / frames < patient(0.05) / 2
        assert _metrics(session)["JSHeapUsedSize"] < 300e6
        rows = page.locator("[role=option]").count()
        assert rows < 200, "only visible rows exist"


def _metrics(session: Any) -> dict[str, float]:
    return {metric["name"]: metric["value"] for metric in session.send("Performance.getMetrics")["metrics"]}


# ---- 200 real servers, narrow and wide ----


@pytest.fixture(scope="module")
def many(chromium: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A run with 200 real servers, made up: the page would not tell it from one of `--servers 200`."""
    place = tmp_path_factory.mktemp("many")
    folder = packets.folder(place)
    known: dict[str, Any] = dict(packets.ABOUT)
    interfaces = {name: one for name, one in known["interfaces"].items() if "rs1" not in name}
    for port, address, where in (
        ("r0-eth0", "198.51.100.254", "on the Internet"),
        ("r0-eth1", "203.0.113.254", "on the director's LAN"),
    ):
        interfaces[port] = [f"router r0, {address}, {where}", f"02:00:00:00:02:0{port[-1]}"]
    for number in range(1, 201):
        address, mac = f"172.16.0.{number + 1}", f"02:00:00:00:01:{number:02x}"
        interfaces[f"rs{number}-eth0"] = [f"real server rs{number}, {address}, on the private network", mac]
    about = {**packets.ABOUT, "interfaces": interfaces}
    (folder / "pcap" / "about.json").write_text(json.dumps(about))
    events = packets.events(*(packets.server(f"172.16.0.{number + 1}", 1) for number in range(1, 201)))
    events.append(packets.connection("new", 40001, "172.16.0.77", 100.0, "NONE", why="wrr: its turn"))
    (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    with (
        served("view", str(folder), runs=place, log=place / "log") as address,
        opened(chromium, address, bypass_csp=True) as page,
    ):
        yield page


def test_200_real_servers_are_folded_into_groups_that_open(many: Any) -> None:
    hosts = many.evaluate("page.store.document.hosts")
    assert sum(host["role"] == "realserver" for host in hosts) == 200
    boxes, groups = many.locator("#network .host"), many.locator("#network .host.group")
    assert boxes.count() < 20
    words = boxes.all_text_contents()
    assert groups.first.get_attribute("aria-expanded") == "false"
    name = groups.first.get_attribute("data-name")
    groups.first.focus()
    press(many, "Enter")
    assert many.evaluate("document.activeElement.dataset.name") == name
    opened_ = many.locator(f'#network [data-name="{name}"]')
    assert opened_.get_attribute("aria-expanded") == "true"
    assert sum(map(len, boxes.all_text_contents())) > sum(map(len, words))
    press(many, "3")
    assert many.locator("#panel-tables tbody tr").count() >= 200
    assert browser.violations(many) == []


@pytest.mark.parametrize(
    ("pinned", "first", "label"),
    [
        (1, "rs2 to rs25", "24 real servers, rs2 to rs25"),
        (7, "rs1 to rs25", "24 real servers, rs1 to rs25 without rs7"),
        (25, "rs1 to rs24", "24 real servers, rs1 to rs24"),
    ],
)
def test_a_group_s_name_leaves_out_the_server_beside_it(
    many: Any, pinned: int, first: str, label: str
) -> None:
    """The server of the selected connection has a box of its own, outside its group."""
    many.evaluate(f"page.player.connection.server = '172.16.0.{pinned + 1}:80'; page.plan()")
    settled(many)
    assert many.locator(f'#network [data-name="rs{pinned}"]').count() == 1
    group = many.locator("#network .host.group").first
    assert first in group.text_content()
    assert group.get_attribute("aria-label") == label


_COUNT_MUCH = """() => {
    const much = {connections: 1e7, packets_in: 1e9, packets_out: 1e9, bytes_in: 1e12, bytes_out: 1e12};
    for (const tables of page.store.tables) for (const service of tables.services) {
        for (const server of service.servers) Object.assign(server, {...much, rates: {connections: 1e4}});
    }
    page.panels.tables.key = null;
}"""


def smallest_text(page: Any) -> float:
    """Of the network, in pixels of the screen."""
    settled(page)
    return float(
        page.evaluate(
            """() => Math.min(...[...document.querySelectorAll("#network text")]
                .filter((text) => text.textContent)
                .map((text) => parseFloat(getComputedStyle(text).fontSize) * text.getScreenCTM().a))"""
        )
    )


@pytest.mark.parametrize(("width", "height"), [(1024, 768), (1280, 720), (1920, 1080)])
def test_the_page_fits_a_small_screen_and_a_projector(many: Any, width: int, height: int) -> None:
    """Nothing has to be scrolled sideways, except within a table that says so, and all can be read."""
    many.evaluate(_COUNT_MUCH)
    many.set_viewport_size({"width": width, "height": height})
    assert smallest_text(many) >= 10
    for number in range(1, 7):
        press(many, str(number))
        assert many.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, number
        assert many.locator("#play").bounding_box()["x"] >= 0
