"""heartbeat: who holds the VIP, with the time passed in; its messages, and the files of its folder."""

from __future__ import annotations

import contextlib
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from availability.config import ConfigError
from availability.config.values import Script
from availability.heartbeat import beating, ha_d, messages
from availability.heartbeat.ha_d import Medium
from availability.heartbeat.messages import Key, Malformed
from availability.heartbeat.node import Action, Do, Heartbeat, Node, Peer, Settings
from availability.vrrp.instances import Address

VIP = "203.0.113.1"
SETTINGS = Settings("d1", "d2", {VIP: "d1"}, keepalive=1, deadtime=10, warntime=5, initdead=30)
BEAT, WARN = Action(Do.BEAT), Action(Do.WARN)
ACQUIRE, RELEASE = [Action(Do.ACQUIRE, VIP), BEAT], [Action(Do.RELEASE, VIP), BEAT]


def new_node(name: str = "d1", **changes: Any) -> Node:
    peer = "d2" if name == "d1" else "d1"
    node = Node(replace(SETTINGS, node=name, peer=peer, **changes))
    assert node.start(0.0) == [BEAT]
    return node


def beat(name: str, number: int, *held: str, is_last: bool = False) -> Heartbeat:
    return Heartbeat(name, (1, number), frozenset(held), is_last)


def run(node: Node, until: float) -> list[tuple[float, Action]]:
    """What is due until then, without the heartbeats."""
    found = []
    while node.next <= until:
        now = node.next
        found += [(now, action) for action in node.tick(now) if action.do is not Do.BEAT]
    return found


def test_a_heartbeat_each_keepalive() -> None:
    node = new_node()
    assert [node.tick(now) for now in (0.9, 1.0, 1.5, 2.0)] == [[], [BEAT], [], [BEAT]]


def test_the_silence_of_deadtime_is_death() -> None:
    node = new_node("d2")
    assert node.receive(beat("d1", 1, VIP), 3.0) == []
    assert run(node, 20) == [(8.0, WARN), (13.0, Action(Do.ACQUIRE, VIP))]
    assert (node.peer, node.held) == (Peer.DEAD, {VIP})


def test_at_the_start_the_peer_has_initdead() -> None:
    assert run(new_node("d2"), 40) == [(30.0, Action(Do.ACQUIRE, VIP))]


def test_the_node_of_haresources_acquires_when_it_hears_that_nobody_has() -> None:
    node = new_node("d1")
    assert node.receive(beat("d2", 1), 1.0) == ACQUIRE
    assert new_node("d2").receive(beat("d1", 1), 1.0) == []


def test_failing_back() -> None:
    """d2 holds the VIP, and d1 comes back: d2 gives it up, and only then d1 acquires it."""
    second, first = new_node("d2"), new_node("d1")
    run(second, 30)
    assert first.receive(beat("d2", 1, VIP), 31.0) == []
    assert second.receive(beat("d1", 1), 31.0) == RELEASE
    assert first.receive(beat("d2", 2), 31.1) == ACQUIRE


def test_without_auto_failback_it_stays_where_it_is() -> None:
    second, first = (new_node(name, auto_failback=False) for name in ("d2", "d1"))
    run(second, 30)
    assert second.receive(beat("d1", 1), 31.0) + first.receive(beat("d2", 1, VIP), 31.0) == []
    assert first.receive(beat("d2", 2, VIP, is_last=True), 40.0) == ACQUIRE


def test_an_orderly_end_is_told_after_the_release() -> None:
    first, second = new_node("d1"), new_node("d2")
    first.receive(beat("d2", 1), 1.0)
    assert first.stop() == [Action(Do.RELEASE, VIP), Action(Do.SAY_GOODBYE)]
    assert second.receive(beat("d1", 1, VIP), 1.0) == []
    assert second.receive(beat("d1", 2, is_last=True), 2.0) == ACQUIRE
    assert new_node("d2").stop() == [Action(Do.SAY_GOODBYE)]


