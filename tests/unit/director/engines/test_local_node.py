"""The local node's own port: what nftables is told, and when."""

from __future__ import annotations

import pytest

from director.control.handler import RequestHandler
from director.core.commands import AddServer, AddService, DeleteServer, ServiceKey
from director.core.director import Director
from director.core.packet import TCP, UDP, Endpoint
from director.core.real_server import Method
from director.engines.engine import EngineError
from director.engines.scapy import local_node
from director.engines.scapy.local_node import LocalNode
from director.formats.command_json import encode
from tests.unit.director.engines.support import VIP, Running, fake

WEB, DNS = ServiceKey(TCP, Endpoint("203.0.113.1", 80)), ServiceKey(UDP, Endpoint("203.0.113.1", 53))
OWN, OTHER = Endpoint("172.16.0.1", 8080), Endpoint("172.16.0.2", 8000)
OWN_ADDRESSES = ("172.16.0.1", "192.0.2.1", "127.0.0.1")


@pytest.fixture
def director() -> Director:
    director = Director(is_local=lambda address: address in OWN_ADDRESSES)
    director.apply([AddService(WEB), AddServer(WEB, OTHER)], 0)
    return director


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    scripts: list[str] = []
    monkeypatch.setattr(local_node, "nft", scripts.append)
    return scripts


def test_the_ports_that_differ(director: Director) -> None:
    key = ServiceKey(TCP, Endpoint("203.0.113.1", 443))
    director.apply([AddService(key), AddServer(key, Endpoint("172.16.0.1", 443)), AddServer(WEB, OWN)], 0)
    director.apply([AddService(DNS), AddServer(DNS, Endpoint("192.0.2.1", 5353))], 0)
    assert sorted(map(str, local_node.redirects(director.rules))) == [
        "ip daddr 203.0.113.1 tcp dport 80 dnat to 172.16.0.1:8080",
        "ip daddr 203.0.113.1 udp dport 53 dnat to 192.0.2.1:5353",
    ]


@pytest.mark.parametrize(
    ("key", "servers", "says"),
    [
        (DNS, [Endpoint("127.0.0.1", 5353)], "nothing that comes from outside gets to 127.0.0.0/8"),
        (DNS, [Endpoint("172.16.0.1", 5353), Endpoint("192.0.2.1", 53)], "only one server of a service"),
        (ServiceKey(mark=7), [OWN], "the service has no port"),
        (ServiceKey(UDP, Endpoint("203.0.113.1", 0)), [OWN], "the service has no port"),
    ],
)
def test_what_can_not_be_done_is_refused(
    director: Director, scripts: list[str], key: ServiceKey, servers: list[Endpoint], says: str
) -> None:
    director.apply([AddService(key, persistent=60), *(AddServer(key, server) for server in servers)], 0)
    with pytest.raises(EngineError, match=f"own host can't serve .*{says}"):
        LocalNode().redirect(director.rules)
    assert scripts == []


def test_after_a_refusal_the_kernel_is_kept_out_of_what_it_was_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake(monkeypatch)
    running = Running(Method.NAT)
    kept_out: list[set[str]] = []
    kernel = running.engine._kernel
    monkeypatch.setattr(kernel, "keep_out_of", kept_out.append)
    monkeypatch.setattr(kernel, "keep_out_in_steps", lambda vips: map(kept_out.append, [vips]))
    monkeypatch.setattr(running.director.rules, "is_local", OWN_ADDRESSES.__contains__)
    key = ServiceKey(UDP, Endpoint("203.0.113.9", 53))
    commands = [encode(AddService(key)), encode(AddServer(key, Endpoint("127.0.0.1", 5353)))]
    handler = RequestHandler(running.director, running.engine, lambda: 0.0, {})
    answer = handler({"do": "apply", "commands": commands})
    assert "127.0.0.0/8" in answer["error"]
    assert kept_out == [{VIP, "203.0.113.9"}, {VIP}]


def test_nftables_is_told_what_changes_and_nothing_stays(director: Director, scripts: list[str]) -> None:
    node = LocalNode()
    node.redirect(director.rules)
    assert scripts == []
    director.apply([AddServer(WEB, OWN)], 0)
    for _ in range(2):
        node.redirect(director.rules)
    assert len(scripts) == 1
    assert scripts[0].startswith("table ip lvs_local_node\ndelete table ip lvs_local_node\n")
    assert "type nat hook prerouting priority dstnat" in scripts[0]
    director.apply([DeleteServer(WEB, OWN)], 0)
    node.redirect(director.rules)
    node.close()
    assert scripts[1:] == ["table ip lvs_local_node\ndelete table ip lvs_local_node\n"]


def test_at_the_end_the_table_is_removed(director: Director, scripts: list[str]) -> None:
    node = LocalNode()
    director.apply([AddServer(WEB, OWN, method=Method.NAT)], 0)
    node.redirect(director.rules)
    node.close()
    node.close()
    assert [script.count("dnat") for script in scripts] == [1, 0]
