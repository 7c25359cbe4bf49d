"""Listings. The expected ones were printed by ipvsadm 1.31 with kernel 6.1."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from director.control import cli
from director.control.channel import ChannelError
from director.core.statistics import Statistics
from director.ipvsadm import listing, main
from tests.unit.director.ipvsadm.support import Machine, Table

HEAD = "IPVS connection entries\npro expire state       source             virtual            destination\n"
CONNECTIONS: list[tuple[str, float, str, str, str, str]] = [
    ("UDP", 297.9, "UDP", "203.0.113.1:40001", "203.0.113.1:53", "172.16.0.1:53"),
    ("TCP", 897.0, "ESTABLISHED", "203.0.113.1:40000", "203.0.113.1:80", "172.16.0.1:8080"),
    ("TCP", 57.2, "ASSURED", "203.0.113.1:0", "203.0.113.1:80", "172.16.0.1:8080"),
    ("TCP", 7, "CLOSE", "203.0.113.1:40002", "203.0.113.1:81", "172.16.0.1:81"),
    ("IP", 27, "NONE", "203.0.113.0:0", "0.0.0.7:0", "172.16.0.1:0"),
]
NUMERIC = """\
UDP 04:57  UDP         203.0.113.1:40001  203.0.113.1:53     172.16.0.1:53
TCP 14:57  ESTABLISHED 203.0.113.1:40000  203.0.113.1:80     172.16.0.1:8080
TCP 00:57  ASSURED     203.0.113.1:0      203.0.113.1:80     172.16.0.1:8080
TCP 00:07  CLOSE       203.0.113.1:40002  203.0.113.1:81     172.16.0.1:81
IP  00:27  NONE        203.0.113.0:0      0.0.0.7:0          172.16.0.1:0
"""
WWW, SERVER = (
    "www.virtual-server-of-the-paper.example.org",
    "a-rather-long-name-for-a-real-server.example.org",
)
NAMED = f"""\
UDP 04:57  UDP         {WWW}:40001 {WWW}:domain {SERVER}:domain
TCP 14:57  ESTABLISHED {WWW}:40000 {WWW}:http {SERVER}:http-alt
TCP 00:57  ASSURED     {WWW}:0 {WWW}:http {SERVER}:http-alt
TCP 00:07  CLOSE       {WWW}:40002 {WWW}:81 {SERVER}:81
IP  00:27  NONE        203.0.113.0:0      0.0.0.7:0          {SERVER}:0
"""


@pytest.fixture
def connected(table: Table, machine: Machine) -> Table:
    machine.set_hosts({"172.16.0.1": SERVER, "203.0.113.1": WWW})
    table.connections = [fields(line) for line in CONNECTIONS]
    return table


@pytest.mark.usefixtures("connected")
def test_connections(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-Lcn"]) == 0
    assert capsys.readouterr().out == HEAD + NUMERIC
    assert main(["-L", "-c"]) == 0
    assert capsys.readouterr().out == HEAD + NAMED
    assert main(["-Lnc", "--persistent-conn"]) == 0
    assert capsys.readouterr().out.splitlines()[2:] == NUMERIC.splitlines()


def fields(connection: tuple[str, float, str, str, str, str]) -> dict[str, Any]:
    return dict(zip(("protocol", "expires", "state", "client", "vip", "server"), connection, strict=True))


def node(**values: Any) -> dict[str, Any]:
    return {
        **Statistics().as_dict(),
        "active": 0,
        "inactive": 0,
        "weight": 1,
        "method": "Masq",
        "persistent_connections": 0,
    } | values


def counted(
    connections: int, packets_in: int, packets_out: int, bytes_in: int, bytes_out: int
) -> dict[str, int]:
    return {
        "connections": connections,
        "packets_in": packets_in,
        "packets_out": packets_out,
        "bytes_in": bytes_in,
        "bytes_out": bytes_out,
    }


AT_WORK = [
    node(
        protocol="UDP",
        address="203.0.113.1",
        port=53,
        mark=0,
        **counted(1, 1, 1, 29, 57),
        rates=counted(0, 0, 0, 4, 7),
        servers=[
            node(address="172.16.0.1", port=53, **counted(1, 1, 1, 29, 57), rates=counted(0, 0, 0, 4, 7))
        ],
    ),
    node(
        protocol="FWM",
        address="0.0.0.0",
        port=0,
        mark=7,
        **counted(1, 1, 1, 60, 40),
        rates=counted(0, 0, 0, 7, 5),
        servers=[
            node(address="172.16.0.1", port=0, **counted(1, 1, 1, 60, 40), rates=counted(0, 0, 0, 7, 5))
        ],
    ),
]
STATS = """\
Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes
  -> RemoteAddress:Port
UDP  203.0.113.1:53                      1        1        1       29       57
  -> 172.16.0.1:53                       1        1        1       29       57
FWM  7                                   1        1        1       60       40
  -> 172.16.0.1:0                        1        1        1       60       40
"""
RATES = """\
Prot LocalAddress:Port                 CPS    InPPS   OutPPS    InBPS   OutBPS
  -> RemoteAddress:Port
