"""A run as items: from captures and events that are spelled here, byte by byte and line by line."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoRequest,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    ICMPv6PacketTooBig,
)

from director.core.packet import Endpoint
from tests.unit.view import packets
from tests.unit.view.packets import CLIENT, SERVER, VIP, A, B
from view import captures, mirror, rule_words, run
from view.frames import Frame, dissect, in_words
from view.story import Item, Story


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = packets.folder(tmp_path)
    (found / "pcap" / "about.json").write_text(json.dumps(packets.ABOUT))
    return found


def write_events(folder: Path, *events: dict[str, Any]) -> None:
    with (folder / "events.jsonl").open("a") as file:
        file.writelines(json.dumps(event) + "\n" for event in events)


def report(folder: Path, rate: float | None = None) -> list[Item]:
    story = Story(folder, run.document(folder), rate)
    return [*story.more(), *story.end()]


def of_kind(items: list[Item], kind: str) -> list[Item]:
    return [item for item in items if item["kind"] == kind]


def test_a_packet_is_one_walk_over_all_hosts_and_says_what_was_changed(folder: Path) -> None:
    hops = of_kind(report(folder), "packet")
    assert [(hop["interface"], hop["hop"]) for hop in hops] == [("c1-eth0", 0), ("d-eth0", 1), ("d-eth1", 2)]
    assert len({hop["walk"] for hop in hops}) == 1
    assert hops[0]["changed"] == []
    assert {"frame.src", "ip.ttl"} <= set(hops[1]["changed"])
    assert {"frame.src", "frame.dst", "ip.dst", "ip.ttl"} == set(hops[2]["changed"])
    assert {hop["connection"] for hop in hops} == {f"TCP {CLIENT}:40001 {VIP}:80"}
    assert {hop["direction"] for hop in hops} == {"request"}
    assert [hop["t"] for hop in hops] == [0.0, 0.001, 0.003]


def test_a_reply_belongs_to_the_connection_that_the_director_has_told_of(folder: Path) -> None:
    reply = packets.ip(SERVER, CLIENT, packets.tcp(80, 40001, 0x12), number=0)
    answer = packets.frame("02:00:00:00:00:0a", packets.MACS["d-eth1"], reply)
    (folder / "pcap" / "rs1-eth0.pcap").write_bytes(packets.pcap((100.01, answer)))
    write_events(
        folder,
        *packets.events(packets.server(SERVER, 1)),
        packets.connection("new", 40001, SERVER, 100.0, "NONE", why="service matched; wrr: it is its turn"),
    )
    last = of_kind(report(folder), "packet")[-1]
    assert (last["direction"], last["connection"]) == ("reply", f"TCP {CLIENT}:40001 {VIP}:80")
    assert last["l4"]["flags"] == "SA"


def test_a_retransmission_is_a_walk_of_its_own(folder: Path) -> None:
    c1, d0, _ = packets.MACS.values()
    again = packets.frame(c1, d0, packets.ip(CLIENT, VIP, packets.tcp(40001, 80, 2)))
    (folder / "pcap" / "c1-eth0.pcap").write_bytes(packets.pcap((100.0, again), (100.5, again)))
    assert [len({hop["walk"] for hop in of_kind(report(folder), "packet")})] == [2]


def test_a_frame_flooded_to_another_port_is_no_hop(folder: Path) -> None:
    flooded = packets.frame(
        "02:00:00:00:00:77", "02:00:00:00:00:78", packets.ip(CLIENT, VIP, packets.tcp(1, 2, 2))
    )
    (folder / "pcap" / "c1-eth0.pcap").write_bytes(packets.pcap((100.0, flooded)))
    assert [hop["interface"] for hop in of_kind(report(folder), "packet")] == ["d-eth0", "d-eth1"]


def test_a_tunnel_is_an_outer_header() -> None:
    inner = packets.ip(CLIENT, VIP, packets.tcp(40001, 80, 2))
    raw = packets.frame(A, B, packets.ip("203.0.113.2", "192.0.2.2", inner, protocol=4))
    found = dissect(raw, ethernet=True)
    assert found is not None
    assert found.outer is not None
    assert (found.outer.dst, found.ip and found.ip.dst) == ("192.0.2.2", VIP)
    assert in_words(found).startswith("203.0.113.2 > 192.0.2.2 IPIP: TCP 198.51.100.101:40001 > ")


def test_arp_in_words() -> None:
    raw = packets.frame(A, "ff:ff:ff:ff:ff:ff", packets.arp(1, A, CLIENT, VIP), 0x0806)
    found = dissect(raw, ethernet=True)
    assert found is not None
    assert in_words(found) == f"ARP who has {VIP}? tell {CLIENT}"


@pytest.mark.parametrize("length", range(54))
def test_a_frame_cut_short_anywhere_is_left_out_or_shown(length: int) -> None:
    raw = packets.frame(A, B, packets.ip(CLIENT, VIP, packets.tcp(1, 2, 2)))
    found = dissect(raw[:length], ethernet=True)
    assert found is None or in_words(found)


def test_sampling_keeps_whole_walks_and_says_how_many_it_has_left_out(folder: Path) -> None:
    c1, d0, d1 = packets.MACS.values()
    sent, passed = [], []
    for number in range(1, 1001):  # data, within a second
        body = packets.tcp(40001, 80, 0x10, seq=number, data=b"x")
        at = 100 + number / 1000
        sent.append((at, packets.frame(c1, d0, packets.ip(CLIENT, VIP, body, number=number))))
        passed.append(
            (
                at + 0.0001,
                packets.frame(d1, "02:00:00:00:00:0a", packets.ip(CLIENT, SERVER, body, number=number)),
            )
        )
    (folder / "pcap" / "c1-eth0.pcap").write_bytes(packets.pcap(*sent))
    (folder / "pcap" / "d-eth1.pcap").write_bytes(packets.pcap(*passed))
    (folder / "pcap" / "d-eth0.pcap").unlink()
    items = report(folder, rate=100)
    walks: dict[int, int] = {}
    for hop in of_kind(items, "packet"):
        walks[hop["walk"]] = walks.get(hop["walk"], 0) + 1
    assert set(walks.values()) == {2}
    assert 150 <= len(walks) <= 300  # those that were saved up, and a second's worth
    assert sum(item["count"] for item in of_kind(items, "missed")) == 1000 - len(walks)


def test_why_this_server(folder: Path) -> None:
    rules = packets.events(packets.server("172.16.0.2", 1), packets.server("172.16.0.3", 2))
    why = "service TCP 203.0.113.1:80 matched; wrr: current weight 2, 172.16.0.3:80 has weight 2"
    write_events(folder, *rules, packets.connection("new", 40001, "172.16.0.3", 100.0, "NONE", why=why))
    (item,) = of_kind(report(folder), "scheduler")
    assert item["chosen"] == "172.16.0.3:80"
    assert item["sentences"] == why.split("; ")
    turns = item["picture"]["turns"]
    assert sorted(turns) == ["172.16.0.2:80", "172.16.0.3:80", "172.16.0.3:80"]
    assert turns[item["picture"]["at"]] == "172.16.0.3:80"


@pytest.mark.parametrize(
    ("scheduler", "kind"),
    [
        ("rr", "turns"),
        ("wlc", "counts"),
        ("sed", "counts"),
        ("nq", "counts"),
        ("sh", "slots"),
        ("mh", "slots"),
        ("lblcr", "sets"),
    ],
)
def test_each_scheduler_has_its_picture(scheduler: str, kind: str) -> None:
    copy = mirror.Mirror("nat", scheduler)
    for event in packets.events(packets.server("172.16.0.2", 1), packets.server("172.16.0.3", 2)):
        copy.follow(event)
    why = f"{scheduler}: {CLIENT} hashes to bucket 17 of 256"
    item = copy.follow(packets.connection("new", 40001, "172.16.0.2", 100.0, "NONE", why=why))
    assert item is not None
    assert item["picture"]["kind"] == kind
    if kind == "counts":
        assert {row["server"] for row in item["picture"]["rows"]} == {"172.16.0.2:80", "172.16.0.3:80"}
    if kind == "slots":
        assert item["picture"]["slot"] == 17
        assert sum(count for _, count in item["picture"]["owners"]) == item["picture"]["slots"]


def test_connections_are_counted_as_their_events_tell() -> None:
    copy = mirror.Mirror("nat", "wlc")
    for event in packets.events(packets.server("172.16.0.2", 1)):
        copy.follow(event)
    copy.follow(packets.connection("new", 40001, "172.16.0.2", 100.0, "NONE", why="wlc: it"))
    copy.follow(packets.connection("state", 40001, "172.16.0.2", 100.1, "ESTABLISHED"))
    copy.follow(packets.connection("new", 40002, "172.16.0.2", 100.2, "NONE", why="wlc: it"))
    copy.follow(packets.connection("state", 40002, "172.16.0.2", 100.3, "FIN_WAIT"))
    (service,) = copy.tables(101.0, 10)["services"]
    assert [(server["active"], server["inactive"]) for server in service["servers"]] == [(1, 1)]
    copy.follow(packets.connection("expired", 40001, "172.16.0.2", 102.0, "ESTABLISHED"))
    table = copy.tables(102.0, 10)
    assert [connection["key"] for connection in table["connections"]] == [f"TCP {CLIENT}:40002 {VIP}:80"]


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "AddService(key=ServiceKey(protocol=6, address=Endpoint(*[1]), mark=0))",
        "Clear(",
        "open('/etc/passwd')",
        "(" * 500,
        "AddServer(server=Endpoint(address='x', port='y'))",
        "",
    ],
)
def test_a_command_that_is_none_is_not_carried_out(text: str) -> None:
    assert rule_words.read_command(text) is None


KEY = "key=ServiceKey(protocol=6, address=Endpoint(address='203.0.113.1', port=80), mark=0)"
SIX = "key=ServiceKey(protocol=17, address=Endpoint(address='2001:db8:cb00:71::1', port=53), mark=0)"
SERVER_3 = "server=Endpoint(address='172.16.0.3', port=8000)"


@pytest.mark.parametrize(
    ("spelled", "typed"),
    [
        (f"AddService({KEY}, scheduler=None, exist_ok=True)", "ipvsadm -A -t 203.0.113.1:80"),
        (f"EditService({KEY}, scheduler='wlc', flags=('flag-1',), persistent=60, netmask='255.255.255.0')",
         "ipvsadm -E -t 203.0.113.1:80 -s wlc -p 60 -M 255.255.255.0 -b flag-1"),
        (f"AddService({SIX}, scheduler='rr', one_packet=True)",
         "ipvsadm -A -u [2001:db8:cb00:71::1]:53 -s rr -o"),
        (f"DeleteService({KEY})", "ipvsadm -D -t 203.0.113.1:80"),
        (f"AddServer({KEY}, {SERVER_3}, weight=2, method=<Method.NAT: 'Masq'>, upper=9, lower=0)",
         "ipvsadm -a -t 203.0.113.1:80 -r 172.16.0.3:8000 -m -w 2 -x 9"),
        (f"EditServer({KEY}, {SERVER_3}, weight=0)", "ipvsadm -e -t 203.0.113.1:80 -r 172.16.0.3:8000 -w 0"),
        (f"DeleteServer({KEY}, {SERVER_3})", "ipvsadm -d -t 203.0.113.1:80 -r 172.16.0.3:8000"),
        ("Clear()", "ipvsadm -C"),
        ("Zero(key=None)", "ipvsadm -Z"),
        ("DeleteService(key=ServiceKey(mark=7))", "ipvsadm -D -f 7"),
        ("SetTimeouts(tcp=10, tcpfin=0, udp=0)", "ipvsadm --set 10 0 0"),
        ("SetSysctl(name='drop_entry', value=1)", "ipvs-sysctl -w drop_entry=1"),
        ("AddMark(mark=1, network='203.0.113.1', protocol=6, first=80, last=80)",
         "fwmark -A -p tcp -d 203.0.113.1 --dport 80 --set-mark 1"),
        ("DeleteMark(mark=1, network='203.0.113.0/24')", "fwmark -D -d 203.0.113.0/24 --set-mark 1"),
        ("ClearMarks()", "fwmark -F"),
        ("DeleteService(key=7)", "DeleteService(key=7)"),
        ("Strange()", "Strange()"),
    ],
)  # fmt: skip
def test_a_changed_rule_is_told_as_it_is_typed(spelled: str, typed: str) -> None:
    """The words that ipvsadm and fwmark read as this command: compared below with those tools."""
    assert rule_words.as_typed(spelled) == typed


def test_the_tools_read_what_an_event_tells_as_the_same_command() -> None:
    """Each line, given to ipvsadm's own parser, is the command it was made from, defaults filled in."""
    from director.formats.command_json import decode
    from director.ipvsadm import requests
    from director.ipvsadm.arguments import parse

    for line in (
        "-A -t 203.0.113.1:80 -s wlc -p 60 -M 255.255.255.0",
        "-E -t 203.0.113.1:80 -s mh -b flag-1,flag-2",
        "-a -t 203.0.113.1:80 -r 172.16.0.3:8000 -m -w 2 -x 9 -y 3",
        "-e -f 7 -r 172.16.0.3:0 -i -w 0",
        "-d -u [2001:db8:cb00:71::1]:53 -r [fd00::1]:53",
        "-D -f 7 -6",
        "-C",
        "-Z",
        "--set 10 20 30",
    ):
        (message,) = requests.commands(parse(line.split()))
        typed = rule_words.as_typed(str(decode(message)))
        (again,) = requests.commands(parse(typed.split()[1:]))
        assert decode(again) == decode(message), (line, typed)