def test_two_holders_that_hear_each_other_again() -> None:
    """After a cut cable: the node of haresources keeps the VIP, and its gratuitous ARP is the last one."""
    for failback in (True, False):
        first, second = (new_node(name, auto_failback=failback) for name in ("d1", "d2"))
        run(first, 30)
        run(second, 30)
        assert first.receive(beat("d2", 9, VIP), 40.0) == [Action(Do.ANNOUNCE, VIP)]
        assert second.receive(beat("d1", 9, VIP), 40.0) == RELEASE


def test_messages_of_others_and_those_that_come_twice_are_nothing_new() -> None:
    node = new_node("d2")
    assert node.receive(Heartbeat("d3", (1, 1)), 1.0) == []
    assert node.peer is Peer.UNKNOWN
    node.receive(beat("d1", 5, VIP), 1.0)
    for number in (5, 4):
        assert node.receive(beat("d1", number), 9.0) == []
    assert run(node, 11) == [(6.0, WARN), (11.0, Action(Do.ACQUIRE, VIP))]
    assert node.receive(beat("d1", 1), 12.0) == RELEASE  # it has been dead: its numbers begin anew


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=40), st.booleans())
def test_two_nodes_agree_in_the_end(lost: list[tuple[bool, bool]], failback: bool) -> None:
    """Whatever is lost for a while, in the end one of them holds the VIP."""
    pair = [new_node(name, auto_failback=failback) for name in ("d1", "d2")]
    sent = [0, 0]

    def do(index: int, actions: list[Action], now: float, losing: tuple[bool, bool]) -> None:
        for action in actions:
            if action.do is Do.BEAT:
                sent[index] += 1
                message = beat(pair[index].settings.node, sent[index], *pair[index].held)
                if not losing[index]:
                    do(1 - index, pair[1 - index].receive(message, now), now, losing)

    for step in range(100):
        losing = lost[step] if step < len(lost) else (False, False)
        for index, node in enumerate(pair):
            do(index, node.tick(step + 1.0), step + 1.0, losing)
    assert sum(len(node.held) for node in pair) == 1
    assert [node.peer for node in pair] == [Peer.ACTIVE] * 2
    if failback:
        assert pair[0].held == {VIP}


# ---- the resource script that comes with the checkout ----

IPVSADM = """#!/bin/sh
[ "$1" = -L ] && { cat DAEMONS; exit; }
echo "$*" >> TOLD
"""


@pytest.mark.parametrize(
    ("running", "words", "commands"),
    [
        ("", "master eth1 7 start", ["--start-daemon master --mcast-interface eth1 --syncid 7"]),
        ("", "master eth1 stop", ["--start-daemon backup --mcast-interface eth1 --syncid 0"]),
        ("backup", "master eth1 start", ["--stop-daemon backup", "--start-daemon master"]),
        ("master", "master eth1 stop", ["--stop-daemon master", "--start-daemon backup"]),
        ("master", "master eth1 start", []),
    ],
)
def test_the_synchronisation_daemons_swap(
    tmp_path: Path, running: str, words: str, commands: list[str]
) -> None:
    daemons, log, ipvsadm = (tmp_path / name for name in ("daemons", "told", "ipvsadm"))
    daemons.write_text(f"{running} sync daemon (mcast=eth1, syncid=0)\n" if running else "")
    ipvsadm.write_text(IPVSADM.replace("DAEMONS", str(daemons)).replace("TOLD", str(log)))
    ipvsadm.chmod(0o755)
    path = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    subprocess.run([ha_d.RESOURCE_D / "LVSSyncDaemonSwap", *words.split()], env=path, check=True)
    lines = log.read_text().splitlines() if log.exists() else []
    assert len(lines) == len(commands)
    assert all(line.startswith(start) for line, start in zip(lines, commands, strict=True))


# ---- messages ----

SHA1, MD5, CRC = Key(1, "sha1", "secret"), Key(2, "md5", "other"), Key(3, "crc")


@pytest.mark.parametrize("key", [None, SHA1, MD5, CRC])
@pytest.mark.parametrize("message", [beat("d1", 300, VIP, "192.0.2.1"), beat("d2", 1, is_last=True)])
def test_a_message_is_read_as_it_was_written(message: Heartbeat, key: Key | None) -> None:
    assert messages.read(messages.write(message, key), key) == message


