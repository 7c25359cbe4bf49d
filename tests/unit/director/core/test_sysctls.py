"""What each sysctl changes, and that names and values are checked."""

from __future__ import annotations

from typing import Any

import pytest

from director.core.commands import AddServer, AddService, DeleteServer, EditServer, ServiceKey, SetSysctl
from director.core.decision import Decision, Drop, Forward, Pass, Reject
from director.core.director import Director
from director.core.errors import BadValue
from director.core.packet import ACK, FIN, RST, SYN, TCP, UDP, Endpoint, Packet
from director.core.real_server import Method
from director.core.states import SECURE_TCP_TRANSITIONS, TCP_TRANSITIONS, Direction, State
from director.core.sysctls import Sysctls
from tests.unit.director.core.support import RS1, RS2, VIP, WEB, client, direct, entry, published, tcp

KEY = ServiceKey(TCP, WEB)


def forward(decision: Decision) -> Forward:
    assert isinstance(decision, Forward), decision
    return decision


def set_to(director: Director, **values: int) -> Director:
    director.apply([SetSysctl(name, value) for name, value in values.items()], 0)
    return director


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("nosuch", 1),
        ("sloppy_tcp", -1),
        ("sloppy_tcp", True),
        ("drop_entry", -1),
        ("drop_packet", 4),
        ("secure_tcp", 4),
        ("conn_reuse_mode", 2**31),
    ],
)
def test_an_invalid_setting_changes_nothing(name: str, value: int) -> None:
    director = published()
    before = (SetSysctl("sloppy_tcp", 1), EditServer(KEY, RS1, weight=9))
    with pytest.raises(BadValue):
        director.apply([*before, SetSysctl(name, value)], 0)
    assert director.rules.sysctls == Sysctls()
    assert [server.weight for server in next(iter(director.rules)).servers] == [2, 1]


def test_sysctls_can_be_set_at_the_start() -> None:
    assert published(sysctls=Sysctls(sloppy_tcp=1)).rules.sysctls.sloppy_tcp == 1
    with pytest.raises(BadValue, match="drop_entry"):
        Sysctls(drop_entry=7)


@pytest.mark.parametrize("threshold_and_period", [(2, 3), (3, 50), (60, 100), (60, 0)])
def test_changes_lead_to_any_settings(threshold_and_period: tuple[int, int]) -> None:
    """Also where a step alone would be refused: a period that is not more than the threshold of before."""
    threshold, period = threshold_and_period
    wanted = Sysctls(sync_threshold=threshold, sync_period=period, drop_entry=1)
    sysctls = Sysctls(sync_threshold=10, sync_period=11)
    for name, value in wanted.changes():
        sysctls = sysctls.with_value(name, value)
    assert sysctls == wanted


def test_sloppy_tcp_opens_connections_in_the_middle() -> None:
    assert isinstance(published().decide(tcp(client(1), WEB, ACK), 0), Pass)
    sloppy = set_to(published(), sloppy_tcp=1)
    forward(sloppy.decide(tcp(client(1), WEB, ACK), 0))
    assert entry(sloppy, client(1), WEB).state is State.ESTABLISHED
    assert isinstance(sloppy.decide(tcp(client(2), WEB, RST), 0), Pass)


class TestExpireNodestConn:
    def open_and_delete(self, **values: int) -> Director:
        director = set_to(published(), **values)
        assert forward(director.decide(tcp(client(1), WEB), 0)).destination == RS2
        director.apply([DeleteServer(KEY, RS2)], 0)
        return director

    def test_without_expire_nodest_conn_a_connection_waits_for_its_server(self) -> None:
        director = self.open_and_delete()
        assert isinstance(director.decide(tcp(client(1), WEB, ACK), 0), Drop)
        assert len(director.connections) == 1

    def test_with_expire_nodest_conn_it_ends(self) -> None:
        director = self.open_and_delete(expire_nodest_conn=1)
        assert len(director.connections) == 0
        assert isinstance(director.decide(tcp(client(1), WEB, ACK), 0), Pass)
        assert forward(director.decide(tcp(client(1), WEB), 0)).destination == RS1

    def test_set_later_the_connection_ends_at_its_next_packet(self) -> None:
        director = set_to(self.open_and_delete(), expire_nodest_conn=1)
        assert len(director.connections) == 1
        assert forward(director.decide(tcp(client(1), WEB), 0)).destination == RS1

    def test_set_later_the_connection_ends_at_the_next_deletion(self) -> None:
        director = set_to(self.open_and_delete(), expire_nodest_conn=1)
        director.apply([DeleteServer(KEY, RS1)], 0)
        assert len(director.connections) == 0

    def test_a_syn_leaves_a_quiesced_server(self) -> None:
        director = set_to(published(), expire_nodest_conn=1)
        director.decide(tcp(client(1), WEB), 0)
        director.apply([EditServer(KEY, RS2, weight=0)], 0)
        assert forward(director.decide(tcp(client(1), WEB, ACK), 0)).destination == RS2
        assert forward(director.decide(tcp(client(1), WEB), 0)).destination == RS1