def test_a_refused_rule_is_told_with_its_reason(folder: Path) -> None:
    refused = {"kind": "refused", "time": 99.5, "command": f"DeleteService({KEY})", "why": "there is none"}
    (folder / "events.jsonl").write_text(json.dumps(refused) + "\n")
    (event,) = of_kind(Story(folder, run.document(folder)).more(), "event")
    assert event["text"] == "ipvsadm -D -t 203.0.113.1:80: refused"
    assert event["why"] == "there is none"


@pytest.mark.parametrize(
    ("event", "text"),
    [
        ({"kind": "quorum_up", "service": "TCP 203.0.113.1:80"}, "service TCP 203.0.113.1:80"),
        ({"kind": "dropped", "source": "a:1", "destination": "b:2"}, "a:1 > b:2"),
        ({"kind": "rejected", "source": "a:1", "destination": "b:2"}, "a:1 > b:2"),
        (
            {"kind": "shed", "interface": "d-eth0", "syns": 9, "strangers": 2},
            "d-eth0: too many packets, dropped without a look: 9 SYNs, 2 others",
        ),
        (
            {"kind": "failed", "frame": "0200cb", "trace": ["Traceback", "KeyError"]},
            "a packet is lost: the trace is in events.jsonl",
        ),
        ({"kind": "lost", "count": 3}, "3 events were not written"),
    ],
)
def test_an_event_s_kind_and_reason_are_told_once(folder: Path, event: dict[str, Any], text: str) -> None:
    """The page shows both beside the text."""
    line = json.dumps({**event, "time": 99.5, "why": "a reason"})
    (folder / "events.jsonl").write_text(f"{line}\n")
    (item,) = of_kind(Story(folder, run.document(folder)).more(), "event")
    assert (item["event"], item["text"], item["why"]) == (event["kind"], text, "a reason")


