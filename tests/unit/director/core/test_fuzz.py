"""Whatever packets come, the director decides, and its counters stay right."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from director.core.commands import (
    AddMark,
    AddServer,
    AddService,
    Clear,
    ClearMarks,
    Command,
    DeleteMark,
    DeleteServer,
    DeleteService,
    EditServer,
    EditService,
    ServiceKey,
    SetSysctl,
    SetTimeouts,
    Zero,
    mark_key,
)
from director.core.decision import Drop, Forward, Pass, Reject
from director.core.director import Director
from director.core.errors import LvsError
from director.core.family import IPV4, IPV6
from director.core.packet import ICMP, ICMPV6, TCP, UDP, Endpoint, Packet
from director.core.real_server import Method
from director.core.schedulers import names
from director.core.sysctls import Sysctls
from tests.conftest import LONG
from tests.unit.director.core.support import FTP2, RS1, RS2, direct, published

addresses = st.sampled_from(
    [
        *("198.51.100.101", "198.51.100.9", "203.0.113.1", RS1.address, RS2.address, "?"),
        *("2001:db8:1::65", "2001:db8::80", "fd00::2", "::", "::1::"),
    ]
)
endpoints = st.builds(Endpoint, addresses, st.sampled_from([0, 1, 20, 21, 80, 8000, 30000, 65535]))
texts = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [
            b"PORT 198,51,100,101,156,64\r\n",
            b"PORT 999,1,1,1,1,1\r\n",
            b"EPRT |1|198.51.100.101|99999|\r\n",
            b"227 (172,16,0,3,117,48)\r\n",
            b"227 (172,16,0,3,0,0)\r\n",
            b"229 (|||0|)\r\n",
        ]
    ),
)


def packets(embedded: st.SearchStrategy[Packet | None]) -> st.SearchStrategy[Packet]:
    return st.builds(
        Packet,
        protocol=st.sampled_from([ICMP, ICMPV6, TCP, UDP, 4, 41, 60, 255]),
        source=endpoints,
        destination=endpoints,
        length=st.integers(0, 65535),
        ttl=st.integers(0, 255),
        dont_fragment=st.booleans(),
        fragment_offset=st.sampled_from([0, 0, 0, 185]),
        more_fragments=st.sampled_from([False, False, True]),
        flags=st.integers(0, 63),
        sequence=st.integers(0, 2**32 - 1),
        acknowledgement=st.integers(0, 2**32 - 1),
        payload=texts,
        icmp_type=st.sampled_from([0, 1, 2, 3, 4, 5, 8, 11, 128]),
        embedded=embedded,
        identification=st.sampled_from([0, 1, 2]),
        largest_fragment=st.sampled_from([0, 0, 28, 1500]),
        options=st.sampled_from([b"", b"", b"\x94\4\0\0", b"\x07\x07\4\0\0\0\0\0", b"\x83\2"])
        | st.binary(max_size=40),
    )


stream = st.lists(st.tuples(packets(st.none() | packets(st.none())), st.floats(0, 200)), max_size=40)


@given(
    stream=stream,
    method=st.sampled_from([Method.NAT, Method.TUN, Method.DR]),
    scheduler=st.sampled_from(names()),
)
@settings(max_examples=300 if LONG else 60)
def test_every_packet_gets_a_decision(
    stream: list[tuple[Packet, float]], method: Method, scheduler: str
) -> None:
    director = published(scheduler=scheduler) if method is Method.NAT else direct(method, scheduler=scheduler)
    now = 0.0
    for packet, passed in stream:
        now += passed
        assert isinstance(director.decide(packet, now), Forward | Drop | Reject | Pass)
        director.expire(now)
        counted = sum(s.active + s.inactive for service in director.rules for s in service.servers)
        assert counted == len(director.connections)
        controls = Counter(
            id(connection.control) for connection in director.connections if connection.control
        )
        assert all(
            connection.control.children == controls[id(connection.control)]
            for connection in director.connections
            if connection.control
        )


keys = st.one_of(
    st.builds(
        ServiceKey,
        st.sampled_from([TCP, UDP, 1]),
        st.builds(Endpoint, addresses, st.sampled_from([0, 21, 80])),
    ),
    st.builds(mark_key, st.sampled_from([-1, 1, 2]), st.sampled_from([IPV4, IPV6])),
)
services = {
    "key": keys,
    "scheduler": st.none() | st.sampled_from([*names(), "nosuch"]),
    "flags": st.sampled_from([(), (), ("sh-port",), ("mh-fallback",)]),
    "persistent": st.sampled_from([None, 0, 5, 300, -1]),
    "netmask": st.sampled_from([None, "255.255.255.255", "255.255.255.0", "0.0.0.0", "?", "1", "64", "128"]),
    "one_packet": st.booleans(),
}
servers = {
    "key": keys,
    "server": endpoints,
    "weight": st.sampled_from([0, 1, 2, 5, -1]),
    "method": st.none() | st.sampled_from([Method.NAT, Method.TUN, Method.DR]),
    "upper": st.sampled_from([0, 0, 1, 3, -1]),
    "lower": st.sampled_from([0, 1]),
}
marks = {
    "mark": st.sampled_from([0, 1, 2]),
    "network": st.sampled_from(["203.0.113.1", "203.0.113.0/24", "0.0.0.0/0", "?", "2001:db8::/64", "::/0"]),
    "protocol": st.sampled_from([0, TCP, UDP, 1]),
    "first": st.sampled_from([0, 80]),
    "last": st.sampled_from([79, 80, 65535]),
}
seconds = st.sampled_from([-1, 0, 1, 50])
commands = st.one_of(
    st.builds(AddService, **services, exist_ok=st.booleans()),
    st.builds(EditService, **services),
    st.builds(DeleteService, keys),
    st.builds(AddServer, **servers),
    st.builds(EditServer, **servers),
    st.builds(DeleteServer, keys, endpoints),
    st.builds(Clear),
    st.builds(Zero, st.none() | keys),
    st.builds(SetTimeouts, seconds, seconds, seconds),
    st.builds(SetSysctl, st.sampled_from([*Sysctls().as_dict(), "nosuch"]), st.integers(-1, 4)),
    st.builds(AddMark, **marks),
    st.builds(DeleteMark, **marks),
    st.builds(ClearMarks),
)
happenings = st.lists(
    st.one_of(packets(st.none() | packets(st.none() | packets(st.none()))), st.lists(commands, max_size=4)),
    max_size=40,
)


def state(director: Director) -> object:
    rules = director.rules
    return [rule.as_dict() for rule in rules], rules.sysctls, rules.timeouts, rules.marks


def check_counts(director: Director, limit: int) -> None:
    """Every counter agrees with the tables."""
    held = Counter(id(connection.server) for connection in director.connections)
    active = Counter(id(connection.server) for connection in director.connections if connection.active)
    templates = Counter(id(template.server) for template in director.templates)
    children = Counter(id(connection.control) for connection in director.connections)
    servers = [connection.server for connection in director.connections] + [
        template.server for template in director.templates
    ]
    for server in [*servers, *(server for service in director.rules for server in service.servers)]:
        assert (server.active, server.inactive + server.active) == (active[id(server)], held[id(server)])
        assert server.templates == templates[id(server)]
    assert all(template.children == children[id(template)] for template in director.templates)
    assert len(director.connections) + len(director.templates) <= limit + 1


@given(happenings=happenings, method=st.sampled_from([Method.NAT, Method.TUN, Method.DR]))
@settings(max_examples=300 if LONG else 80)
def test_administrators_and_packets_in_any_order(
    happenings: list[Packet | list[Command]], method: Method
) -> None:
    limit = 6
    local = {RS2.address}
    director = Director(method=method, conn_limit=limit, is_local=local.__contains__)
    web = ServiceKey(TCP, Endpoint("203.0.113.1", 80))
    director.apply([AddService(web, persistent=9), AddServer(web, Endpoint(RS1.address, 80))], 0)
    for now, happening in enumerate(happenings):
        if isinstance(happening, Packet):
            expected = director.dry_run(happening, now)[0]
            decision = director.decide(happening, now)
            assert type(decision) is type(expected)
            assert decision.reasons == expected.reasons
        else:
            before = state(director)
            try:
                director.apply(happening, now)
            except LvsError:
                assert state(director) == before
        director.tick(now)
        check_counts(director, limit)


@given(packet=packets(st.none()))
def test_without_rules_every_packet_is_passed(packet: Packet) -> None:
    assert isinstance(Director().decide(packet, 0), Pass)


def test_the_example_of_the_passive_reply_belongs_to_this_director() -> None:
    """Guards the texts above: they exercise the helper only if they contain its server's address."""
    assert FTP2.address == "172.16.0.3"
