"""The switch learns, and its flows forward accordingly."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.controller import switching
from labs.controller.switching import Learnt, MacTable

A, B, C = "02:00:00:00:00:0a", "02:00:00:00:00:0b", "02:00:00:00:00:0c"


def test_a_new_address_is_learnt_once() -> None:
    table = MacTable()
    assert table.learn(A, 1) == Learnt(A, 1, None)
    assert table.learn(A, 1) is None
    assert table.port_of(A) == 1


def test_an_unknown_address_has_no_port() -> None:
    assert MacTable().port_of(A) is None


def test_a_moved_address_has_its_old_port() -> None:
    table = MacTable()
    table.learn(A, 1)
    assert table.learn(A, 2) == Learnt(A, 2, moved_from=1)
    assert table.port_of(A) == 2


def test_a_group_address_is_not_learnt() -> None:
    table = MacTable()
    assert table.learn("ff:ff:ff:ff:ff:ff", 1) is None
    assert len(table) == 0


def test_a_full_table_learns_no_new_address_but_follows_known_ones() -> None:
    table = MacTable(largest=2)
    table.learn(A, 1)
    table.learn(B, 2)
    assert table.learn(C, 3) is None
    assert table.port_of(C) is None
    assert table.learn(A, 3) == Learnt(A, 3, moved_from=1)


def test_a_deleted_port_forgets_its_addresses() -> None:
    table = MacTable()
    for mac, port in ((A, 1), (B, 2), (C, 1)):
        table.learn(mac, port)
    assert table.forget_port(1) == (A, C)
    assert [table.port_of(mac) for mac in (A, B, C)] == [None, 2, None]


@given(st.lists(st.tuples(st.sampled_from([A, B, C]), st.integers(1, 4))))
def test_the_last_port_counts_and_every_change_is_returned(hosts: list[tuple[str, int]]) -> None:
    table, flows = MacTable(), dict[str, int]()
    for mac, port in hosts:
        learnt = table.learn(mac, port)
        if learnt is not None:
            assert flows.get(mac) == learnt.moved_from
            flows[mac] = learnt.port
    assert flows == dict(hosts)


ALL = "ff:ff:ff:ff:ff:ff"
IPV4, ARP, IPV6 = 0x0800, 0x0806, 0x86DD
CONTROLLER, FLOOD, EVERY_TABLE = "controller", "flood", 255


class Switch:
    """Keeps the flows it gets; also stands in for the frameworks' message classes."""

    def __init__(self) -> None:
        self.flows: dict[tuple[int, int, tuple[tuple[str, Any], ...]], Any] = {}
        self.ofproto = SimpleNamespace(
            OFPP_CONTROLLER=CONTROLLER,
            OFPP_FLOOD=FLOOD,
            OFPP_ANY="any",
            OFPG_ANY="any",
            OFPTT_ALL=EVERY_TABLE,
            OFPFC_DELETE="delete",
            OFPIT_APPLY_ACTIONS="apply",
            OFPCML_NO_BUFFER=0xFFFF,
            OFP_NO_BUFFER=0xFFFFFFFF,
        )
        self.ofproto_parser = SimpleNamespace(
            OFPActionOutput=lambda port, *_: port,
            OFPInstructionActions=lambda _, actions: actions[0],
            OFPInstructionGotoTable=lambda table: ("table", table),
            OFPMatch=lambda **fields: fields,
            OFPFlowMod=lambda _, **fields: fields,
            OFPPacketOut=lambda _, buffer, in_port, actions, data: (buffer, in_port, actions, data),
        )

    def take(self, messages: Any) -> None:
        for message in messages:
            table, match = message["table_id"], tuple(message["match"].items())
            if message.get("command") == "delete":
                gone = [
                    key for key in self.flows if table in (key[0], EVERY_TABLE) and set(match) <= set(key[2])
                ]
                for key in gone:
                    del self.flows[key]
            else:
                self.flows[table, message["priority"], match] = message["instructions"]

    def fate(self, table: int = 0, **frame: Any) -> Any:
        """Where the frame goes: an output, or None where it is dropped."""
        fitting = [key for key in self.flows if key[0] == table and set(key[2]) <= set(frame.items())]
        does = self.flows[max(fitting, key=lambda key: key[1])]
        if does and isinstance(does[0], tuple):
            return self.fate(does[0][1], **frame)
        return does[0] if does else None