@pytest.mark.parametrize(("count", "most"), [(150, False), (3000, True)])
def test_it_knows_when_most_packets_are_left_out(folder: Path, count: int, most: bool) -> None:
    """A live view then takes less of the processor for reading."""
    story = Story(folder, run.document(folder), 100)
    story.more()
    fast_lab(folder, 101_000, count)
    story.more()
    assert story.leaves_most_out is most


def test_what_is_appended_is_read_on(folder: Path) -> None:
    story = Story(folder, run.document(folder))
    first = story.more()
    assert len(of_kind(first, "packet")) == 3
    assert story.more() == []
    c1, d0, _ = packets.MACS.values()
    late = packets.pcap((101.0, packets.frame(c1, d0, packets.ip(CLIENT, VIP, packets.tcp(40002, 80, 2)))))[
        24:
    ]
    path = folder / "pcap" / "c1-eth0.pcap"
    for part in (late[:20], late[20:]):  # tcpdump has written half of a record
        with path.open("ab") as file:
            file.write(part)
        last = story.more()
    assert [hop["l4"]["sport"] for hop in of_kind(last, "packet")] == [40002]
    assert last[0]["id"] == len(first) + 1


def test_live_records_wait_for_those_of_other_files(folder: Path) -> None:
    story = Story(folder, run.document(folder))
    assert of_kind(story.more(until=100.0), "packet") == []
    assert len(of_kind(story.more(until=100.02 + 0.04), "packet")) == 3


