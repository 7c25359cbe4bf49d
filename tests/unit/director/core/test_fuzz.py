"""Whatever packets come, the director decides, and its counters stay true."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from director.core.decision import Answer, Drop, Forward, Local, Method
from director.core.director import Director
from director.core.packet import ICMP, TCP, UDP, Endpoint, Packet
from director.core.schedulers import names
from tests.unit.director.core.support import FTP2, RS1, RS2, direct, published

addresses = st.sampled_from(["198.51.100.101", "198.51.100.9", "203.0.113.1", RS1.address, RS2.address, "?"])
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
        protocol=st.sampled_from([ICMP, TCP, UDP, 4, 255]),
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
        icmp_type=st.sampled_from([0, 3, 4, 5, 8, 11]),
        embedded=embedded,
        identification=st.sampled_from([0, 1, 2]),
    )


stream = st.lists(st.tuples(packets(st.none() | packets(st.none())), st.floats(0, 200)), max_size=40)


@given(
    stream=stream,
    method=st.sampled_from([Method.NAT, Method.TUN, Method.DR]),
    scheduler=st.sampled_from(names()),
)
@settings(max_examples=150, deadline=None)
def test_every_packet_gets_a_decision(
    stream: list[tuple[Packet, float]], method: Method, scheduler: str
) -> None:
    director = published(scheduler=scheduler) if method is Method.NAT else direct(method, scheduler=scheduler)
    now = 0.0
    for packet, passed in stream:
        now += passed
        assert isinstance(director.decide(packet, now), Forward | Drop | Answer | Local)
        director.expire(now)
        counted = sum(s.active + s.inactive for service in director.services for s in service.servers)
        assert counted == len(director.connections)
        controls = Counter(id(one.control) for one in director.connections if one.control)
        assert all(
            one.control.children == controls[id(one.control)] for one in director.connections if one.control
        )


@given(packet=packets(st.none()))
def test_without_rules_everything_is_the_kernels(packet: Packet) -> None:
    assert isinstance(Director().decide(packet, 0), Local)


def test_the_example_of_the_passive_reply_belongs_to_this_director() -> None:
    """Guards the texts above: they only exercise the helper while they name its server."""
    assert FTP2.address == "172.16.0.3"
