"""Explanations: the same decision as in forwarding, without any change, in words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP

from director.control.explanation import Explainer
from director.core.commands import AddServer, AddService, EditServer, ServiceKey
from director.core.decision import Forward
from director.core.director import Director
from director.core.errors import LvsError
from director.core.packet import ACK, SYN, Endpoint
from director.core.packet import TCP as TCP_PROTOCOL
from director.core.real_server import Method
from tests.unit.director.core.support import CIP, FTP, RS1, RS2, VIP, WEB, client, direct, published, tcp

WAY = {"interface": "d-eth1", "source": "172.16.0.1", "next_hop": "172.16.0.2"}
MACS = {"source_mac": "02:00:00:00:00:01", "dest_mac": "02:00:00:00:00:02"}


class Engine:
    def route_to(self, _address: str) -> dict[str, str]:
        return {**WAY, **MACS}


def explainer(director: Director) -> Explainer:
    return Explainer(director, Engine(), lambda: 1.0)  # type: ignore[arg-type]


def explain(director: Director, port: int, to: Endpoint = WEB, **more: Any) -> dict[str, Any]:
    packet = {"source": f"{CIP}:{port}", "destination": str(to), **more}
    return explainer(director).explain({"packet": packet})


def everything(director: Director) -> str:
    listing = [service.as_dict() for service in director.rules]
    return json.dumps([listing, list(director.listing(1.0))])


@pytest.mark.parametrize("method", [Method.NAT, Method.TUN, Method.DR])
def test_an_explanation_predicts_the_decision(method: Method) -> None:
    director = published() if method is Method.NAT else direct(method)
    for port in range(1, 20):
        before = everything(director)
        found = explain(director, port)
        assert everything(director) == before
        happens = director.decide(tcp(client(port), WEB), 1.0)
        assert isinstance(happens, Forward)
        assert (found["decision"], found["method"]) == ("forward", method.name)
        assert found["reasons"] == list(happens.reasons)
        assert found["rows"][1]["dest"] == str(happens.destination)


@given(st.lists(st.tuples(st.integers(1, 4), st.sampled_from(["S", "A", "SA", "FA", "R"])), max_size=12))
def test_an_explanation_changes_nothing_and_matches_the_decision(packets: list[tuple[int, str]]) -> None:
    director = direct(Method.DR)
    flags = {"S": SYN, "A": ACK, "SA": SYN | ACK, "FA": 0x11, "R": 0x04}
    for port, letters in packets:
        found = explain(director, port, flags=letters)
        happens = director.decide(tcp(client(port), WEB, flags[letters], dont_fragment=True), 1.0)
        assert found["decision"] == type(happens).__name__.lower()
        assert found["reasons"] == list(happens.reasons)


def test_it_shows_the_connection_and_its_next_state() -> None:
    director = published()
    director.decide(tcp(client(1), WEB), 1.0)
    found = explain(director, 1, flags="A")
    assert found["connection"]["state"] == "SYN_RECV"
    assert [(event["before"], event["state"]) for event in found["events"]] == [("SYN_RECV", "ESTABLISHED")]


def test_it_shows_the_service_with_its_counters() -> None:
    director = published()
    director.apply([EditServer(ServiceKey(TCP_PROTOCOL, WEB), RS1, weight=0)], 1.0)
    found = explain(director, 1)
    assert [server["weight"] for server in found["service"]["servers"]] == [2, 0]
    assert found["rows"][1]["dest"] == str(RS2)


def test_without_a_service_the_packet_is_the_kernels() -> None:
    found = explain(published(), 1, Endpoint(VIP, 81))
    assert (found["decision"], found["service"]) == ("pass", None)


def test_an_icmp_error_has_type_code_and_mtu() -> None:
    found = explain(published(mtu_of=lambda _address: 1400), 1, length=1500)
    assert (
        found["decision"],
        found["icmp_type"],
        found["icmp_code"],
        found["mtu"],
    ) == ("reject", 3, 4, 1400)


def test_persistence_is_explained() -> None:
    director = direct()
    director.decide(tcp(client(1), FTP), 1.0)
    assert any("persistent" in reason for reason in explain(director, 2, FTP)["reasons"])


def test_an_ip_packet_in_hexadecimal() -> None:
    director = published()
    packet = bytes(IP(src=CIP, dst=VIP) / TCP(sport=1, dport=80, flags="S"))
    found = explainer(director).explain({"ip": packet.hex()})
    assert found["packet"]["source"] == f"{CIP}:1"
    assert found["decision"] == "forward"


def test_an_icmp_error_finds_the_connection_it_is_about() -> None:
    director = published()
    director.decide(tcp(client(1), WEB), 1.0)
    quoted = bytes(IP(src=VIP, dst=CIP) / TCP(sport=80, dport=1))[:28]
    found = explainer(director).explain({"ip": bytes(IP(src=CIP, dst=VIP) / ICMP(type=3) / quoted).hex()})
    assert found["reasons"] == ["ICMP error about a reply of a known connection"]


def test_the_packet_table_of_a_connection() -> None:
    director = published()
    director.decide(tcp(client(1), WEB), 1.0)
    (connection,) = explainer(director).packet_table({"client": f"{CIP}:1"})["connections"]
    assert [(row["source"], row["dest"]) for row in connection["rows"]] == [
        (f"{CIP}:1", str(WEB)),
        (f"{CIP}:1", str(RS2)),
        (str(RS2), f"{CIP}:1"),
        (str(WEB), f"{CIP}:1"),
    ]


@pytest.mark.parametrize(
    ("method", "shows"),
    [
        (Method.TUN, {"outer_source": "172.16.0.1", "outer_dest": "203.0.113.11"}),
        (Method.DR, MACS),
    ],
)
def test_the_packet_table_shows_the_addresses_of_the_method(method: Method, shows: dict[str, str]) -> None:
    director = direct(method)
    director.decide(tcp(client(1), WEB), 1.0)
    (connection,) = explainer(director).packet_table({"client": f"{CIP}:1"})["connections"]
    assert connection["rows"][1].items() >= shows.items()
    assert connection["rows"][2]["packet"] == "reply, past the director"


def test_a_local_node_needs_no_route() -> None:
    director = Director(is_local=lambda address: address == "203.0.113.2")
    key = ServiceKey(TCP_PROTOCOL, WEB)
    director.apply([AddService(key), AddServer(key, Endpoint("203.0.113.2", 80))], 1.0)
    found = explain(director, 1)
    assert (found["method"], found["way"]) == ("LOCAL", {})


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"packet": 3},
        {"packet": {}},
        {"packet": {"protocol": "ICMP", "source": f"{CIP}:1", "destination": str(WEB)}},
        {"packet": {"source": "nowhere:1", "destination": str(WEB)}},
        {"packet": {"source": f"{CIP}:1", "destination": f"{VIP}:70000"}},
        {"packet": {"source": f"{CIP}:1", "destination": str(WEB), "flags": "X"}},
        {"packet": {"source": f"{CIP}:1", "destination": str(WEB), "flags": ["S"]}},
        {"packet": {"source": f"{CIP}:1", "destination": str(WEB), "length": 19}},
        {"ip": 5},
        {"ip": "zz"},
        {"ip": "4500"},
    ],
)
def test_a_malformed_request_is_refused(request_: dict[str, Any]) -> None:
    with pytest.raises((ValueError, LvsError)):
        explainer(published()).explain(request_)


def test_a_client_without_a_connection_is_named() -> None:
    with pytest.raises(ValueError, match="has no connection"):
        explainer(published()).packet_table({"client": f"{CIP}:1"})