# ---- folders that are cut short, or not ours ----


def test_a_capture_that_ends_within_a_packet_is_told(folder: Path) -> None:
    path = folder / "pcap" / "d-eth1.pcap"
    path.write_bytes(path.read_bytes()[:-5])
    items = report(folder)
    assert len(of_kind(items, "packet")) == 2
    assert [item["why"] for item in of_kind(items, "missed")] == ["pcap/d-eth1.pcap ends within a packet"]


@pytest.mark.parametrize(
    "content", [b"GIF89a" + bytes(2000), bytes(30), packets.pcap()[:24] + b"\xff" * 300_000]
)
def test_a_file_that_is_no_capture_is_told(folder: Path, content: bytes) -> None:
    (folder / "pcap" / "d-eth1.pcap").write_bytes(content)
    items = report(folder)
    assert len(of_kind(items, "packet")) == 2
    assert "not a tcpdump capture" in of_kind(items, "missed")[0]["why"]


def test_lines_that_are_no_events_are_counted(folder: Path) -> None:
    (folder / "events.jsonl").write_text(
        'nonsense\n[1]\n{"kind": "new", "time": 1e2}\n{"kind": 3}\n\x00\n{"kind"'
    )
    (missed,) = of_kind(report(folder), "missed")
    assert (missed["count"], missed["why"]) == (4, "events.jsonl has lines that are not JSON objects")


def test_an_empty_folder_has_a_document_that_says_what_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "pcap").mkdir()
    document = run.document(tmp_path)
    assert document["hosts"] == []
    assert "captures" in document["incomplete"]
    assert of_kind(report(tmp_path), "end")