UDP  203.0.113.1:53                      0        0        0        4        7
  -> 172.16.0.1:53                       0        0        0        4        7
FWM  7                                   0        0        0        7        5
  -> 172.16.0.1:0                        0        0        0        7        5
"""


def test_counters() -> None:
    assert listing.rules(AT_WORK, {"n": None, "stats": None}) == STATS
    assert listing.rules(AT_WORK, {"n": None, "rate": None}) == RATES


def test_connections_of_the_servers() -> None:
    web = node(address="172.16.0.1", port=8080, active=12, inactive=3, persistent_connections=4)
    names = {"scheduler": "wlc", "flags": [], "persistent": 0, "netmask": "255.255.255.255"}
    service = node(
        protocol="TCP", address="203.0.113.1", port=80, mark=0, one_packet=False, servers=[web], **names
    )
    assert listing.rules([service], {"n": None}).endswith(
        "TCP  203.0.113.1:80 wlc\n  -> 172.16.0.1:8080              Masq    1      12         3         \n"
    )
    assert listing.rules([service], {"n": None, "persistent-conn": None}).endswith(
        "  -> 172.16.0.1:8080              1         4           12         3         \n"
    )


def test_connections_are_printed_as_they_come(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    printed: list[str] = []

    def stream(_path: str, _request: object) -> Iterator[dict[str, Any]]:
        yield {"connections": []}
        for entry in CONNECTIONS:
            yield {"connections": [fields(entry)]}
            printed.append(capsys.readouterr().out)
        yield {"ok": True}

    monkeypatch.setattr(cli, "stream", stream)
    assert main(["-Lcn"]) == 0
    assert "".join(printed) == HEAD + NUMERIC
    assert [text.count("172.16.0.1") for text in printed] == [1] * len(CONNECTIONS)


def test_a_director_that_ends_meanwhile_is_reported_after_its_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stream(_path: str, _request: object) -> Iterator[dict[str, Any]]:
        yield {"connections": [fields(CONNECTIONS[0])]}
        raise ChannelError("it ended early")

    monkeypatch.setattr(cli, "stream", stream)
    assert main(["-Lcn"]) == 1
    output = capsys.readouterr()
    assert output.out == HEAD + NUMERIC.splitlines(keepends=True)[0]
    assert output.err == "ipvsadm: it ended early\n"


@pytest.mark.parametrize("words", [["-Lcn"], ["-Ln"], ["-L", "--timeout"]])
def test_without_a_director_nothing_is_listed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    monkeypatch.setenv("LVS_SOCKET", "/nowhere/director.sock")
    assert main(words) == 1
    assert capsys.readouterr().out == ""


def test_the_order_is_by_protocol_address_and_port() -> None:
    wanted = [
        ("TCP", "9.0.0.1", 80),
        ("TCP", "10.0.0.1", 80),
        ("TCP", "10.0.0.1", 443),
        ("UDP", "1.0.0.1", 53),
    ]
    services = [
        {"protocol": protocol, "address": address, "port": port, "mark": 0, "servers": []}
        for protocol, address, port in reversed(wanted)
    ]
    marks: list[dict[str, Any]] = [
        {"protocol": "FWM", "address": "0.0.0.0", "port": 0, "mark": mark, "servers": []} for mark in (10, 9)
    ]
    found = listing.sorted_services(marks + services)
    assert [(listed["protocol"], listed["address"], listed["port"]) for listed in found[:4]] == wanted
    assert [listed["mark"] for listed in found[4:]] == [9, 10]


@pytest.mark.parametrize(
    "addresses",
    [
        ["203.0.113.1", "10.0.0.1"],
        ["255.255.255.255", "0.0.0.0"],
        ["172.16.0.9", "192.168.0.1", "203.0.113.1", "10.0.0.1"],
        ["10.0.0.1", "127.0.0.1", "128.0.0.1"],
    ],
)
def test_addresses_far_from_each_other_are_in_the_order_of_a_signed_difference(addresses: list[str]) -> None:
    ends = [{"address": address, "port": 80} for address in sorted(addresses)]
    services = [{**end, "protocol": "TCP", "mark": 0, "servers": ends} for end in ends]
    found = listing.sorted_services(services)
    assert [listed["address"] for listed in found] == addresses
    assert [listed["address"] for listed in found[0]["servers"]] == addresses


def test_where_that_is_no_order_the_rules_give_one() -> None:  # differs: listing-order
    ends = [{"address": address, "port": 80} for address in ("0.0.0.1", "80.0.0.1", "160.0.0.1")]
    services: list[dict[str, Any]] = [{**end, "protocol": "TCP", "mark": 0, "servers": []} for end in ends]
    first, again = (listing.sorted_services(services) for _ in range(2))
    assert first == again
    assert sorted(map(str, first)) == sorted(map(str, services))


def test_so_are_marks() -> None:
    services = [
        {"protocol": "FWM", "address": "0.0.0.0", "port": 0, "mark": mark, "servers": []}
        for mark in (1, 2**32 - 1)
    ]
    assert [listed["mark"] for listed in listing.sorted_services(services)] == [2**32 - 1, 1]


@pytest.mark.usefixtures("table")
def test_exact_has_a_letter(capsys: pytest.CaptureFixture[str]) -> None:
    assert [main(["-LnX"]), main(["-L", "-n", "--exact"])] == [0, 0]
    whole = capsys.readouterr().out
    assert whole[: len(whole) // 2] == whole[len(whole) // 2 :]


@pytest.mark.parametrize(
    ("value", "rounded", "exact"),
    [
        (0, "        0", "        0"),
        (99_999_999, " 99999999", " 99999999"),
        (100_000_000, "  100000K", " 100000000"),
        (999_999_999, "  999999K", " 999999999"),
        (1_000_000_000, "    1000M", " 1000000000"),
        (99_999_999_999, "   99999M", " 99999999999"),
        (100_000_000_000, "     100G", " 100000000000"),
        (99_999_999_999_999, "   99999G", " 99999999999999"),
        (100_000_000_000_000, "     100T", " 100000000000000"),
    ],
)
def test_large_numbers(value: int, rounded: str, exact: str) -> None:
    """The limits are those of the binary of ipvsadm 1.31."""
    assert listing.large(value, exact=False) == rounded
    assert listing.large(value, exact=True) == exact


def test_without_a_hosts_file_numbers_stay_numbers(
    table: Table, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("director.ipvsadm.names.HOSTS", "/nowhere/hosts")
    main(["-A", "-t", "203.0.113.1:80"])
    main(["-S"])
    assert capsys.readouterr().out == "-A -t 203.0.113.1:http -s wlc\n"
    assert len(table.services) == 1


# ---- IPv6 ----


LONG = "2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff"
IPV6_RULES = """\
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
UDP  203.0.113.1:53 wlc
  -> 172.16.0.1:53                Masq    1      0          0         \n\
