"""The local node's own port: what nftables is told, and when."""

from __future__ import annotations

import pytest

from director.control.handler import RequestHandler
from director.core.commands import AddServer, AddService, DeleteServer, ServiceKey
from director.core.director import Director
from director.core.packet import TCP, UDP, Endpoint
from director.core.real_server import Method
from director.engines.engine import EngineError
from director.engines.scapy.host_kernel import HostKernel, Nft, redirects
from director.formats.command_json import encode
from tests.unit.director.engines.support import VIP, Running

WEB, DNS = ServiceKey(TCP, Endpoint("203.0.113.1", 80)), ServiceKey(UDP, Endpoint("203.0.113.1", 53))
OWN, OTHER = Endpoint("172.16.0.1", 8080), Endpoint("172.16.0.2", 8000)
OWN_ADDRESSES = ("172.16.0.1", "192.0.2.1", "127.0.0.1")


@pytest.fixture
def director() -> Director:
    director = Director(is_local=lambda address: address in OWN_ADDRESSES)
    director.apply([AddService(WEB), AddServer(WEB, OTHER)], 0)
    return director


class RecordingNft(Nft):
    """Keeps the scripts instead of loading them."""

    def __init__(self) -> None:
        self.scripts: list[str] = []

    def load(self, script: str) -> None:
        self.scripts.append(script)


@pytest.fixture
def nft() -> RecordingNft:
    return RecordingNft()


def test_the_ports_that_differ(director: Director) -> None:
    key = ServiceKey(TCP, Endpoint("203.0.113.1", 443))
    director.apply([AddService(key), AddServer(key, Endpoint("172.16.0.1", 443)), AddServer(WEB, OWN)], 0)
    director.apply([AddService(DNS), AddServer(DNS, Endpoint("192.0.2.1", 5353))], 0)
    assert sorted(map(str, redirects(director.rules))) == [
        "ip daddr 203.0.113.1 tcp dport 80 dnat to 172.16.0.1:8080",
        "ip daddr 203.0.113.1 udp dport 53 dnat to 192.0.2.1:5353",
    ]


@pytest.mark.parametrize(
    ("key", "servers", "says"),
    [
        (DNS, [Endpoint("127.0.0.1", 5353)], "packets from outside can't reach 127.0.0.0/8"),
        (DNS, [Endpoint("172.16.0.1", 5353), Endpoint("192.0.2.1", 53)], "only one server of a service"),
        (ServiceKey(mark=7), [OWN], "the service has no port"),
        (ServiceKey(UDP, Endpoint("203.0.113.1", 0)), [OWN], "the service has no port"),
    ],
)
def test_what_can_not_be_done_is_refused(
    director: Director, nft: RecordingNft, key: ServiceKey, servers: list[Endpoint], says: str
) -> None:
    director.apply([AddService(key, persistent=60), *(AddServer(key, server) for server in servers)], 0)
    with pytest.raises(EngineError, match=f"own host can't serve .*{says}"):
        HostKernel([], nft).redirect(director.rules)
    assert nft.scripts == []


def test_after_a_refusal_the_kernel_is_kept_out_of_what_it_was_before() -> None:
    running = Running(Method.NAT, local=OWN_ADDRESSES)
    running.kernel.redirect = lambda services: list(redirects(services))  # type: ignore[assignment, method-assign]
    running.kernel.blocked.clear()
    key = ServiceKey(UDP, Endpoint("203.0.113.9", 53))
    commands = [encode(AddService(key)), encode(AddServer(key, Endpoint("127.0.0.1", 5353)))]
    handler = RequestHandler(running.director, running.engine, lambda: 0.0, {})
    answer = handler({"do": "apply", "commands": commands})
    assert "127.0.0.0/8" in answer["error"]
    assert running.kernel.blocked == [{VIP, "203.0.113.9"}, {VIP}]


def test_nftables_is_told_what_changes_and_nothing_stays(director: Director, nft: RecordingNft) -> None:
    node = HostKernel([], nft)
    node.redirect(director.rules)
    assert nft.scripts == []
    director.apply([AddServer(WEB, OWN)], 0)
    for _ in range(2):
        node.redirect(director.rules)
    assert len(nft.scripts) == 1
    assert nft.scripts[0].startswith("table ip lvs_local_node\ndelete table ip lvs_local_node\n")
    assert "type nat hook prerouting priority dstnat" in nft.scripts[0]
    director.apply([DeleteServer(WEB, OWN)], 0)
    node.redirect(director.rules)
    node.close()
    assert nft.scripts[1:] == ["table ip lvs_local_node\ndelete table ip lvs_local_node\n"]


def test_at_the_end_the_table_is_removed(director: Director, nft: RecordingNft) -> None:
    node = HostKernel([], nft)
    director.apply([AddServer(WEB, OWN, method=Method.NAT)], 0)
    node.redirect(director.rules)
    node.close()
    node.close()
    assert [script.count("dnat") for script in nft.scripts] == [1, 0]