@pytest.mark.parametrize("name", ["events.jsonl", "events-d2.jsonl"])
@pytest.mark.parametrize("vip", ["203.0.113.1", "2001:db8::1"])
def test_without_a_description_the_vip_is_known_from_events(tmp_path: Path, name: str, vip: str) -> None:
    """Those of one director, or of either of two."""
    event = {"kind": "new", "time": 1.0, "vip": str(Endpoint(vip, 80))}
    (tmp_path / "events-d1.jsonl").write_text("")
    (tmp_path / name).write_text(json.dumps(event) + "\n")
    assert run.document(tmp_path)["vips"] == [vip]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"interfaces": 3, "names": []}', '{"interfaces": {"x": ["y"]}}', "[" * 9999]
)
def test_a_damaged_description_is_no_traceback(folder: Path, text: str) -> None:
    (folder / "pcap" / "about.json").write_text(text)
    assert run.document(folder)["lab"] == "nat"
    assert of_kind(report(folder), "end")


def test_markup_stays_data(folder: Path) -> None:
    evil = "<script>alert(1)</script>"
    about = {
        **packets.ABOUT,
        "interfaces": {"x-eth0": [f"client {evil}, 198.51.100.9, on the Internet", "02:00:00:00:00:55"]},
    }
    (folder / "pcap" / "about.json").write_text(json.dumps(about))
    write_events(folder, {"kind": "dropped", "time": 100.0, "source": evil, "destination": "b", "why": evil})
    assert run.document(folder)["hosts"][0]["name"] == evil
    (event,) = of_kind(report(folder), "event")
    assert event["why"] == evil


def test_the_states_are_those_of_the_core_s_diagram(folder: Path) -> None:
    from director.core.states import DIAGRAMS, mermaid

    arrows = [f"{before} --> {after}:" for before, after in run.document(folder)["states"]["TCP"]]
    drawn = mermaid(DIAGRAMS["VS-NAT"])
    assert arrows
    assert all(arrow in drawn for arrow in arrows)
    assert drawn.count("-->") == len(arrows) + 1


@pytest.mark.parametrize(
    "name", ["protocol", "client", "vip", "server", "state", "expires", "time", "kind", "why"]
)
@pytest.mark.parametrize(
    "value", [None, 3, [], {}, "x", "999.1.1.1:99999", "\ud800", float("inf"), float("nan"), 10**400]
)
def test_an_event_that_no_director_writes_is_no_traceback(folder: Path, name: str, value: Any) -> None:
    rules = packets.events(packets.server(SERVER, 1))
    event = packets.connection("new", 40001, SERVER, 100.0, "NONE", why="wrr: its turn")
    write_events(folder, *rules, {**event, name: value}, {**event, "kind": "state", name: value}, event)
    items = report(folder)
    assert of_kind(items, "end")
    json.dumps(items, allow_nan=False)  # what a page can parse


def test_what_a_live_view_did_not_write_is_left_out(folder: Path) -> None:
    good = {"time": 100.0, "kind": "links", "ports": [{"switch": "s1"}]}
    strange: list[dict[str, Any]] = [
        *(
            {"ports": 3},
            {"ports": [3]},
            {"kind": "tables"},
            {"kind": ["links"]},
            {"time": "now"},
            {"kind": "x"},
        )
    ]
    lines = [json.dumps({**good, **change}) for change in ({}, *strange)]
    (folder / "view.jsonl").write_text("\n".join([*lines, '{"time": 1e999, "kind": "finding"}', ""]))
    items = report(folder)
    assert len(of_kind(items, "links")) == 1
    assert not of_kind(items, "tables")