def test_what_a_message_looks_like() -> None:
    assert messages.write(Heartbeat("d1", (0x5F3C, 47), frozenset(["a", "b"])), CRC) == (
        b">>>\nt=status\nsrc=d1\nhg=5f3c\nseq=2f\nrsc=a b\nauth=3 2d81396b\n<<<\n"
    )


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        (b"t=status", b"t=startup", "a type that is neither"),
        (b"seq=1", b"seq=-1", "a number that is not hexadecimal"),
        (b"seq=1", b"seq=" + b"1" * 17, "a number that is not hexadecimal"),
        (b"src=d1\n", b"", "fields other"),
        (b"<<<\n", b"", "bytes that are not a message"),
        (b"d1", b"d\xff", "characters that are not ASCII"),
        (b"rsc=", b"rsc=" + b"x" * 1400, "bytes that are not a message"),
    ],
)
def test_what_is_no_message_is_malformed(before: bytes, after: bytes, why: str) -> None:
    with pytest.raises(Malformed, match=why):
        messages.read(messages.write(beat("d1", 1), None).replace(before, after), None)


@pytest.mark.parametrize("signed_with", [None, MD5, replace(SHA1, secret="guess"), replace(SHA1, number=4)])
def test_a_message_needs_the_right_key(signed_with: Key | None) -> None:
    with pytest.raises(Malformed, match="a wrong signature, or none"):
        messages.read(messages.write(beat("d1", 1), signed_with), SHA1)


@given(st.binary(max_size=200), st.integers(0, 80), st.integers(0, 80))
def test_any_bytes_are_a_message_or_malformed(noise: bytes, first: int, last: int) -> None:
    whole = messages.write(beat("d1", 1, VIP), None)
    with contextlib.suppress(Malformed):
        messages.read(whole[:first] + noise + whole[last:], None)


# ---- the folder ----

HA_CF = """\
# As published.
logfacility local0
keepalive 500ms
deadtime 10
udp eth0
ucast eth1 192.0.2.4
node d1
node d2   # the standby
"""
HARESOURCES = "d1 IPaddr::203.0.113.1/32/eth0 192.0.2.1/24/eth1 LVSSyncDaemonSwap::master::eth1\n"


def folder(path: Path, **texts: str) -> Path:
    for name, text in {"ha_cf": HA_CF, "haresources": HARESOURCES, **texts}.items():
        (path / name.replace("_", ".")).write_text(text)
        (path / name.replace("_", ".")).chmod(0o600)
    return path


def test_the_published_files(tmp_path: Path) -> None:
    found = ha_d.load(folder(tmp_path, authkeys="auth 2\n1 crc\n2 sha1 secret\n"), "d2")
    assert found.settings == Settings("d2", "d1", {VIP: "d1"}, 0.5, 10, 5, 20)
    assert found.media == (Medium("eth0"), Medium("eth1", "192.0.2.4"))
    assert (found.port, found.key) == (694, Key(2, "sha1", "secret"))
    first, second, script = found.groups[VIP].resources
    assert (first, second) == (Address("203.0.113.1", 32, "eth0"), Address("192.0.2.1", 24, "eth1"))
    assert isinstance(script, Script)
    assert (Path(script.words[0]).name, script.words[1:]) == ("LVSSyncDaemonSwap", ("master", "eth1"))


def test_both_nodes_know_a_group_by_the_same_name(tmp_path: Path) -> None:
    """The interfaces of two hosts of a lab have different names."""
    script = "d2 LVSSyncDaemonSwap::master\n"
    names = set()
    for node_name in ("d1", "d2"):
        lines = HARESOURCES.replace("eth", f"{node_name}-eth") + script
        names.add(tuple(ha_d.load(folder(tmp_path, haresources=lines), node_name).groups))
    assert names == {(VIP, "LVSSyncDaemonSwap::master")}


def test_auto_failback_and_its_older_name(tmp_path: Path) -> None:
    for line, expected in (
        ("auto_failback on", True),
        ("auto_failback off", False),
        ("nice_failback on", False),
        ("nice_failback off", True),
    ):
        found = ha_d.load(folder(tmp_path, ha_cf=f"{HA_CF}{line}\n"), "d1")
        assert found.settings.auto_failback is expected
    assert found.key is None


