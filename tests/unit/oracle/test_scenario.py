"""The lines of a scenario, and the packets that they describe."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP

from labs.methods import METHODS
from oracle import generate, packets, scenario
from oracle.in_process import InProcessDirector
from oracle.packets import Ends, Header
from oracle.play import play
from oracle.scenario import Scenario
from oracle.site import Place
from oracle.talk import Frame

RULES = ("ipvsadm -A -t VIP:80 -s rr", "ipvsadm -a -t VIP:80 -r RS1:8000 HOW")


def sent(*lines: str, method: str = "nat") -> list[list[Frame]]:
    """What our director sends at each step after the rules."""
    played = Scenario("test", method, (*RULES, *lines))
    return [list(answer.out) for answer in play(played, Place(7), InProcessDirector(method))][1:]


def packet(frame: Frame) -> IP:
    return IP(frame[1][14:])


def test_a_connection_continues_its_sequence_numbers() -> None:
    first, second, third = sent("c1 S", "s1 SA", "c1 PA len=5")
    assert packet(first[0])[IP].src == "198.18.7.2"
    assert packet(second[0])[TCP].ack == packet(first[0])[TCP].seq + 1
    assert packet(third[0])[TCP].ack == packet(second[0])[TCP].seq + 1
    assert packet(third[0])[TCP].seq == packet(first[0])[TCP].seq + 1


def test_the_server_that_was_asked_answers() -> None:
    (reply,) = sent("c1 S", "s1 SA")[1]
    assert (packet(reply)[IP].src, packet(reply)[TCP].sport) == ("198.19.0.7", 80)


def test_only_nat_servers_reply_through_the_director() -> None:
    lines = ("ipvsadm -A -t VIP:80", "c1 S", "s1 SA")
    assert [step.text for step in Scenario("test", "dr", lines).steps] == ["ipvsadm -A -t VIP:80", "c1 S"]


@pytest.mark.parametrize("line", ["client 1 S", "c S", "x1 S", "", "s1S"])
def test_an_invalid_line_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"scenario\.py"):
        list(Scenario("test", "nat", (line,)).steps)


def test_every_written_scenario_can_be_run() -> None:
    names = set()
    for written in scenario.hand_written():
        assert list(written.steps)
        assert (written.name, written.method) not in names, "two of the same name"
        names.add((written.name, written.method))
    assert {method for _, method in names} == set(METHODS)


@given(
    seed=st.integers(0, 99), scheduler=st.sampled_from(generate.SCHEDULERS), method=st.sampled_from(METHODS)
)
def test_the_same_seed_generates_the_same_scenario(seed: int, scheduler: str, method: str) -> None:
    drawn = generate.generated(seed, method, scheduler, 3)
    assert drawn == generate.generated(seed, method, scheduler, 3)
    assert drawn != generate.generated(seed + 1, method, scheduler, 3)
    assert {step.number for step in drawn.steps if step.kind == "c"} == set(
        range(1, generate.CONNECTIONS + 1)
    )


ADDRESSES = st.ip_addresses(v=4).map(str)
PORTS = st.integers(0, 65535)
ENDS = st.builds(Ends, ADDRESSES, PORTS, ADDRESSES, PORTS)
HEADERS = st.builds(Header, PORTS, st.integers(1, 255), st.integers(0, 255), st.just(0x4000))


@given(ends=ENDS, header=HEADERS, data=st.binary(max_size=40), numbers=st.tuples(PORTS, PORTS))
def test_packets_equal_those_of_scapy(
    ends: Ends, header: Header, data: bytes, numbers: tuple[int, int]
) -> None:
    fields = {"id": header.identification, "ttl": header.ttl, "tos": header.tos, "flags": "DF"}
    start = IP(src=ends.source, dst=ends.dest, **fields)
    ports, (seq, ack) = {"sport": ends.sport, "dport": ends.dport}, numbers
    segment = TCP(**ports, flags=24, seq=seq, ack=ack, window=65535)
    assert packets.tcp(ends, header, 24, seq, ack, b"", data) == bytes(start / segment / data)
    assert packets.udp(ends, header, data) == bytes(start / UDP(**ports) / data)


def test_an_error_quotes_its_packet() -> None:
    quoted = packets.udp(Ends("192.0.2.1", 5, "192.0.2.2", 6), Header(), b"data")
    error = IP(packets.icmp_error("192.0.2.9", "192.0.2.1", 3, 4, 1400, quoted[:28]))
    assert (error[ICMP].type, error[ICMP].code, error[ICMP].nexthopmtu) == (3, 4, 1400)
    assert bytes(error[ICMP])[8:] == quoted[:28]
    assert packets.checksum(bytes(error[ICMP])) == 0


def test_two_fragments_make_up_the_packet() -> None:
    whole = packets.udp(Ends("192.0.2.1", 5, "192.0.2.2", 6), Header(77), bytes(range(100)))
    one, other = (IP(piece) for piece in packets.fragments(whole, 64))
    assert (one.id, one.flags.MF, one.frag, other.flags.MF, other.frag) == (77, True, 0, False, 8)
    assert bytes(one.payload) + bytes(other.payload) == whole[20:]
