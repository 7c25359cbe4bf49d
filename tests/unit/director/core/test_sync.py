"""When a connection is sent to the backup, and what a backup makes of what it is told."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

import pytest

from director.core.commands import (
    AddMark,
    AddServer,
    AddService,
    DeleteServer,
    ServiceKey,
    SetSysctl,
)
from director.core.decision import Forward, Pass
from director.core.director import Director
from director.core.errors import BadValue
from director.core.packet import ACK, FIN, RST, SYN, TCP, UDP, Endpoint, Packet
from director.core.real_server import Method
from director.core.states import State
from director.core.sync_protocol import NO_SHIFT, Flag, Outbox, Shift, SyncRecord, decode
from director.core.sysctls import Sysctls
from director.core.tcp_stream import Edits, KnownShift
from tests.conftest import LONG
from tests.unit.director.core.support import (
    CIP,
    FTP,
    FTP2,
    RS1,
    RS2,
    VIP,
    WEB,
    client,
    direct,
    entry,
    published,
    rules,
    tcp,
)

KEY = ServiceKey(TCP, WEB)
ESTABLISHED = 1


class Pair:
    """A master, and what it has sent, in order; `backup` has the same rules."""

    def __init__(self, master: Director, backup: Director | None = None) -> None:
        self.master = master
        self.backup = backup or published()
        self.sent: list[SyncRecord] = []
        master.set_sender(lambda record, _now: self.sent.append(record))

    def packets(self, *flags: int, port: int = 40000, now: float = 0, to: Endpoint = WEB) -> list[int]:
        """How many records are sent with each of these packets of a client."""
        numbers = []
        for flag in flags:
            before = len(self.sent)
            self.master.decide(tcp(client(port), to, flag), now)
            numbers.append(len(self.sent) - before)
        return numbers

    def pass_on(self, now: float = 0, version: int = 1) -> None:
        """By way of a message, as between two machines."""
        box = Outbox(1, 1472)
        messages = [box.add(record, version, now) for record in self.sent] + [box.take()]
        for message in messages:
            for record in decode(message or b"").records:
                self.backup.receive(record, now)
        self.sent.clear()


def established(port: int = 40000, server: Endpoint = RS1, **more: Any) -> SyncRecord:
    record = SyncRecord(TCP, client(port), WEB, server, 0, ESTABLISHED, 900)
    return record._replace(**more)


def known(director: Director, now: float = 0) -> list[tuple[str, str, str, str, float]]:
    rows = director.listing(now)
    return sorted((r["client"], r["vip"], r["server"], r["state"], r["expires"]) for r in rows)


# ---- when it is sent ----


def test_a_connection_is_sent_with_its_third_packet_and_every_fiftieth_after_that() -> None:
    pair = Pair(direct())
    assert pair.packets(SYN, *[ACK] * 103) == [0, 0, 1, *[0] * 49, 1, *[0] * 49, 1, 0]
    assert pair.sent[0].state == ESTABLISHED
    assert pair.sent[0].timeout == 900


def test_a_half_open_connection_is_never_sent() -> None:
    assert Pair(published()).packets(*[SYN] * 60) == [0] * 60


def test_an_end_is_sent_at_once_even_of_a_connection_that_is_new() -> None:
    pair = Pair(direct())
    assert pair.packets(SYN, ACK, FIN | ACK, ACK, RST) == [0, 0, 1, 0, 1]
    assert pair.packets(SYN, ACK, RST, port=1) == [0, 0, 1]
    inactive = {bool(record.flags & Flag.INACTIVE) for record in pair.sent}
    assert inactive == {True}


@pytest.mark.parametrize(
    ("values", "sent_at"),
    [
        ({"sync_threshold": 2, "sync_period": 4}, [2, 6, 10, 14, 18]),
        ({"sync_threshold": 5, "sync_period": 0}, [5]),
        ({"sync_threshold": 0, "sync_period": 10}, [10, 20]),
        ({"sync_refresh_period": 60}, [3]),  # 53 would be too early
    ],
)
def test_the_settings_say_when(values: dict[str, int], sent_at: list[int]) -> None:
    pair = Pair(direct(sysctls=Sysctls(**values)))
    sent = pair.packets(SYN, *[ACK] * 19 if "sync_refresh_period" not in values else [ACK] * 60)
    assert [number for number, count in enumerate(sent, 1) if count] == sent_at


def test_a_refresh_period_lets_a_connection_be_sent_again_after_it() -> None:
    pair = Pair(direct(sysctls=Sysctls(sync_refresh_period=60, sync_period=0)))
    assert pair.packets(SYN, ACK, now=0) == [0, 1]  # no period of packets: any packet will do
    assert pair.packets(ACK, now=59) == [0]
    assert pair.packets(ACK, now=61) == [1]


def test_retries_repeat_within_the_refresh_period() -> None:
    pair = Pair(direct(sysctls=Sysctls(sync_refresh_period=80, sync_period=0, sync_retries=2)))
    assert pair.packets(SYN, ACK, now=0) == [0, 1]
    times = [now for now in range(1, 40) if pair.packets(ACK, now=now) == [1]]
    assert times == [10, 20]  # twice, an eighth of 80 s apart


def test_udp_is_sent_by_its_packets_alone() -> None:
    director = Director()
    key = ServiceKey(UDP, Endpoint(VIP, 53))
    director.apply([AddService(key), AddServer(key, Endpoint("172.16.0.2", 53))], 0)
    pair = Pair(director)
    for _ in range(4):
        director.decide(Packet(UDP, client(1), key.address, 28), 0)
    assert [(record.protocol, record.state, record.flags) for record in pair.sent] == [
        (UDP, 0, Flag.INACTIVE)
    ]


def test_one_packet_connections_are_never_sent() -> None:
    director = Director()
    key = ServiceKey(UDP, Endpoint(VIP, 53))
    director.apply([AddService(key, one_packet=True), AddServer(key, Endpoint("172.16.0.2", 53))], 0)
    pair = Pair(director)
    for _ in range(60):
        director.decide(Packet(UDP, client(1), key.address, 28), 0)
    assert pair.sent == []


def test_a_template_follows_each_packet_of_its_connections() -> None:
    director = Director()
    director.apply([AddService(KEY, persistent=360), AddServer(KEY, RS1)], 0)
    pair = Pair(director)
    assert pair.packets(SYN, ACK, ACK, ACK) == [1, 1, 2, 1]
    templates = [record for record in pair.sent if record.flags & Flag.TEMPLATE]
    assert templates[0] == SyncRecord(
        TCP, Endpoint(CIP, 0), WEB, RS1, int(Flag.TEMPLATE | Flag.INACTIVE), 0, 360
    )
    assert [record.state for record in templates] == [0, 1, 1, 1]  # assured


def test_persist_mode_sends_the_templates_only() -> None:
    director = Director(sysctls=Sysctls(sync_persist_mode=1))
    director.apply([AddService(KEY, persistent=360), AddServer(KEY, RS1)], 0)
    pair = Pair(director)
    pair.packets(SYN, ACK, ACK, FIN)
    assert {record.flags & Flag.TEMPLATE for record in pair.sent} == {Flag.TEMPLATE}


@pytest.mark.parametrize(
    ("method", "flags"),
    [
        (Method.DR, Flag.DIRECT_ROUTE | Flag.NO_OUTPUT),
        (Method.TUN, Flag.TUNNEL | Flag.NO_OUTPUT),
        (Method.NAT, Flag.MASQUERADING),
    ],
)
def test_the_flags_name_the_method(method: Method, flags: Flag) -> None:
    pair = Pair(direct(method))
    pair.packets(SYN, ACK, ACK)
    assert pair.sent[0].flags == flags


def test_a_firewall_mark_is_sent() -> None:
    director = Director(method=Method.DR)
    key = ServiceKey(mark=7)
    director.apply([AddMark(7, VIP), AddService(key), AddServer(key, Endpoint(RS1.address, 0))], 0)
    pair = Pair(director)
    pair.packets(SYN, ACK, ACK, to=Endpoint(VIP, 443))
    assert (pair.sent[0].mark, pair.sent[0].server) == (7, Endpoint(RS1.address, 443))


def test_nobody_is_told_of_a_dry_run() -> None:
    pair = Pair(direct())
    pair.packets(SYN, ACK)
    pair.master.dry_run(tcp(client(40000), WEB, ACK), 0)
    assert pair.sent == []


@pytest.mark.parametrize(
    "values", [{"sync_period": 3}, {"sync_threshold": 50}, {"sync_version": 2}, {"sync_retries": 4}]
)
def test_settings_that_make_no_sense_are_refused(values: dict[str, int]) -> None:
    with pytest.raises(BadValue, match="sync_"):
        Sysctls(**values)


# ---- what a backup makes of it ----


@pytest.mark.parametrize("version", [0, 1])
def test_a_backup_has_the_connection_and_forwards_it(version: int) -> None:
    pair = Pair(published())
    pair.packets(SYN, ACK, ACK)
    pair.pass_on(now=5, version=version)
    assert known(pair.backup, 5) == known(pair.master)
    found = entry(pair.backup, client(40000), WEB)
    assert (found.as_dict(5)["origin"], found.packets, found.server.active) == ("SYNC", 3, 1)
    decision = pair.backup.decide(tcp(client(40000), WEB, ACK), 6)
    assert isinstance(decision, Forward)
    assert decision.destination == found.server_endpoint
    reply = pair.backup.decide(tcp(found.server_endpoint, client(40000), ACK), 6)
    assert isinstance(reply, Forward)
    assert reply.source == WEB


def test_a_later_message_moves_the_connection_on() -> None:
    pair = Pair(published())
    pair.packets(SYN, ACK, ACK)
    pair.pass_on()
    pair.packets(FIN | ACK)
    pair.pass_on(now=7)
    assert known(pair.backup, 7) == [("198.51.100.101:40000", "203.0.113.1:80", str(RS2), "CLOSE_WAIT", 60.0)]
    server = entry(pair.backup, client(40000), WEB).server
    assert (server.active, server.inactive) == (0, 1)


def test_the_method_is_that_of_the_backups_own_rule() -> None:
    backup = published()
    backup.receive(established(flags=int(Flag.DIRECT_ROUTE)), 0)
    assert entry(backup, client(40000), WEB).method is Method.NAT


def test_templates_keep_the_client_at_its_server() -> None:
    directors = [Director(), Director()]
    for director in directors:
        director.apply([AddService(KEY, "rr", persistent=360), AddServer(KEY, RS1), AddServer(KEY, RS2)], 0)
    pair = Pair(*directors)
    pair.packets(SYN, ACK)
    pair.pass_on(now=4)
    assert known(pair.backup, 4) == [("198.51.100.101:0", "203.0.113.1:80", str(RS2), "ASSURED", 360.0)]
    server = next(iter(pair.backup.rules)).servers[0]
    assert (server.address, server.templates) == (RS2, 1)
    for port in range(1, 5):
        decision = pair.backup.decide(tcp(client(port), WEB), 5)
        assert isinstance(decision, Forward)
        assert decision.destination == RS2


def test_ftps_template_finds_its_server() -> None:
    masters, backup = direct(), direct()
    pair = Pair(masters, backup)
    pair.packets(SYN, ACK, to=FTP)
    pair.pass_on()
    assert len(backup.templates) == 1
    assert known(backup)[0][2].startswith("203.0.113.1")


def test_version_0_lets_a_template_live_for_three_minutes() -> None:
    backup = published()
    backup.receive(established(flags=int(Flag.TEMPLATE), client=Endpoint(CIP, 0), timeout=0), 0)
    backup.expire(179.9)
    assert len(backup.templates) == 1
    backup.expire(180)
    assert len(backup.templates) == 0


def test_another_server_replaces_the_connection_unless_the_message_is_about_its_end() -> None:
    backup = published()
    backup.receive(established(), 0)
    assert not backup.receive(established(server=RS2, flags=int(Flag.INACTIVE), state=6), 1)
    assert entry(backup, client(40000), WEB).server_endpoint == RS1
    assert backup.receive(established(server=RS2), 2)
    assert entry(backup, client(40000), WEB).server_endpoint == RS2
    assert [server.active for server in next(iter(backup.rules)).servers] == [1, 0]


def test_a_connection_whose_server_is_unknown_waits_for_its_rule() -> None:
    backup = Director()
    backup.receive(established(), 0)
    backup.receive(established(1, timeout=5), 0)
    assert known(backup) == [
        ("198.51.100.101:1", "203.0.113.1:80", str(RS1), "ESTABLISHED", 5.0),
        ("198.51.100.101:40000", "203.0.113.1:80", str(RS1), "ESTABLISHED", 900.0),
    ]
    backup.expire(10)
    backup.apply(rules(WEB, (RS1, 1)), 10)
    assert len(backup.connections) == 1
    assert known(backup, 10)[0][4] == 890.0
    assert isinstance(backup.decide(tcp(client(40000), WEB, ACK), 11), Forward)


@pytest.mark.parametrize(
    "record",
    [
        established(protocol=132, state=0),
        established(flags=int(Flag.NO_CLIENT_PORT), client=Endpoint(CIP, 0)),
        established(protocol=99, flags=int(Flag.TEMPLATE)),
    ],
)
def test_what_this_director_cannot_keep_is_left_out(record: SyncRecord) -> None:
    backup = published()
    assert not backup.receive(record, 0)
    assert known(backup) == []


def test_the_whole_table_is_told_with_the_time_that_is_left() -> None:
    master, backup = Director(), Director()
    for director in (master, backup):
        director.apply([AddService(KEY, persistent=360), AddServer(KEY, RS1)], 0)
    for flags in (SYN, ACK):  # too few packets to be told of
        master.decide(tcp(client(1), WEB, flags), 0)
    master.decide(tcp(client(2), WEB), 0)  # half open
    sent: list[SyncRecord] = []
    master.set_sender(lambda record, _now: sent.append(record))
    assert sum(1 for _ in master.send_everything(100)) == 2
    assert all(backup.receive(record, 100) for record in sent)
    assert known(backup, 100) == [
        ("198.51.100.101:0", "203.0.113.1:80", str(RS1), "ASSURED", 260.0),
        ("198.51.100.101:1", "203.0.113.1:80", str(RS1), "ESTABLISHED", 800.0),
    ]
    master.set_sender(None)
    assert list(master.send_everything(100)) == []


def test_of_the_whole_table_what_is_over_is_told_last() -> None:
    """There are many of these where connections are short, and there may be no time for all of them."""
    master = published()
    for port in range(1001, 1060):
        last = ACK if port == 1030 else RST
        for flags in (SYN, ACK, last):
            master.decide(tcp(client(port), WEB, flags), 0)
    sent: list[SyncRecord] = []
    master.set_sender(lambda record, _now: sent.append(record))
    assert sum(1 for _ in master.send_everything(1)) == 59
    assert [record.client.port for record in sent].index(1030) == 0


# ---- ftp ----


def test_a_data_connection_finds_the_server_of_its_control_connection() -> None:
    """Its ports are in no rule."""
    backup = published()
    data = Endpoint(FTP.address, 30828)
    assert backup.receive(established(vip=data, server=data._replace(address=FTP2.address)), 0)
    decision = backup.decide(tcp(client(40000), data, ACK), 1)
    assert isinstance(decision, Forward)
    assert decision.destination == data._replace(address=FTP2.address)


def test_shifted_sequence_numbers_are_sent_and_continued() -> None:
    pair = Pair(published())
    master, at = pair.master, {"sequence": 1, "acknowledgement": 1}
    pair.packets(SYN, ACK, to=FTP)
    reply = b"227 Entering Passive Mode (172,16,0,3,117,48)\r\n"
    master.decide(tcp(FTP2, client(40000), SYN | ACK, sequence=999), 0)
    master.decide(tcp(FTP2, client(40000), ACK, payload=reply, sequence=1000), 0)
    growth = len("203,0,113,1") - len("172,16,0,3")
    pair.packets(ACK, to=FTP)
    control = pair.sent[-1]
    assert control.flags & Flag.SEQUENCES == Flag.OUT_SEQUENCE
    assert control.from_server == Shift(1000 + reply.index(b"172"), growth, 0)
    pair.pass_on()
    after = 1000 + len(reply)
    more = tcp(FTP2, client(40000), ACK, payload=b"150 here it comes\r\n", sequence=after)
    decision = pair.backup.decide(more, 1)
    assert isinstance(decision, Forward)
    assert decision.sequence_delta == growth
    answer = tcp(client(40000), FTP, ACK, **{**at, "acknowledgement": after + growth})
    decision = pair.backup.decide(answer, 1)
    assert isinstance(decision, Forward)
    assert decision.acknowledgement_delta == -growth


def test_a_reply_that_is_sent_again_is_rewritten_once() -> None:
    """The master died before the client had acknowledged it."""
    backup = published()
    reply = b"227 Entering Passive Mode (172,16,0,3,117,48)\r\n"
    start = 1000 + reply.index(b"172")
    shifted = established(vip=FTP, server=FTP2, flags=int(Flag.OUT_SEQUENCE), from_server=Shift(start, 1, 0))
    backup.receive(shifted, 0)
    again = tcp(FTP2, client(40000), ACK, payload=reply, sequence=1000)
    decision = backup.decide(again, 1)
    assert isinstance(decision, Forward)
    assert (decision.sequence_delta, decision.payload) == (0, reply.replace(b"172,16,0,3", b"203,0,113,1"))
    decision = backup.decide(tcp(FTP2, client(40000), ACK, sequence=1000 + len(reply)), 1)
    assert isinstance(decision, Forward)
    assert decision.sequence_delta == 1


@pytest.mark.parametrize(("growth", "before"), [(3, 0), (-2, 5), (1, -1)])
def test_known_shifts_are_the_kernels(growth: int, before: int) -> None:
    """vs_fix_seq and vs_fix_ack_seq: later numbers by all of it, earlier ones by what was before."""
    edits = Edits(settled=before, shift=KnownShift(100, before, growth))
    assert [edits.for_sequence(number) for number in (50, 100, 101, 999)] == [
        *[before] * 2,
        *[before + growth] * 2,
    ]
    later = 100 + before + growth
    assert [edits.for_acknowledgement(number) for number in (later, later + 1)] == [-before, -before - growth]
    assert edits.last_shift() == KnownShift(100, before, growth)


# ---- standing by ----


def test_a_backup_forwards_unless_backup_only() -> None:
    backup = published()
    backup.apply([SetSysctl("backup_only", 1)], 0)
    assert isinstance(backup.decide(tcp(client(1), WEB), 0), Forward)
    backup.be_backup(backup=True)
    assert backup.decide(tcp(client(2), WEB), 0) == Pass(("backup_only: this director is a backup",))
    backup.apply([SetSysctl("backup_only", 0)], 0)
    assert isinstance(backup.decide(tcp(client(2), WEB), 0), Forward)


# ---- beside the kernel ----

# What kernel IPVS (Linux 6.1) has sent when tests/vm/kernel_sync_trial.py gave it the packets below.
KERNELS_V1 = (
    "000702000e010000000600240000000000019c4100501f400000000000000384c633640bcb007101c000020200060024"
    "0000010000079c4200501f40000000000000003cc633640bcb007101c000020200060024000011000000000000511f41"
    "0000000000000064c633640bcb007101c000020200060024000011000001000000511f410000000000000064c633640b"
    "cb007101c0000202000600240000000000019c4300511f410000000000000384c633640bcb007101c000020200060024"
    "000011000001000000511f410000000000000064c633640bcb007101c0000202000600240000008300019c441f901f90"
    "0000000000000384c633640bcb007101cb00710b000600240000018300049c451f901f900000000000000078c633640b"
    "cb007101cb00710b000600240000008200019c461f911f910000000000000384c633640bcb007101c000020200000024"
    "00001100000000000000000000000007000000c8c633640b00000007c000020200000024000011000001000000000000"
    "00000007000000c8c633640b00000007c0000202000600240000000000019c4701bb01bb0000000700000384c633640b"
    "cb007101c00002020000002400001100000100000000000000000007000000c8c633640b00000007c000020200110024"
    "0000010000009c4800350035000000000000012cc633640bcb007101c0000202"
)
KERNELS_V0 = (
    "0a0700f400069c4100501f40c6336401cb007101c00002020000000100069c4200501f40c6336401cb007101c0000202"
    "0100000700069c4300511f41c6336401cb007101c0000202000000010006000000511f41c6336401cb007101c0000202"
    "1100000100069c441f901f90c6336401cb007101cb00710b0083000100069c451f901f90c6336401cb007101cb00710b"
    "0183000400069c461f911f91c6336401cb007101c00002020082000100069c4701bb01bbc6336401cb007101c0000202"
    "000000010000000000000000c633640100000007c00002021100000100119c4800350035c6336401cb007101c0000202"
    "01000000"
)
PACKETS = (
    (80, (SYN, ACK)),
    (80, (SYN, ACK, ACK)),
    (80, (SYN, ACK, FIN | ACK)),
    (81, (SYN, ACK, ACK)),
    (8080, (SYN, ACK, ACK)),
    (8080, (SYN, ACK, FIN | ACK, ACK)),
    (8081, (SYN, ACK, ACK)),
    (443, (SYN, ACK, ACK)),
    (53, (0, 0, 0)),
)


@pytest.mark.parametrize(
    ("version", "source", "expected"), [(1, "198.51.100.11", KERNELS_V1), (0, "198.51.100.1", KERNELS_V0)]
)
def test_the_same_packets_make_the_kernels_messages(version: int, source: str, expected: str) -> None:
    director = Director(sysctls=Sysctls(sync_version=version))
    rip, marked = "192.0.2.2", ServiceKey(mark=7)
    for key, persistent, server, method in (
        (ServiceKey(TCP, WEB), 0, Endpoint(rip, 8000), Method.NAT),
        (ServiceKey(TCP, Endpoint(VIP, 81)), 100, Endpoint(rip, 8001), Method.NAT),
        (ServiceKey(TCP, Endpoint(VIP, 8080)), 0, Endpoint("203.0.113.11", 8080), Method.DR),
        (ServiceKey(TCP, Endpoint(VIP, 8081)), 0, Endpoint(rip, 8081), Method.TUN),
        (ServiceKey(UDP, Endpoint(VIP, 53)), 0, Endpoint(rip, 53), Method.NAT),
        (marked, 200, Endpoint(rip, 0), Method.NAT),
    ):
        director.apply([AddService(key, "rr", persistent=persistent), AddServer(key, server, 1, method)], 0)
    director.apply([AddMark(7, VIP, TCP, 443, 443)], 0)
    box = Outbox(7, 1472)
    full: list[bytes | None] = []
    director.set_sender(lambda record, now: full.append(box.add(record, version, now)))
    for number, (port, segments) in enumerate(PACKETS):
        ends = client(40000 + number, source), Endpoint(VIP, port)
        for flags in segments:
            director.decide(tcp(*ends, flags) if flags else Packet(UDP, *ends, 28), 0)
    assert not any(full)
    assert (box.take() or b"").hex() == expected


# ---- floods ----


def flood(director: Director, records: Iterable[SyncRecord]) -> int:
    return sum(director.receive(record, 1) for record in records)


def test_a_flood_leaves_room_for_clients_and_ends_no_connection() -> None:
    director = published(conn_limit=80)
    for port in range(1, 11):
        for flags in (SYN, ACK):
            director.decide(tcp(client(port), WEB, flags), 0)
    mine = known(director)
    wrong = [established(port, server=Endpoint("192.0.2.1", 1)) for port in range(300, 500)]
    entered = flood(director, [established(port) for port in range(100, 150)] + wrong)
    assert entered == 60  # 70 places of 80, of which 10 were taken
    assert [row for row in known(director) if row in mine] == mine
    for port in range(31, 41):
        assert isinstance(director.decide(tcp(client(port), WEB), 2), Forward)
    assert flood(director, [established(port) for port in range(600, 700)]) == 0


def test_whatever_is_told_counters_stay_right(seed: int) -> None:
    chance = random.Random(seed)
    director = published(conn_limit=200)
    for step in range(100_000 if LONG else 3_000):
        protocol = chance.choice((0, TCP, TCP, TCP, UDP))
        flags = chance.getrandbits(13) if chance.random() < 0.5 else 0
        director.receive(
            SyncRecord(
                protocol,
                client(chance.randrange(40)),
                chance.choice((WEB, WEB, FTP, Endpoint(VIP, 0), Endpoint("192.0.2.9", 80))),
                chance.choice((RS1, RS2, FTP2, Endpoint(RS1.address, 0))),
                flags & Flag.RECEIVED,
                chance.randrange(11) if protocol == TCP else 0,
                chance.choice((0, 1, 900, 2**32 - 1)),
                chance.choice((0, 0, 7)),
                NO_SHIFT,
                Shift(chance.getrandbits(32), chance.randrange(-99, 99), chance.randrange(-99, 99)),
            ),
            step / 10,
        )
        if step % 50 == 0:
            server = chance.choice((RS1, RS2))
            director.apply([DeleteServer(KEY, server), AddServer(KEY, server)], step / 10)
            director.tick(step / 10)
        director.decide(tcp(client(chance.randrange(40)), WEB, chance.randrange(32)), step / 10)
    servers = [server for service in director.rules for server in service.servers]
    assert sum(server.active + server.inactive for server in servers) == len(director.connections)
    assert sum(server.templates for server in servers) == len(director.templates)
    active = [
        connection
        for connection in director.connections
        if connection.state in (State.ESTABLISHED, State.SYN_RECV)
    ]
    assert sum(server.active for server in servers) >= len(active)
