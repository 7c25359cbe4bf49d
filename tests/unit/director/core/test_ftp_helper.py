"""The ftp helper between a real server and a client: whatever is lost, cut or sent again, the client
gets the server's text with the VIP's address in it, and the server its own acknowledgements."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from director.core.commands import AddServer, AddService, ServiceKey
from director.core.decision import Drop, Forward, Pass
from director.core.director import Director
from director.core.packet import ACK, FIN, RST, SYN, TCP, UDP, Endpoint, Packet
from tests.conftest import LONG
from tests.unit.director.core.support import CIP, FTP, FTP2, VIP, client, entry, published, tcp

MODULUS = 1 << 32
PASSIVE = b"227 Entering passive mode (172,16,0,3,117,48).\r\n"
REWRITTEN = b"227 Entering passive mode (203,0,113,1,117,48).\r\n"
REPLIES = [b"220 Hello\r\n", b"227 No address\r\n", b"227 Mine (10,9,8,7,1,1)\r\n", PASSIVE]
EDITED = {PASSIVE: REWRITTEN}


class Session:
    """A control connection through a director; the real server's numbers start at `first`."""

    def __init__(self, first: int = 1000, *, ftp_helper: bool = True) -> None:
        self.director = published(ftp_helper=ftp_helper)
        self.first = first
        self.decide(tcp(client(1), FTP, SYN, sequence=500))
        self.decide(tcp(FTP2, client(1), SYN | ACK, sequence=(first - 1) % MODULUS))
        self.decide(tcp(client(1), FTP, ACK, sequence=501))

    def decide(self, packet: Packet) -> object:
        return self.director.decide(packet, 0.0)

    def reply(self, at: int, text: bytes) -> tuple[int, bytes] | None:
        """Its place in the client's stream, and its data; None when it is dropped."""
        packet = tcp(FTP2, client(1), ACK, sequence=(self.first + at) % MODULUS, payload=text)
        decision = self.decide(packet)
        if isinstance(decision, Drop):
            return None
        assert isinstance(decision, Forward)
        return at + decision.sequence_delta, text if decision.payload is None else decision.payload

    def command(self, at: int, text: bytes) -> object:
        return self.decide(tcp(client(1), FTP, ACK, sequence=501 + at, payload=text))

    def acknowledged(self, at: int) -> int:
        """The acknowledgement that the real server gets when the client has `at` bytes."""
        packet = tcp(client(1), FTP, ACK, sequence=501, acknowledgement=(self.first + at) % MODULUS)
        decision = self.decide(packet)
        assert isinstance(decision, Forward)
        return at + decision.acknowledgement_delta


@given(
    first=st.integers(0, MODULUS - 1),
    lines=st.lists(st.sampled_from(REPLIES), max_size=4),
    cuts=st.sets(st.integers(1, 150), max_size=12),
    chaos=st.lists(st.tuples(st.integers(0, 150), st.integers(1, 60)), max_size=20),
)
@settings(max_examples=300 if LONG else 80)
def test_the_client_gets_the_replies_with_the_vips_address(
    first: int, lines: list[bytes], cuts: set[int], chaos: list[tuple[int, int]]
) -> None:
    original, expected = b"".join(lines), b"".join(EDITED.get(line, line) for line in lines)
    session, stream = Session(first), bytearray(b"?" * len(expected))
    session.reply(0, original[:1])
    places = sorted(cut for cut in cuts | {0, len(original)} if cut <= len(original))
    in_order = list(pairwise(places))
    for start, end in [*((start, start + length) for start, length in chaos), *in_order, *in_order]:
        passed = session.reply(start, original[start:end]) if start < len(original) else None
        if passed is not None:
            at, text = passed
            assert expected[at : at + len(text)] == text
            stream[at : at + len(text)] = text
    assert bytes(stream[1:]) == expected[1:]
    assert session.acknowledged(len(expected)) == len(original)


