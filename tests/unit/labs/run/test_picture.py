"""The drawings under docs/pictures are what labs/run/picture.py draws; UPDATE_GOLDEN=1 rewrites them."""

from __future__ import annotations

import os
from pathlib import Path
from xml.etree import ElementTree

import pytest

from labs.methods import METHODS
from labs.plan import plan_for
from labs.run.options import LabOptions
from labs.run.picture import draw

PICTURES = Path(__file__).resolve().parents[4] / "docs" / "pictures"


@pytest.mark.parametrize("method", METHODS)
def test_the_stored_drawing_is_current(method: str) -> None:
    drawn = draw(plan_for(method, LabOptions()))
    stored = PICTURES / f"vs-{method}.svg"
    if os.environ.get("UPDATE_GOLDEN"):
        stored.write_text(drawn)
    assert stored.read_text() == drawn


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("servers", [1, 3, 40])
def test_every_node_and_address_is_in_the_drawing(method: str, servers: int) -> None:
    plan = plan_for(method, LabOptions(servers=servers))
    texts = {
        text.text for text in ElementTree.fromstring(draw(plan)).iter("{http://www.w3.org/2000/svg}text")
    }
    for node in plan.topology.nodes:
        assert f"{node.name}, {node.role.value}" in texts
        addresses = {text.split()[0].partition(":")[0] for text in texts if text}
        assert {interface.address for interface in node.interfaces} <= addresses


@pytest.mark.parametrize(
    ("method", "on_servers"), [("nat", []), ("tun", ["VIP on ip6tnl0"] * 3), ("dr", ["VIP on lo"] * 3)]
)
def test_a_drawing_of_ipv6_shows_the_same(method: str, on_servers: list[str]) -> None:
    plan = plan_for(method, LabOptions(family=6))
    drawn = ElementTree.fromstring(draw(plan))
    texts = [text.text or "" for text in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert texts.count(f"VIP {plan.vip}") == texts.count("answers for it on eth0") == 1
    assert [text for text in texts if text.startswith("VIP on")] == on_servers
    assert texts.count("does not answer for it") == len(on_servers)
    assert {interface.address for node in plan.topology.nodes for interface in node.interfaces} <= {
        text.split()[0].partition("]:")[0].lstrip("[") for text in texts if text
    }


@pytest.mark.parametrize(
    ("method", "on_servers"), [("nat", []), ("tun", ["VIP on tunl0"] * 3), ("dr", ["VIP on lo:0"] * 3)]
)
def test_the_drawing_shows_where_the_vip_is_and_who_answers_arp_for_it(
    method: str, on_servers: list[str]
) -> None:
    drawn = ElementTree.fromstring(draw(plan_for(method, LabOptions())))
    texts = [text.text or "" for text in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert texts.count("VIP 203.0.113.1 on eth0:0") == texts.count("answers ARP for it") == 1
    assert [text for text in texts if text.startswith("VIP on")] == on_servers
    assert texts.count("does not answer ARP for it") == len(on_servers)