def test_until_the_director_was_asked_its_tables_are_made_from_events(folder: Path) -> None:
    """Then its own: a lab is built, and checked, before anybody polls it."""
    events = packets.events(packets.server(SERVER, 1))
    events += [packets.connection("new", 40001 + at, SERVER, 100.0 + at, "NONE") for at in range(10)]
    (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    polled = {"time": 105.5, "kind": "tables", "services": [], "connections": [], "source": "director"}
    (folder / "view.jsonl").write_text(json.dumps(polled) + "\n")
    tables = of_kind(report(folder), "tables")
    assert [one["source"] for one in tables[-2:]] == ["events", "director"]
    assert {one["source"] for one in tables[:-1]} == {"events"}
    assert max(one["t"] for one in tables[:-1]) < tables[-1]["t"]


def test_of_a_scheduler_of_a_student_s_own_its_choices_are_shown(folder: Path) -> None:
    """Its state is not known, and rr, which stands in for it in the core, is named nowhere."""
    start = (folder / "scripts" / "d" / "start.sh").read_text()
    (folder / "scripts" / "d" / "start.sh").write_text(start.replace("wrr", "smooth"))
    chosen = [SERVER, "172.16.0.3", SERVER]
    write_events(
        folder,
        *packets.events(packets.server(SERVER, 2), packets.server("172.16.0.3", 1)),
        *(
            packets.connection("new", 40001 + place, to, 100.0 + place, "NONE", why="smooth: its turn")
            for place, to in enumerate(chosen)
        ),
    )
    items = report(folder)
    last = of_kind(items, "scheduler")[-1]
    assert (last["name"], last["picture"]["kind"]) == ("smooth", "recent")
    assert last["picture"]["chosen"] == [f"{to}:80" for to in chosen]
    counted = {row["server"]: (row["weight"], row["inactive"]) for row in last["picture"]["rows"]}
    assert counted == {f"{SERVER}:80": (2, 1), "172.16.0.3:80": (1, 1)}
    tables = of_kind(items, "tables")[-1]
    assert [service["scheduler"] for service in tables["services"]] == ["smooth"]
    assert len(tables["connections"]) == 3


@pytest.mark.parametrize("started", [None, "x", [], -1, 1e300])
def test_a_start_that_is_none_is_found_anew(folder: Path, started: Any) -> None:
    (folder / "view.json").write_text(json.dumps({"started": started}))
    assert run.document(folder)["started"] == 100.0


# ---- IPv6 ----

CLIENT6, VIP6, SERVER6 = "2001:db8:c633:64::101", "2001:db8:cb00:71::1", "fd00:ac10::2"


def dissected6(src: str, dst: str, body: bytes, following: int) -> Frame:
    raw = packets.frame(A, B, packets.ip6(src, dst, body, following=following), 0x86DD)
    found = dissect(raw, ethernet=True)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            ICMPv6ND_NS(tgt=VIP6) / ICMPv6NDOptSrcLLAddr(lladdr=A),
            f"ICMPv6 neighbour solicitation: who has {VIP6}? tell {CLIENT6}",
        ),
        (
            ICMPv6ND_NA(tgt=VIP6) / ICMPv6NDOptDstLLAddr(lladdr=B),
            f"ICMPv6 neighbour advertisement: {VIP6} is at {B}",
        ),
        (ICMPv6ND_NA(tgt=VIP6), f"ICMPv6 neighbour advertisement: {VIP6}, from {CLIENT6}"),
        (ICMPv6EchoRequest(data=b"abc"), f"ICMPv6 {CLIENT6} > {VIP6} echo request, 3 bytes"),
        (ICMPv6PacketTooBig(mtu=1280), f"ICMPv6 {CLIENT6} > {VIP6} packet too big"),
        (ICMPv6DestUnreach(code=4), f"ICMPv6 {CLIENT6} > {VIP6} destination unreachable (port)"),
    ],
)
def test_messages_of_ipv6_are_named(body: Any, words: str) -> None:
    assert in_words(dissected6(CLIENT6, VIP6, bytes(body), 58)) == words


def test_extension_headers_are_skipped_and_a_later_fragment_has_no_ports() -> None:
    syn = packets.tcp(40001, 80, 2)
    options = bytes([6, 0, 1, 4, 0, 0, 0, 0])
    found = dissected6(CLIENT6, VIP6, options + syn, 60)
    assert found.l4 is not None
    assert (found.l4.protocol, found.l4.dport, found.l4.length) == ("TCP", 80, 0)
    later = dissected6(CLIENT6, VIP6, bytes([6, 0, 0, 0x80, 0, 0, 0, 1]) + b"data", 44)
    assert later.l4 is not None
    assert (later.l4.protocol, later.l4.kind, later.l4.dport) == ("TCP", "fragment", 0)


@pytest.mark.parametrize("outer", [4, 6])
def test_a_tunnel_of_ipv6_is_an_outer_header(outer: int) -> None:
    inner = packets.ip6(CLIENT6, VIP6, packets.tcp(40001, 80, 2))
    if outer == 4:
        raw = packets.frame(A, B, packets.ip("203.0.113.2", "192.0.2.2", inner, protocol=41))
        found = dissect(raw, ethernet=True)
    else:
        found = dissected6("2001:db8:cb00:71::2", "2001:db8:c000:200::2", inner, 41)
    assert found is not None
    assert found.outer is not None
    assert found.ip is not None
    assert (found.ip.dst, found.outer.protocol) == (VIP6, "IPv6")