def test_a_passive_reply_in_two_segments() -> None:
    session = Session()
    cut = PASSIVE.index(b"16")
    assert session.reply(0, PASSIVE[:cut]) is None
    assert session.reply(cut, PASSIVE[cut:]) is None
    at, start = session.reply(0, PASSIVE[:cut]) or (-1, b"")
    then, rest = session.reply(cut, PASSIVE[cut:]) or (-1, b"")
    assert (at, then, start + rest) == (0, len(start), REWRITTEN)
    data = session.decide(tcp(client(2), Endpoint(VIP, 30000)))
    assert isinstance(data, Forward)
    assert data.destination == Endpoint(FTP2.address, 30000)


def test_without_the_helper_ftp_is_not_read() -> None:
    session = Session(ftp_helper=False)
    assert session.reply(0, PASSIVE) == (0, PASSIVE)
    assert isinstance(session.decide(tcp(client(2), Endpoint(VIP, 30000))), Pass)
    assert isinstance(session.command(0, b"PORT 198,51,100,101,156,64\r\n"), Forward)
    assert isinstance(session.decide(tcp(Endpoint(FTP2.address, 20), client(40000))), Pass)
    assert len(session.director.connections) == 1  # the control connection, and nothing is announced


def test_commands_are_read_in_order() -> None:
    session = Session()
    session.command(0, b"USER x\r\n")
    assert isinstance(session.command(21, b"00,101,156,64\r\n"), Drop)
    assert isinstance(session.command(8, b"PORT 198,51,1"), Forward)
    assert isinstance(session.command(21, b"00,101,156,64\r\n"), Forward)
    assert isinstance(session.decide(tcp(Endpoint(FTP2.address, 20), client(40000))), Forward)


def test_a_command_with_a_wrong_checksum_is_dropped_and_comes_again() -> None:
    session = Session()
    command = b"PORT 198,51,100,101,156,64\r\n"
    spoilt = tcp(client(1), FTP, ACK, sequence=501, payload=command, bad_checksum=lambda: True)
    assert isinstance(session.decide(spoilt), Drop)
    assert isinstance(session.decide(tcp(Endpoint(FTP2.address, 20), client(40000))), Pass)
    assert isinstance(session.command(0, command), Forward)
    assert isinstance(session.decide(tcp(Endpoint(FTP2.address, 20), client(40000))), Forward)


def test_a_reply_with_a_wrong_checksum_changes_nothing() -> None:
    session = Session()
    spoilt = tcp(
        FTP2, client(1), FIN | ACK, sequence=session.first, payload=PASSIVE, bad_checksum=lambda: True
    )
    assert isinstance(session.decide(spoilt), Drop)
    assert isinstance(passive_data(session, 2), Pass)
    assert session.reply(0, PASSIVE) == (0, REWRITTEN)


def test_without_the_helper_the_checksum_is_not_checked() -> None:
    session = Session(ftp_helper=False)
    assert isinstance(
        session.decide(tcp(client(1), FTP, ACK, sequence=501, bad_checksum=lambda: True)), Forward
    )


def test_a_port_command_in_three_segments() -> None:
    """The kernel's helper looks at one segment at a time."""  # differs: ftp-in-pieces
    session = Session()
    for at, piece in ((0, b"POR"), (3, b"T 198,51,10"), (14, b"0,101,156,64\r\n")):
        assert isinstance(session.command(at, piece), Forward)
    assert isinstance(session.decide(tcp(Endpoint(FTP2.address, 20), client(40000))), Forward)


def test_a_passive_reply_that_is_sent_again_reads_as_before() -> None:
    """The kernel's helper rewrites a 227 once for each PASV."""
    session = Session()
    assert session.reply(0, PASSIVE) == session.reply(0, PASSIVE) == (0, REWRITTEN)


def passive_data(session: Session, port: int) -> object:
    return session.decide(tcp(client(port), Endpoint(VIP, 30000)))


def test_the_client_may_use_the_ports_of_an_old_data_connection() -> None:
    session = Session()
    session.reply(0, PASSIVE)
    first = passive_data(session, 2)
    assert isinstance(first, Forward)
    for flags in (ACK, RST):
        session.decide(tcp(client(2), Endpoint(VIP, 30000), flags))
    assert entry(session.director, client(2), Endpoint(VIP, 30000)).state.value == "CLOSE"
    assert isinstance(passive_data(session, 2), Forward)
    for flags in (ACK, RST):
        session.decide(tcp(client(2), Endpoint(VIP, 30000), flags))
    session.reply(len(PASSIVE), PASSIVE)
    assert isinstance(passive_data(session, 2), Forward)
    assert len(session.director.connections) == 2  # what was announced has been taken