TCP  [2001:db8::80]:80 wlc persistent 360 mask 64
  -> [fd00::2]:8000               Masq    1      0          0         \n\
  -> [2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff]:80 Masq    1      0          0         \n\
FWM  7 IPv6 wlc persistent 60
  -> [fd00::2]:0                  Masq    1      0          0         \n\
"""
IPV6_STATS = """\
Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes
  -> RemoteAddress:Port
TCP  [2001:db8::80]:80                   1        1        1       60       40
  -> [fd00::2]:8000                      1        1        1       60       40
"""
IPV6_CONNECTIONS = """\
TCP 14:57  ESTABLISHED [2001:db8:1::65]:40000 [2001:db8::80]:80  [fd00::2]:8000
TCP 00:57  ASSURED     [2001:db8:1::]:0   [2001:db8::80]:80  [fd00::2]:8000
IP  00:27  NONE        [2001:db8:1::65]:0 [0:7::]:0          [fd00::2]:0
"""


def service(**values: Any) -> dict[str, Any]:
    names = {"scheduler": "wlc", "flags": [], "persistent": 0, "netmask": "128", "one_packet": False}
    return node(**{"mark": 0, "protocol": "TCP", **names, **values})


def six() -> list[dict[str, Any]]:
    return [
        service(
            protocol="FWM",
            mark=7,
            address="::",
            port=0,
            persistent=60,
            servers=[node(address="fd00::2", port=0)],
        ),
        service(
            address="2001:db8::80",
            port=80,
            persistent=360,
            netmask="64",
            servers=[node(address=LONG, port=80), node(address="fd00::2", port=8000)],
        ),
        service(
            protocol="UDP",
            address="203.0.113.1",
            port=53,
            netmask="255.255.255.255",
            servers=[node(address="172.16.0.1", port=53)],
        ),
    ]


def test_rules_of_ipv6() -> None:
    assert listing.rules(six(), {"n": None}) == IPV6_RULES
    counters = {**six()[1], **counted(1, 1, 1, 60, 40)}
    counters["servers"] = [{**counters["servers"][1], **counted(1, 1, 1, 60, 40)}]
    assert listing.rules([counters], {"n": None, "stats": None}) == IPV6_STATS


def test_names_are_in_brackets(machine: Machine) -> None:
    machine.set_hosts({"fd00::2": "rs1"})
    shown = listing.rules(six(), {})
    assert "TCP  [2001:db8::80]:http wlc" in shown
    assert "  -> [rs1]:8000 " in shown


def test_connections_of_ipv6(table: Table, capsys: pytest.CaptureFixture[str]) -> None:
    table.connections = [
        fields(row)
        for row in (
            ("TCP", 897.0, "ESTABLISHED", "[2001:db8:1::65]:40000", "[2001:db8::80]:80", "[fd00::2]:8000"),
            ("TCP", 57.2, "ASSURED", "[2001:db8:1::]:0", "[2001:db8::80]:80", "[fd00::2]:8000"),
            ("IP", 27, "NONE", "[2001:db8:1::65]:0", "[0:7::]:0", "[fd00::2]:0"),
        )
    ]
    assert main(["-Lcn"]) == 0
    assert capsys.readouterr().out == HEAD + IPV6_CONNECTIONS