@pytest.mark.parametrize("rate", [None, 100.0])
def test_a_packet_of_ipv6_is_one_walk_though_it_has_no_identification(
    folder: Path, rate: float | None
) -> None:
    about = json.loads(
        json.dumps(packets.ABOUT).replace(CLIENT, CLIENT6).replace(SERVER, SERVER6).replace(VIP, VIP6)
    )
    (folder / "pcap" / "about.json").write_text(json.dumps(about))
    c1, d0, d1 = packets.MACS.values()
    for number, (name, src, dst, to) in enumerate(
        [("c1-eth0", c1, d0, VIP6), ("d-eth0", c1, d0, VIP6), ("d-eth1", d1, "02:00:00:00:00:0a", SERVER6)]
    ):
        frames = [
            (
                100 + seq / 100 + number / 1000,
                packets.frame(
                    src,
                    dst,
                    packets.ip6(CLIENT6, to, packets.tcp(40001, 80, 0x10, seq=seq), hops=64 - number),
                    0x86DD,
                ),
            )
            for seq in (1, 2)
        ]
        (folder / "pcap" / f"{name}.pcap").write_bytes(packets.pcap(*frames))
    hops = of_kind(report(folder, rate), "packet")
    assert [(hop["walk"], hop["hop"]) for hop in hops] == [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)]
    assert {hop["connection"] for hop in hops} == {f"TCP [{CLIENT6}]:40001 [{VIP6}]:80"}
    assert "ip.dst" in hops[2]["changed"]


@pytest.mark.parametrize("rate", [None, 100.0])
def test_two_packets_that_look_alike_are_two_walks(folder: Path, rate: float | None) -> None:
    """Repeated ACKs of IPv6: both are sent before the first arrives."""
    about = json.loads(json.dumps(packets.ABOUT).replace(CLIENT, CLIENT6).replace(VIP, VIP6))
    (folder / "pcap" / "about.json").write_text(json.dumps(about))
    c1, d0, _ = packets.MACS.values()
    ack = packets.frame(c1, d0, packets.ip6(CLIENT6, VIP6, packets.tcp(40001, 80, 0x10)), 0x86DD)
    (folder / "pcap" / "c1-eth0.pcap").write_bytes(packets.pcap((100.0, ack), (100.001, ack)))
    (folder / "pcap" / "d-eth0.pcap").write_bytes(packets.pcap((100.002, ack), (100.003, ack)))
    (folder / "pcap" / "d-eth1.pcap").unlink()
    hops = of_kind(report(folder, rate), "packet")
    assert [(hop["interface"], hop["walk"], hop["hop"]) for hop in hops] == [
        ("c1-eth0", 1, 0),
        ("c1-eth0", 2, 0),
        ("d-eth0", 1, 1),
        ("d-eth0", 2, 1),
    ]


# ---- a lab that is faster than the view ----


def fast_lab(folder: Path, first: int, count: int) -> None:
    """Append the captures of `count` packets, of three sightings each, a millisecond apart."""
    c1, d0, d1 = packets.MACS.values()
    for name, src, dst, to, late in (
        ("c1-eth0", c1, d0, VIP, 0.0),
        ("d-eth0", "02:00:00:00:00:09", d0, VIP, 0.0001),
        ("d-eth1", d1, "02:00:00:00:00:0a", SERVER, 0.0002),
    ):
        content = b"".join(
            packets.pcap(
                (
                    at / 1000 + late,
                    packets.frame(
                        src,
                        dst,
                        packets.ip(
                            CLIENT,
                            to,
                            packets.tcp(40001, 80, 0x10, seq=at, data=bytes(90)),
                            number=at % 65_535 + 1,
                        ),
                    ),
                )
            )[24:]
            for at in range(first, first + count)
        )
        with (folder / "pcap" / f"{name}.pcap").open("ab") as file:
            file.write(content)


