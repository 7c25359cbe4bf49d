"""The flows against a switch of ten lines that takes them and says what becomes of a frame."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from labs.controller import flows

A, B, ALL = "02:00:00:00:00:0a", "02:00:00:00:00:0b", "ff:ff:ff:ff:ff:ff"
IPV4, ARP, IPV6 = 0x0800, 0x0806, 0x86DD
CONTROLLER, FLOOD, EVERY_TABLE = "controller", "flood", 255


class Switch:
    """Keeps the flows it is given; also plays the frameworks' message classes."""

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
    fresh.take(flows.initial(fresh))
    return fresh


def ip(port: int, source: str, dest: str) -> dict[str, Any]:
    return {"in_port": port, "eth_src": source, "eth_dst": dest, "eth_type": IPV4}


def test_an_unknown_source_goes_to_the_controller(switch: Switch) -> None:
    assert switch.fate(**ip(1, A, B)) == CONTROLLER


def test_a_known_source_is_flooded_until_the_destination_is_known(switch: Switch) -> None:
    switch.take(flows.learnt(switch, A, 1, None))
    assert switch.fate(**ip(1, A, B)) == FLOOD
    switch.take(flows.learnt(switch, B, 2, None))
    assert switch.fate(**ip(1, A, B)) == 2
    assert switch.fate(**ip(1, A, ALL)) == FLOOD


def test_arp_goes_to_the_controller_even_from_known_to_known(switch: Switch) -> None:
    for mac, port in ((A, 1), (B, 2)):
        switch.take(flows.learnt(switch, mac, port, None))
    assert switch.fate(**(ip(1, A, B) | {"eth_type": ARP})) == CONTROLLER


def test_ipv6_goes_nowhere(switch: Switch) -> None:
    switch.take(flows.learnt(switch, A, 1, None))
    assert switch.fate(**(ip(1, A, ALL) | {"eth_type": IPV6})) is None


def test_after_a_move_the_old_port_is_unknown_again(switch: Switch) -> None:
    for mac, port, before in ((A, 1, None), (B, 2, None), (A, 3, 1)):
        switch.take(flows.learnt(switch, mac, port, before))
    assert switch.fate(**ip(2, B, A)) == 3
    assert switch.fate(**ip(1, A, B)) == CONTROLLER
    assert switch.fate(**ip(3, A, B)) == 2


def test_what_was_behind_an_unplugged_port_is_unknown_again(switch: Switch) -> None:
    for mac, port in ((A, 1), (B, 2)):
        switch.take(flows.learnt(switch, mac, port, None))
    switch.take(flows.forgotten(switch, 1, [A]))
    assert switch.fate(**ip(2, B, A)) == FLOOD
    assert switch.fate(**ip(1, A, B)) == CONTROLLER


def test_flows_of_an_earlier_controller_are_replaced(switch: Switch) -> None:
    switch.take(flows.learnt(switch, A, 1, None))
    switch.take(flows.initial(switch))
    assert switch.fate(**ip(1, A, B)) == CONTROLLER


@pytest.mark.parametrize(("to", "output"), [(7, 7), (None, FLOOD)])
def test_a_frame_is_sent_on(switch: Switch, to: int | None, output: Any) -> None:
    assert flows.packet_out(switch, 3, to, b"frame") == (0xFFFFFFFF, 3, [output], b"frame")