@pytest.mark.parametrize(
    ("mode", "method", "flags", "elsewhere"),
    [
        (1, Method.NAT, RST, True),
        (0, Method.NAT, RST, False),
        (4, Method.NAT, RST, True),
        (9, Method.DR, FIN | ACK, False),
        (10, Method.DR, FIN | ACK, True),
        (1, Method.DR, FIN | ACK, False),
        (2, Method.DR, FIN | ACK, True),
        (3, Method.DR, FIN | ACK, True),
        (1, Method.DR, ACK, False),
        (3, Method.DR, ACK, False),
    ],
)
def test_conn_reuse_mode(mode: int, method: Method, flags: int, elsewhere: bool) -> None:
    """The first connection is in CLOSE, FIN_WAIT or ESTABLISHED when its client reuses the port."""
    director = set_to(published() if method is Method.NAT else direct(method), conn_reuse_mode=mode)
    forward(director.decide(tcp(client(1), WEB), 0))
    first = entry(director, client(1), WEB)
    for sent in (ACK, flags):
        director.decide(tcp(client(1), WEB, sent), 0)
    forward(director.decide(tcp(client(1), WEB), 0))
    again = entry(director, client(1), WEB)
    assert (again is not first) == elsewhere


def test_nat_icmp_send_rejects_a_real_servers_packet() -> None:
    stray = tcp(RS2, client(9), ACK)
    assert isinstance(published().decide(stray, 0), Pass)
    director = set_to(published(), nat_icmp_send=1)
    answer = director.decide(stray, 0)
    assert isinstance(answer, Reject)
    assert (answer.icmp_type, answer.icmp_code) == (3, 3)
    assert isinstance(director.decide(tcp(RS2, client(9), RST), 0), Pass)
    assert isinstance(director.decide(tcp(Endpoint("172.16.0.9", 80), client(9), ACK), 0), Pass)
    assert isinstance(director.decide(Packet(UDP, RS2, client(9), 60), 0), Pass)


def test_without_pmtu_disc_a_tunnel_fragments() -> None:
    packet = tcp(client(1), WEB, length=1500, dont_fragment=True)
    assert isinstance(direct(Method.TUN).decide(packet, 0), Reject)
    assert forward(set_to(direct(Method.TUN), pmtu_disc=0).decide(packet, 0)).may_fragment
    assert isinstance(set_to(direct(Method.DR, mtu_of=lambda _: 1400), pmtu_disc=0).decide(packet, 0), Reject)


def test_a_schedulers_own_sysctl_reaches_it() -> None:
    director = Director(scheduler="lblc")
    director.apply([AddService(KEY), SetSysctl("lblc_expiration", 5)], 0)
    later = ServiceKey(TCP, Endpoint(VIP, 443))
    director.apply([AddService(later)], 0)
    schedulers: list[Any] = [service.scheduler for service in director.rules]
    assert [scheduler.expiration for scheduler in schedulers] == [5, 5]
    with pytest.raises(BadValue):
        director.apply([SetSysctl("lblc_expiration", 6), SetSysctl("lblc_expiration", -1)], 0)
    assert [scheduler.expiration for scheduler in schedulers] == [5, 5]


def test_drop_packet_drops_one_in_am_droprate() -> None:
    director = published()
    director.decide(tcp(client(99), WEB), 0)
    set_to(director, drop_packet=3, am_droprate=4)
    kinds = [type(director.decide(tcp(client(port), WEB), 0)).__name__ for port in range(1, 13)]
    assert kinds == ["Drop", "Forward", "Forward", "Forward"] * 3
    known = [director.decide(tcp(client(99), WEB, ACK), 0) for _ in range(9)]
    assert all(isinstance(decision, Forward) for decision in known)


def test_with_am_droprate_0_nothing_is_dropped() -> None:
    director = set_to(published(), drop_packet=3, am_droprate=0)
    assert all(isinstance(director.decide(tcp(client(port), WEB), 0), Forward) for port in range(1001, 1030))


def test_any_number_but_0_means_on() -> None:
    sloppy = set_to(published(), sloppy_tcp=7)
    assert sloppy.rules.sysctls.sloppy_tcp == 7
    assert isinstance(sloppy.decide(tcp(client(1), WEB, ACK), 0), Forward)


def test_drop_entry_removes_only_half_open_connections() -> None:
    director = set_to(published(conn_tab_bits=8), drop_entry=3)
    for port in range(1001, 1200):
        director.decide(tcp(client(port), WEB), 0)
    for port in range(1001, 1050):
        director.decide(tcp(client(port), WEB, ACK), 0)
    for second in range(1, 40):
        director.tick(second)
    assert len(director.connections) < 190
    assert sum(connection.state is State.ESTABLISHED for connection in director.connections) == 49


def test_secure_tcp_believes_the_server_and_not_the_client() -> None:
    director = set_to(published(), secure_tcp=3)
    forward(director.decide(tcp(client(1), WEB), 0))
    connection = entry(director, client(1), WEB)
    director.decide(tcp(client(1), WEB, ACK), 0)
    assert connection.state.name == "SYN_RECV"
    director.decide(tcp(connection.server_endpoint, client(1), ACK), 0)
    assert connection.state is State.ESTABLISHED


def test_the_two_state_tables_know_the_same_events() -> None:
    assert SECURE_TCP_TRANSITIONS.keys() == TCP_TRANSITIONS.keys()
    assert SECURE_TCP_TRANSITIONS[Direction.INPUT_ONLY, "syn", State.NONE] is State.SYNACK


def test_a_service_without_servers_still_counts_as_one() -> None:
    director = set_to(Director(), nat_icmp_send=1)
    director.apply([AddService(KEY), AddServer(KEY, RS1)], 0)
    assert isinstance(director.decide(tcp(RS1, client(1), SYN | ACK), 0), Reject)