@pytest.fixture
def switch() -> Switch:
    fresh = Switch()
    fresh.take(switching.initial_flows(fresh))
    return fresh


def ip(port: int, source: str, dest: str) -> dict[str, Any]:
    return {"in_port": port, "eth_src": source, "eth_dst": dest, "eth_type": IPV4}


def test_an_unknown_source_goes_to_the_controller(switch: Switch) -> None:
    assert switch.fate(**ip(1, A, B)) == CONTROLLER


def test_a_known_source_is_flooded_until_the_destination_is_known(switch: Switch) -> None:
    switch.take(switching.learnt_flows(switch, A, 1, None))
    assert switch.fate(**ip(1, A, B)) == FLOOD
    switch.take(switching.learnt_flows(switch, B, 2, None))
    assert switch.fate(**ip(1, A, B)) == 2
    assert switch.fate(**ip(1, A, ALL)) == FLOOD


def test_arp_goes_to_the_controller_even_from_known_to_known(switch: Switch) -> None:
    for mac, port in ((A, 1), (B, 2)):
        switch.take(switching.learnt_flows(switch, mac, port, None))
    assert switch.fate(**(ip(1, A, B) | {"eth_type": ARP})) == CONTROLLER


def test_ipv6_is_dropped(switch: Switch) -> None:
    switch.take(switching.learnt_flows(switch, A, 1, None))
    assert switch.fate(**(ip(1, A, ALL) | {"eth_type": IPV6})) is None


def test_with_ipv6_only_neighbour_discovery_goes_to_the_controller() -> None:
    """Even from known to known, as ARP does."""
    switch = Switch()
    switch.take(switching.initial_flows(switch, ipv6=True))
    for mac, port in ((A, 1), (B, 2)):
        switch.take(switching.learnt_flows(switch, mac, port, None))
    packet = ip(1, A, B) | {"eth_type": IPV6}
    assert switch.fate(**packet) == 2
    for kind, fate in ((135, CONTROLLER), (136, CONTROLLER), (128, 2), (2, 2)):
        assert switch.fate(**packet, ip_proto=58, icmpv6_type=kind) == fate
    assert switch.fate(**(packet | {"eth_type": ARP})) == CONTROLLER


def test_after_a_move_the_old_port_is_unknown_again(switch: Switch) -> None:
    for mac, port, before in ((A, 1, None), (B, 2, None), (A, 3, 1)):
        switch.take(switching.learnt_flows(switch, mac, port, before))
    assert switch.fate(**ip(2, B, A)) == 3
    assert switch.fate(**ip(1, A, B)) == CONTROLLER
    assert switch.fate(**ip(3, A, B)) == 2


def test_addresses_behind_a_deleted_port_are_unknown_again(switch: Switch) -> None:
    for mac, port in ((A, 1), (B, 2)):
        switch.take(switching.learnt_flows(switch, mac, port, None))
    switch.take(switching.forgotten_flows(switch, 1, [A]))
    assert switch.fate(**ip(2, B, A)) == FLOOD
    assert switch.fate(**ip(1, A, B)) == CONTROLLER


def test_flows_of_an_earlier_controller_are_replaced(switch: Switch) -> None:
    switch.take(switching.learnt_flows(switch, A, 1, None))
    switch.take(switching.initial_flows(switch))
    assert switch.fate(**ip(1, A, B)) == CONTROLLER


@pytest.mark.parametrize(("to", "output"), [(7, 7), (None, FLOOD)])
def test_a_frame_is_forwarded(switch: Switch, to: int | None, output: Any) -> None:
    assert switching.packet_out(switch, 3, to, b"frame") == (0xFFFFFFFF, 3, [output], b"frame")