def test_what_can_not_be_read_in_time_is_skipped_in_all_captures_and_counted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Walks stay whole: none begins so late, or so early, that a hop of it may have been skipped."""
    story = Story(folder, run.document(folder), 1e6)
    story.more(most=200_000)
    monkeypatch.setattr(captures, "_now", lambda: 104_000_000)
    fast_lab(folder, 101_000, 3000)
    fast = [*story.more(most=200_000)]
    fast_lab(folder, 104_000, 250)
    fast += story.more(most=200_000)
    hops = of_kind(fast, "packet")
    by_walk = Counter(hop["walk"] for hop in hops)
    assert set(by_walk.values()) == {3}
    missed = sum(item["count"] for item in of_kind(fast, "missed"))
    assert 0.8 * 3250 < missed + len(by_walk) < 1.2 * 3250
    assert min(hop["t"] for hop in hops) < 1.1
    assert max(hop["t"] for hop in hops) > 4.24
    assert not [hop for hop in hops if 1.31 < hop["t"] < 4.1]


def test_of_too_many_connections_those_that_are_shown_have_all_their_events(folder: Path) -> None:
    rules = packets.events(packets.server(SERVER, 1))
    events: list[dict[str, Any]] = []
    for number in range(300):  # within a second
        at, port = 100 + number / 300, 1024 + number
        events += [
            packets.connection("new", port, SERVER, at, "NONE", why="wrr: its turn"),
            packets.connection("state", port, SERVER, at + 0.0001, "SYN_RECV"),
            packets.connection("expired", port, SERVER, at + 0.0002, "SYN_RECV"),
        ]
    write_events(folder, *rules, *events)
    items = report(folder, rate=100.0)
    shown = Counter(item["connection"] for item in of_kind(items, "event") if item["connection"])
    assert set(shown.values()) == {3}
    (missed,) = (item for item in of_kind(items, "missed") if item["what"] == "connections")
    assert len(shown) + missed["count"] == 300
    assert 50 <= len(shown) <= 120
    assert len(of_kind(items, "scheduler")) == len(shown)
    whole = report(folder)
    assert len({item["connection"] for item in of_kind(whole, "event") if item["connection"]}) == 300


def busy(first: int, count: int) -> list[dict[str, Any]]:
    """The events of so many connections, a millisecond apart, which all end."""
    kinds = (("new", "NONE"), ("state", "ESTABLISHED"), ("expired", "ESTABLISHED"))
    return [
        packets.connection(kind, 1024 + number, SERVER, 100 + number / 1000, state, why="wrr: its turn")
        for number in range(first, first + count)
        for kind, state in kinds
    ]


def test_of_more_events_than_can_be_read_rules_and_shown_connections_are_told(folder: Path) -> None:
    """Else the page would fall behind the lab, further and further."""
    rule, *rules = packets.events(packets.server(SERVER, 1), packets.server("172.16.0.3", 1))
    story = Story(folder, run.document(folder), 1e6)
    write_events(folder, rule, *rules[:-1], *busy(0, 30)[:-1])
    assert len({item["connection"] for item in of_kind(story.more(), "event")} - {None}) == 30
    last = {**rules[-1], "time": 103.1}, {**busy(29, 1)[-1], "time": 103.2}
    write_events(folder, *busy(30, 3000), *last)
    items = story.more(most=300_000)
    (rule_shown, ended) = of_kind(items, "event")[-2:]
    assert rule_shown["text"] == "ipvsadm -a -t 203.0.113.1:80 -r 172.16.0.3:80 -w 1"
    assert (ended["event"], ended["connection"]) == ("expired", f"TCP {CLIENT}:1053 {VIP}:80")
    shown = {item["connection"] for item in of_kind(items, "event")} - {None, ended["connection"]}
    (missed,) = (item for item in of_kind(items, "missed") if item["what"] == "connections")
    assert len(shown) + missed["count"] == 3000
    write_events(folder, *busy(4000, 1))
    assert len(of_kind(story.more(most=300_000), "event")) == 3


def test_after_events_were_left_out_servers_have_as_many_connections_as_the_director_says() -> None:
    copy = mirror.Mirror("nat", "wlc")
    for event in packets.events(packets.server(SERVER, 1)):
        copy.follow(event)
    copy.follow(packets.connection("new", 40001, SERVER, 100.0, "ESTABLISHED", why="wlc: it"))

    def counts() -> tuple[int, int]:
        ((server,),) = (service["servers"] for service in copy.tables(101.0, 10)["services"])
        return server["active"], server["inactive"]

    listed = {"address": SERVER, "port": 80, "active": 5, "inactive": 7}
    told = [{"protocol": "TCP", "address": VIP, "port": 80, "mark": 0, "servers": [listed]}]
    copy.adopt(told)
    assert counts() == (1, 0)  # it knows better
    copy.forget()
    assert counts() == (0, 0)
    copy.adopt(told)
    copy.follow(packets.connection("expired", 40001, SERVER, 101.0, "ESTABLISHED"))  # is among the five
    assert counts() == (5, 7)
    copy.follow(packets.connection("new", 40002, SERVER, 101.0, "ESTABLISHED", why="wlc: it"))
    assert counts() == (6, 7)


# ---- two directors ----


def test_each_of_two_directors_tells_of_itself(folder: Path) -> None:
    for name, state in (("d1", "MASTER"), ("d2", "BACKUP")):
        told_by = {"kind": "vrrp", "time": 100.0, "instance": "VIP", "state": state, "priority": 1}
        (folder / f"events-{name}.jsonl").write_text(
            "".join(
                json.dumps(event) + "\n" for event in (*packets.events(packets.server(SERVER, 1)), told_by)
            )
        )
    holds = {"kind": "heartbeat", "time": 101.0, "node": "d2", "peer": "d1", "state": "dead", "held": ["VIP"]}
    with (folder / "events-d2.jsonl").open("a") as file:
        file.write(json.dumps(holds) + "\n")
    items = report(folder)
    masters = [(event["host"], event["master"]) for event in of_kind(items, "event") if "master" in event]
    assert masters == [("d1", True), ("d2", False), ("d2", True)]
    assert {table["host"] for table in of_kind(items, "tables")} == {"d1", "d2"}