def test_only_a_syn_opens_an_expected_connection() -> None:
    session = Session()
    session.reply(0, PASSIVE)
    session.decide(tcp(client(9), Endpoint(VIP, 30000), ACK))
    assert isinstance(passive_data(session, 2), Forward)


def test_a_data_connection_is_not_counted_as_scheduled() -> None:
    session = Session()
    session.reply(0, PASSIVE)
    assert isinstance(passive_data(session, 2), Forward)
    server = next(s for service in session.director.rules for s in service.servers if s.address == FTP2)
    assert server.stats.connections == 1


def test_the_control_connection_lives_as_long_as_its_data_connections() -> None:
    """A long transfer: 15 idle minutes of the control connection do not end the session."""
    session = Session()
    session.reply(0, PASSIVE)
    data = passive_data(session, 2)
    assert isinstance(data, Forward)
    for now in (800.0, 1600.0):
        session.director.decide(tcp(Endpoint(FTP2.address, 30000), client(2), ACK), now)
        session.director.expire(now)
    assert session.director.connections.find_in(TCP, client(1), FTP) is not None


def test_a_new_session_from_the_same_port_starts_anew() -> None:
    session = Session()
    session.reply(0, PASSIVE)
    session.decide(tcp(client(1), FTP, RST, sequence=501))
    session.decide(tcp(client(1), FTP, SYN, sequence=7_000_000))
    session.decide(tcp(FTP2, client(1), SYN | ACK, sequence=9_000_000))
    session.decide(tcp(client(1), FTP, ACK, sequence=7_000_001))
    reply = session.decide(tcp(FTP2, client(1), ACK, sequence=9_000_001, payload=PASSIVE))
    assert isinstance(reply, Forward)
    assert (reply.sequence_delta, reply.payload) == (0, REWRITTEN)


def test_udp_on_port_21_is_not_ftp() -> None:
    director = Director()
    key = ServiceKey(UDP, FTP)
    director.apply([AddService(key), AddServer(key, FTP2)], 0)
    request = director.decide(Packet(UDP, client(1), FTP, 60, payload=b"PORT 198,51,100,101,156,64\r\n"), 0)
    assert isinstance(request, Forward)
    assert [str(connection.client) for connection in director.connections] == [f"{CIP}:1"]


def test_after_the_clients_fin_nothing_is_announced() -> None:
    session = Session()
    session.decide(tcp(client(1), FTP, FIN | ACK, sequence=501))
    session.reply(0, PASSIVE)
    assert isinstance(passive_data(session, 2), Pass)


def test_a_new_session_in_an_unfinished_one_starts_anew() -> None:
    """The client's machine has crashed, and its new connection comes from the same port."""
    session = Session()
    session.reply(0, PASSIVE)
    session.decide(tcp(client(1), FTP, FIN | ACK, sequence=501))
    session.decide(tcp(client(1), FTP, SYN, sequence=7_000_000))
    session.decide(tcp(FTP2, client(1), SYN | ACK, sequence=9_000_000))
    session.decide(tcp(client(1), FTP, ACK, sequence=7_000_001))
    reply = session.decide(tcp(FTP2, client(1), ACK, sequence=9_000_001, payload=PASSIVE))
    assert isinstance(reply, Forward)
    assert (reply.sequence_delta, reply.payload) == (0, REWRITTEN)


def test_the_same_port_announced_again_listens_again() -> None:
    session = Session()
    command = b"PORT 198,51,100,101,156,64\r\n"
    session.command(0, command)
    data = session.decide(tcp(Endpoint(FTP2.address, 20), client(40000)))
    assert isinstance(data, Forward)
    data = entry(session.director, client(40000), Endpoint(VIP, 20))
    session.decide(tcp(client(40000), Endpoint(VIP, 20), RST))
    session.decide(tcp(client(40000), Endpoint(VIP, 20), SYN | ACK))
    assert data.state.value != "LISTEN"
    session.command(len(command), command)
    assert data.state.value == "LISTEN"