@pytest.mark.parametrize(
    ("texts", "sentence"),
    [
        (
            {"ha_cf": HA_CF + "serial /dev/ttyS0\n"},
            "ha.cf:9: serial is not supported here: there is no serial",
        ),
        ({"ha_cf": HA_CF + "foo 1\n"}, "ha.cf:9: foo: not a directive of ha.cf."),
        ({"ha_cf": HA_CF + "deadtime 0\n"}, "ha.cf:9: deadtime: expected seconds, or milliseconds with ms"),
        ({"ha_cf": HA_CF + "deadtime 1 2\n"}, "ha.cf:9: deadtime: expected one value."),
        ({"ha_cf": HA_CF + "deadtime 500ms\n"}, "ha.cf:9: deadtime must be longer than keepalive."),
        ({"ha_cf": HA_CF + "udpport 0\n"}, "ha.cf:9: udpport: expected a port from 1 to 65535"),
        ({"ha_cf": HA_CF + "ucast eth1\n"}, "ha.cf:9: ucast: expected an interface and an address."),
        ({"ha_cf": HA_CF + "auto_failback legacy\n"}, "ha.cf:9: auto_failback: expected on or off"),
        (
            {"ha_cf": HA_CF + "node d3\n"},
            "expected two nodes, one of them 'd2' (--node), got d1 and d2 and d3.",
        ),
        ({"ha_cf": "node d1 d2\n"}, "ha.cf:1: expected bcast or ucast with an interface"),
        ({"haresources": "d3 203.0.113.1/32/eth0\n"}, "haresources:1: 'd3' is not a node in ha.cf."),
        ({"haresources": "d1\n"}, "haresources:1: expected resources after the node"),
        ({"haresources": HARESOURCES * 2}, "haresources:2: expected resources after the node, the first of"),
        ({"haresources": "d1 203.0.113.1\n"}, "haresources:1: expected ADDRESS/BITS/INTERFACE, such as"),
        (
            {"haresources": "d1 203.0.113.1/33/eth0\n"},
            "haresources:1: expected ADDRESS/BITS/INTERFACE, such as",
        ),
        ({"haresources": "d1 203.0.113/32/eth0\n"}, "haresources:1: expected an IPv4 address"),
        (
            {"haresources": "d1 httpd\n"},
            "haresources:1: 'httpd' is neither ADDRESS/BITS/INTERFACE nor a script",
        ),
        ({"haresources": "d1 ../ha.cf\n"}, "haresources:1: '../ha.cf' is neither"),
        ({"authkeys": "auth 2\n1 crc\n"}, "authkeys:1: expected `auth NUMBER` with the number of a key"),
        ({"authkeys": "1 rot13 x\n"}, "authkeys:1: expected `auth NUMBER`, or NUMBER with"),
    ],
)
def test_what_is_wrong_is_a_sentence(tmp_path: Path, texts: dict[str, str], sentence: str) -> None:
    with pytest.raises(ConfigError) as refused:
        ha_d.load(folder(tmp_path, **texts), "d2")
    assert str(refused.value).startswith(f"{tmp_path}/")
    assert sentence in str(refused.value)


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    (folder(tmp_path, authkeys="auth 1\n1 sha1 secret\n") / "authkeys").chmod(0o644)
    with pytest.raises(ConfigError, match="is not private to its owner: run `chmod 600"):
        ha_d.load(tmp_path, "d1")


def test_what_cannot_run_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert beating.main([str(tmp_path / "none"), "--node", "d1"]) == 2
    folder(tmp_path, ha_cf=HA_CF.replace("eth0", "none0"))
    assert beating.main([str(tmp_path), "--node", "d1"]) == 2
    missing, refused = capsys.readouterr().err.splitlines()
    assert missing == f"lvs-heartbeat: {tmp_path}/none/ha.cf can't be read: No such file or directory."
    assert refused.startswith("lvs-heartbeat: it can't run (")
