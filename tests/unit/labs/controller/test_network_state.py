"""The state of switches, ports and ARP, and the collection of replies from several switches."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from labs.controller import network_state
from labs.controller.arp_log import Arp
from labs.controller.network_state import LOCAL_PORT, NetworkState, Replies
from labs.controller.state_queries import ControlError, Port, PortCounters


class Request:
    xid = 0

    def set_xid(self, xid: int) -> None:
        self.xid = xid


class Switch:
    """A datapath as in the frameworks, which replies at once with `ports`."""

    def __init__(self, number: int, answers: Callable[[int, int], None] = lambda *_: None) -> None:
        self.id = number
        self.answers = answers
        self.ofproto_parser = SimpleNamespace(OFPPortStatsRequest=lambda _: Request())

    def send_msg(self, request: Request) -> None:
        self.answers(self.id, request.xid)


def counters(number: int) -> Any:
    return SimpleNamespace(
        port_no=number, rx_packets=1, rx_bytes=number * 100, tx_packets=2, tx_bytes=number * 1000
    )


@pytest.fixture
def state() -> NetworkState:
    return NetworkState(("ryu", "4.34"))


def connect(state: NetworkState, number: int, *ports: int, answers: bool = True) -> Switch:
    def answer(dpid: int, xid: int) -> None:
        if answers:
            state.replies.part(dpid, xid, [counters(port) for port in (LOCAL_PORT, *ports)], last=True)

    switch = Switch(number, answer)
    state.connected(switch)
    state.port_named(switch, LOCAL_PORT, f"s{number}")
    for port in ports:
        state.port_named(switch, port, f"s{number}-eth{port}")
    known = state.connection(switch)
    assert known is not None
    known.ready = True
    return switch


def test_a_switch_has_the_name_of_its_bridge(state: NetworkState) -> None:
    connect(state, 2, 2, 1)
    (switch,) = state.switches()
    assert (switch.name, switch.dpid, switch.ports) == ("s2", 2, (Port(1, "s2-eth1"), Port(2, "s2-eth2")))


def test_a_switch_counts_only_once_its_flows_are_in_place(state: NetworkState) -> None:
    state.connected(Switch(1))
    assert state.switches() == ()
    assert state.ports() == ()


def test_counters_of_all_switches_without_the_bridges_own(state: NetworkState) -> None:
    connect(state, 2, 1)
    connect(state, 1, 2, 1)
    assert [port.name for port in state.ports()] == ["s1-eth1", "s1-eth2", "s2-eth1"]
    assert state.ports()[1] == PortCounters("s1", 1, 2, "s1-eth2", 1, 200, 2, 2000)


def test_a_switch_that_does_not_answer_is_named(state: NetworkState, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network_state, "TIMEOUT", 0)
    connect(state, 1, 1)
    connect(state, 2, 1, answers=False)
    with pytest.raises(ControlError, match="no port counters from s2 within 0 s"):
        state.ports()


def test_a_disconnected_switch_is_forgotten(state: NetworkState) -> None:
    switch = connect(state, 1, 1)
    state.disconnected(switch)
    assert state.switches() == ()
    assert state.connection(switch) is None


def test_the_end_of_an_old_connection_does_not_end_the_new_one(state: NetworkState) -> None:
    old = connect(state, 1, 1)
    connect(state, 1, 1)
    state.disconnected(old)
    assert [switch.name for switch in state.switches()] == ["s1"]
    assert state.connection(old) is None


def test_a_deleted_port_is_forgotten_with_its_addresses(state: NetworkState) -> None:
    switch = connect(state, 1, 1, 2)
    known = state.connection(switch)
    assert known is not None
    known.macs.learn("02:00:00:00:00:0a", 2)
    assert state.port_gone(switch, 2) == ("02:00:00:00:00:0a",)
    assert [port.name for port in state.switches()[0].ports] == ["s1-eth1"]


def test_an_arp_sighting_names_switch_and_port(state: NetworkState) -> None:
    connect(state, 1, 3)
    arp = Arp("reply", "02:00:cb:00:71:02", "203.0.113.1", "198.51.100.101")
    state.log.add(1.5, 1, 3, "02:00:cb:00:71:0b", arp)
    state.log.add(1.6, 9, 4, "02:00:cb:00:71:0b", arp)
    known, stranger = state.arp(0)
    assert (known.switch, known.port_name, known.sender_mac) == ("s1", "s1-eth3", "02:00:cb:00:71:02")
    assert known.frame_source == "02:00:cb:00:71:0b"
    assert (stranger.switch, stranger.port_name) == ("switch-9", "switch-9:4")
    assert state.arp(since=1) == (stranger,)


def test_parts_are_joined_by_switch() -> None:
    replies = Replies()

    def ask(dpid: int, number: int) -> None:
        replies.part(dpid, number, [f"{dpid}a"], last=False)
        replies.part(dpid, number, [f"{dpid}b"], last=True)

    assert replies.collect([1, 2], ask, 0) == ({1: ["1a", "1b"], 2: ["2a", "2b"]}, [])


def test_switches_without_a_complete_reply_are_listed() -> None:
    replies = Replies()

    def ask(dpid: int, number: int) -> None:
        replies.part(dpid, number, ["one"], last=dpid == 1)

    assert replies.collect([1, 2], ask, 0) == ({1: ["one"]}, [2])


def test_replies_to_other_requests_are_dropped() -> None:
    replies = Replies()

    def ask(dpid: int, number: int) -> None:
        replies.part(dpid, number + 1000, ["late"], last=True)
        replies.part(dpid + 1, number, ["a stranger's"], last=True)
        replies.part(dpid, number, ["right"], last=True)

    assert replies.collect([1], ask, 0) == ({1: ["right"]}, [])


def test_a_switch_that_disconnects_is_not_waited_for() -> None:
    replies = Replies()

    def ask(dpid: int, number: int) -> None:
        if dpid == 1:
            replies.part(1, number, ["there"], last=True)
        else:
            replies.disconnected(dpid)

    assert replies.collect([1, 2], ask, 0) == ({1: ["there"]}, [])


def test_without_switches_nothing_is_waited_for() -> None:
    assert Replies().collect([], lambda *_: None, 0) == ({}, [])


def test_a_reply_from_another_thread_ends_the_wait() -> None:
    replies, threads = Replies(), list[threading.Thread]()

    def ask(dpid: int, number: int) -> None:
        threads.append(threading.Thread(target=replies.part, args=(dpid, number, [1]), kwargs={"last": True}))
        threads[-1].start()

    assert replies.collect([1], ask, 30) == ({1: [1]}, [])
    threads[0].join()
