"""Trials against servers on loopback that answer, refuse, reset and stay silent; and packets as seen."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from doctor import sightings, trials
from doctor.queries import FTP
from doctor.sightings import Watch, last_seen, lost, parse
from doctor.state import (
    FAILED,
    IN,
    OUT,
    REFUSED,
    RESET,
    SERVED,
    TIMED_OUT,
    UNREACHABLE,
    WRONG_SERVER,
    DirectorState,
    Mark,
    Service,
    Sighting,
    Target,
    Trial,
)
from doctor.trials import PORTS, Attempt, attempts_for, try_all
from labs.plan import plan_for
from labs.run.options import LabOptions

_PAGE = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nrs1\n"


@contextmanager
def server(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """Accepts one connection, and does that with it; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                answer(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def page(connection: socket.socket) -> None:
    assert connection.recv(100).startswith(b"GET /name?doctor HTTP/1.0\r\nHost: 127.0.0.1\r\n")
    connection.sendall(_PAGE)


def missing(connection: socket.socket) -> None:
    connection.recv(100)
    connection.sendall(b"HTTP/1.1 404 Not Found\r\n\r\n")


def closed(connection: socket.socket) -> None:
    connection.recv(100)


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def silent(connection: socket.socket) -> None:
    connection.settimeout(10)
    try:
        assert connection.recv(100)
        connection.recv(100)  # until the trial ends it
    except ConnectionResetError:
        return
    raise AssertionError("a trial ends with a RST")


def tried(port: int, wanted: str = "", seconds: float = 5.0) -> tuple[str, str, bool, str]:
    """Outcome, server, whether it was connected, and details."""
    attempt = Attempt("c1", "127.0.0.1", port, wanted)
    (trial,) = try_all([attempt], lambda _: trials._tcp(), ["rs1", "rs2"], seconds)
    assert trial.source_port in PORTS
    return trial.outcome, trial.server, trial.connected, trial.detail


@pytest.mark.parametrize(
    ("answer", "wanted", "expected"),
    [
        (page, "", (SERVED, "rs1", True, "")),
        (page, "rs1", (SERVED, "rs1", True, "")),
        (page, "rs2", (WRONG_SERVER, "rs1", True, "")),
        (missing, "", (FAILED, "", True, "HTTP/1.1 404 Not Found")),
        (closed, "", (RESET, "", True, "closed without an answer")),
    ],
)
def test_how_a_trial_ends(
    answer: Callable[[socket.socket], None], wanted: str, expected: tuple[str, str, bool, str]
) -> None:
    with server(answer) as port:
        assert tried(port, wanted) == expected


def test_an_answer_in_small_parts_ends_at_its_sender() -> None:
    """A client with a small receive window: the request, which fills a packet, has arrived."""
    asks, answers = ("198.51.100.101:40001", "203.0.113.1:80"), ("203.0.113.1:80", "198.51.100.101:40001")
    seen = (
        Sighting("c1", "c1-eth0", OUT, "long data", *asks),
        Sighting("rs1", "rs1-eth0", IN, "long data", *asks),
        Sighting("rs1", "rs1-eth0", OUT, "data", *answers),
        Sighting("c1", "c1-eth0", IN, "data", *answers),
    )
    last = last_seen(Trial("c1", "203.0.113.1", 80, TIMED_OUT, source_port=40001, connected=True, seen=seen))
    assert last == seen[2]


def test_a_reset_connection() -> None:
    """It may come before the trial has noticed that it was connected."""
    with server(reset) as port:
        assert tried(port)[:2] == (RESET, "")


def test_a_server_that_accepts_and_says_nothing_times_out() -> None:
    with server(silent) as port:
        assert tried(port, seconds=0.2) == (TIMED_OUT, "", True, "")


def test_a_closed_port_refuses() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert tried(port) == (REFUSED, "", False, "ECONNREFUSED")


def test_a_host_without_a_route_and_one_that_is_gone() -> None:
    def gone(_: Attempt) -> socket.socket:
        raise ProcessLookupError(3, "No such process")

    (trial,) = try_all([Attempt("c1", "127.0.0.1", 80)], gone, [], 1.0)
    assert (trial.outcome, trial.detail) == (UNREACHABLE, "No such process")
    (trial,) = try_all([Attempt("c1", "255.255.255.255", 80)], lambda _: trials._tcp(), [], 1.0)
    assert not trial.served


def test_an_ftp_server_is_served_by_its_banner() -> None:
    assert trials._answer(b"220 A real server.\r\n") == ("", "")
    assert trials._answer(b"421 Too many connections.\r\n") == ("", "421 Too many connections.")


@pytest.mark.parametrize(
    ("says", "expected"),
    [
        (b"227 Entering passive mode (127,0,0,1,{high},{low}).", (SERVED, "")),
        (b"229 Entering extended passive mode (|||{port}|).", (SERVED, "")),
        (b"227 Entering passive mode (127,0,0,1,0,1).", (REFUSED, "ECONNREFUSED (data connection)")),
        (b"425 Cannot open a data connection.", (FAILED, "425 Cannot open a data connection.")),
    ],
)
def test_ftp_has_a_data_connection(
    monkeypatch: pytest.MonkeyPatch, says: bytes, expected: tuple[str, str]
) -> None:
    heard: list[bytes] = []

    def talk(connection: socket.socket) -> None:
        with socket.create_server(("127.0.0.1", 0)) as data:
            port = data.getsockname()[1]
            named = says.decode().format(high=port // 256, low=port % 256, port=port).encode()
            for answer in (b"220 Hello.", b"331 Password?", b"230 Welcome.", named):
                connection.sendall(answer + b"\r\n")
                if answer is not named:
                    heard.append(connection.recv(100))
            with suppress(ConnectionResetError):
                connection.recv(100)  # until the trial ends it

    with server(talk) as port:
        monkeypatch.setattr(trials, "FTP", port)
        attempt = Attempt("c1", "127.0.0.1", port, usual=True)
        (trial,) = try_all([attempt], lambda _: trials._tcp(), [], 5.0)
    assert (trial.outcome, trial.detail) == expected
    assert heard == [b"USER anonymous\r\n", b"PASS doctor@\r\n", b"PASV\r\n"]


def of(scheduler: str, weights: list[int], **more: int) -> Service:
    targets = tuple(Target(f"203.0.113.{11 + n}", 80, weight) for n, weight in enumerate(weights))
    return Service("TCP", "203.0.113.1", 80, 0, scheduler, more.get("persistent", 0), targets)


@pytest.mark.parametrize(
    ("services", "count"),
    [
        ((), 2),
        ((of("rr", [1, 2, 1]),), 3),
        ((of("wrr", [1, 2, 1]),), 4),
        ((of("wrr", [0, 2, 1]),), 3),
        ((of("wrr", [1, 2, 1], persistent=300),), 2),
        ((of("wrr", [100, 50]),), 2),
    ],
)
def test_clients_send_a_whole_round(services: tuple[Service, ...], count: int) -> None:
    attempts = list(attempts_for(plan_for("dr", LabOptions()), services))
    http = [attempt.host for attempt in attempts if not attempt.wanted and attempt.port == 80]
    assert http == ["c1", "c2", "c1", "c2"][:count]
    assert [attempt.host for attempt in attempts if attempt.port == FTP] == ["c1", "c2"]
    straight = {attempt.wanted: (attempt.host, attempt.address) for attempt in attempts if attempt.wanted}
    assert straight == {f"rs{n}": ("d", f"203.0.113.{10 + n}") for n in (1, 2, 3)}


def test_a_lab_without_ftp_is_not_asked_for_it() -> None:
    attempts = attempts_for(plan_for("dr", LabOptions()), (), {FTP})
    assert {attempt.port for attempt in attempts if not attempt.wanted} == {80}


def test_several_rounds_are_whole_and_few() -> None:
    plan = plan_for("dr", LabOptions())
    for weights, count in (([1, 2, 1], 12), ([4, 2, 1], 14), ([10, 5, 1], 16), ([100, 50], 2)):
        attempts = list(attempts_for(plan, (of("wrr", weights),), rounds=3))
        assert len([attempt for attempt in attempts if not attempt.wanted and attempt.port == 80]) == count
        assert len([attempt for attempt in attempts if attempt.wanted == "rs1"]) == 3


MARK = Mark(1, "203.0.113.1", "TCP", 8080, 8080)


@pytest.mark.parametrize(
    ("rules", "director", "without"),
    [
        ("ippfvsadm -A -t 203.0.113.1:21 -R 203.0.113.11:21\n", DirectorState(), [8080]),
        ("ipvsadm -A -t 203.0.113.1:8080 -s rr\n", DirectorState(), [21]),
        ("ipvsadm -A -f 1 -s rr -p 300\n", DirectorState(marks=(MARK,)), [21]),
        ("", DirectorState(services=(Service("TCP", "203.0.113.1", 21, 0, "rr", 0),)), [8080]),
        (None, DirectorState(), [21, 8080]),
    ],
)
def test_ports_without_a_rule_are_not_tried(
    tmp_path: Path, rules: str | None, director: DirectorState, without: list[int]
) -> None:
    if rules is not None:
        (tmp_path / "d").mkdir()
        (tmp_path / "d" / "rules.sh").write_text(rules)
    plan, evidence = plan_for("dr", LabOptions()), SimpleNamespace(scripts=tmp_path)
    plan = replace(plan, servers=tuple(replace(one, more_ports=(8080,)) for one in plan.servers))
    running: Any = SimpleNamespace(plan=plan, evidence=evidence)
    assert list(trials._left_out(running, director)) == without


def test_only_the_planned_and_ruled_ports_are_tried() -> None:
    other = Service("TCP", "203.0.113.1", 8080, 0, "rr", 0)
    udp = Service("UDP", "203.0.113.1", 53, 0, "rr", 0)
    mark = Service("FWM", "0.0.0.0", 0, 7, "rr", 0)
    attempts = attempts_for(plan_for("dr", LabOptions()), (other, udp, mark))
    assert sorted({attempt.port for attempt in attempts if not attempt.wanted}) == [21, 80, 8080]


# ---- sightings ----


def ip(protocol: int, source: str, dest: str, rest: bytes) -> bytes:
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(rest), 0, 0, 64, protocol, 0)
    return head + socket.inet_aton(source) + socket.inet_aton(dest) + rest


def ip6(next_header: int, source: str, dest: str, rest: bytes) -> bytes:
    ends = (socket.inet_pton(socket.AF_INET6, one) for one in (source, dest))
    return struct.pack("!IHBB", 0x60000000, len(rest), next_header, 64) + b"".join(ends) + rest


def tcp(source: int, dest: int, flags: int, data: bytes = b"") -> bytes:
    return struct.pack("!HHIIBBHHH", source, dest, 0, 0, 0x50, flags, 0, 0, 0) + data


def arp(operation: int, source: str, dest: str) -> bytes:
    ends = (bytes(6) + socket.inet_aton(one) for one in (source, dest))
    return struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation) + b"".join(ends)


CLIENT, VIP, RIP = "198.51.100.101", "203.0.113.1", "192.0.2.2"
SYN = ip(6, CLIENT, VIP, tcp(61007, 80, 0x02))
CLIENT6, VIP6 = "2001:db8:1::65", "2001:db8:2::1"
SYN6 = ip6(6, CLIENT6, VIP6, tcp(61007, 80, 0x02))


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        (SYN, "SYN 198.51.100.101:61007 > 203.0.113.1:80 in on d-eth0"),
        (
            ip(6, VIP, CLIENT, tcp(80, 61007, 0x12)),
            "SYN+ACK 203.0.113.1:80 > 198.51.100.101:61007 in on d-eth0",
        ),
        (ip(6, CLIENT, VIP, tcp(61007, 80, 0x14)), "RST 198.51.100.101:61007 > 203.0.113.1:80 in on d-eth0"),
        (
            ip(6, CLIENT, VIP, tcp(61007, 80, 0x18, b"GET")),
            "data 198.51.100.101:61007 > 203.0.113.1:80 in on d-eth0",
        ),
        (
            ip(4, "203.0.113.2", RIP, SYN),
            "SYN 198.51.100.101:61007 > 203.0.113.1:80 inside a packet to 192.0.2.2 in on d-eth0",
        ),
        (
            ip(1, "203.0.113.254", CLIENT, b"\x03\x01" + bytes(6) + SYN),
            "ICMP unreachable 203.0.113.254 > 198.51.100.101 in on d-eth0",
        ),
        (
            ip(1, "203.0.113.2", CLIENT, b"\x03\x04" + bytes(6) + SYN),
            "ICMP fragmentation needed 203.0.113.2 > 198.51.100.101 in on d-eth0",
        ),
        (SYN6, "SYN [2001:db8:1::65]:61007 > [2001:db8:2::1]:80 in on d-eth0"),
        (
            ip6(6, CLIENT6, VIP6, tcp(61007, 80, 0x18, b"GET")),
            "data [2001:db8:1::65]:61007 > [2001:db8:2::1]:80 in on d-eth0",
        ),
        (
            ip6(41, "2001:db8:2::2", "2001:db8:3::2", SYN6),
            "SYN [2001:db8:1::65]:61007 > [2001:db8:2::1]:80 inside a packet to 2001:db8:3::2 in on d-eth0",
        ),
        (
            ip6(58, "2001:db8:2::2", CLIENT6, b"\x02\x00" + bytes(6) + SYN6),
            "ICMP packet too big 2001:db8:2::2 > 2001:db8:1::65 in on d-eth0",
        ),
        (ip6(58, CLIENT6, VIP6, b"\x87\x00" + bytes(6)), None),
        (ip(6, CLIENT, VIP, tcp(40001, 80, 0x02)), None),
        (ip(1, CLIENT, VIP, b"\x08\x00" + bytes(6)), None),
        (b"\x60" + bytes(50), None),
        (SYN[:22], None),
    ],
)
def test_a_packet_as_it_is_told(packet: bytes, expected: str | None) -> None:
    port, sighting = parse("d", "d-eth0", IN, packet, PORTS)
    assert (str(sighting) if sighting else None) == expected
    assert port == (61007 if expected else 0)


def run(program: bytes, packet: bytes) -> bool:
    """What the kernel's interpreter of classic BPF does with these few instructions."""
    code = [struct.unpack_from("HBBI", program, at) for at in range(0, len(program), 8)]
    a = x = at = 0
    while True:
        operation, yes, no, k = code[at]
        at += 1
        if operation == sightings._RET:
            return bool(k)
        if k == sightings._PROTOCOL:
            types = {0: sightings._ETH_P_ARP, 4: sightings._ETH_P_IP, 6: sightings._ETH_P_IPV6}
            a = types[packet[0] >> 4]
        elif operation == sightings._LDB:
            a = packet[k]
        elif operation == sightings._LDX_IHL:
            x = 4 * (packet[k] & 15)
        elif operation == sightings._LDX:
            x = k
        elif operation == sightings._TXA:
            a = x
        elif operation == sightings._TAX:
            x = a
        elif operation == sightings._ADD:
            a += k
        elif operation == sightings._JA:
            at += k
        elif operation in (sightings._LDH, sightings._LDH_X):
            where = k + (x if operation == sightings._LDH_X else 0)
            if where + 2 > len(packet):
                return False
            a = int.from_bytes(packet[where : where + 2], "big")
        else:
            assert operation == sightings._JEQ
            at += yes if a == k else no


@pytest.mark.parametrize(
    ("packet", "passes"),
    [
        (SYN, True),
        (ip(6, VIP, CLIENT, tcp(80, PORTS[-1], 0x12)), True),
        (ip(4, "203.0.113.2", RIP, SYN), True),
        (ip(4, "203.0.113.2", RIP, ip(6, VIP, CLIENT, tcp(80, PORTS[0], 2))), True),
        (ip(1, CLIENT, VIP, b"\x03\x01"), True),
        (SYN6, True),
        (ip6(6, VIP6, CLIENT6, tcp(80, PORTS[-1], 0x12)), True),
        (ip6(41, VIP6, CLIENT6, SYN6), True),
        (ip6(41, VIP6, CLIENT6, ip6(6, VIP6, CLIENT6, tcp(80, PORTS[0], 2))), True),
        (ip6(58, CLIENT6, VIP6, b"\x02\x00"), True),
        (ip6(6, VIP6, CLIENT6, tcp(PORTS.start - 1, PORTS.stop, 0x02)), False),
        (ip6(17, CLIENT6, VIP6, tcp(61007, 53, 2)), False),
        (ip(6, CLIENT, VIP, tcp(PORTS.start - 1, PORTS.stop, 0x02)), False),
        (ip(4, "203.0.113.2", RIP, ip(6, VIP, CLIENT, tcp(40001, 80, 2))), False),
        (ip(17, CLIENT, VIP, tcp(61007, 53, 2)), False),
        (arp(1, CLIENT, VIP), True),
    ],
)
def test_the_kernels_filter(packet: bytes, passes: bool) -> None:
    """With more ports than a jump can skip; the kernel takes 4096 instructions at most."""
    ports = [PORTS.start, *range(40100, 40400), 61007, PORTS[-1]]
    program = sightings._filter(ports)
    assert run(program, packet) is passes
    assert len(program) < 8 * 4096


def test_packets_of_a_trial_are_seen_on_loopback() -> None:
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM).close()
    except PermissionError:
        pytest.skip("packet sockets need CAP_NET_RAW")
    with Watch([("here", "lo"), ("here", "no-such-interface")], lambda _host, make: make()) as watch:
        with server(page) as port:
            attempt = Attempt("here", "127.0.0.1", port)
            (trial,) = try_all([attempt], lambda _: trials._tcp(), ["rs1"], 5.0, watch.begin)
        assert (watch.watches("here"), watch.watches("there")) == (True, False)
        seen = watch.sightings()[trial.source_port]
    ends = f"127.0.0.1:{trial.source_port}", f"127.0.0.1:{port}"
    assert seen[0] == Sighting("here", "lo", OUT, "SYN", *ends)
    assert {one.what for one in seen} >= {"SYN", "SYN+ACK", "data", "RST"}


def test_an_answer_stops_where_acknowledgements_are_lost() -> None:
    ends, back = ("c1:40001", "vip:80"), ("vip:80", "c1:40001")
    way = [("c1", OUT), ("r0", IN), ("r0", OUT), ("rs1", IN)]
    first = [Sighting(host, f"{host}-eth0", way, "ACK", *ends) for host, way in way]
    data = [Sighting("rs1", "rs1-eth0", OUT, "data", *back), Sighting("c1", "c1-eth0", IN, "data", *back)]
    for then, host in ((first, "rs1"), (first[:2], "r0")):
        passed = [*first, *data, *then]
        seen = (*dict.fromkeys(passed), *filter(None, [sightings.lost_ack(passed, 40001)]))
        last = last_seen(Trial("c1", VIP, 80, TIMED_OUT, source_port=40001, seen=seen))
        assert last
        assert last.host == host


@pytest.mark.parametrize(
    ("packets", "host"),
    [
        ([("r0", OUT, 1), ("d", IN, 1)], "d"),  # d does not answer
        ([("r0", OUT, 1)], "r0"),  # it does not arrive
        ([("r0", OUT, 1), ("d", IN, 1), ("d", OUT, 2)], "d"),  # the reply does not arrive
        ([("r0", OUT, 1), ("d", IN, 1), ("d", OUT, 2), ("r0", IN, 2)], ""),
    ],
)
def test_arp_that_is_not_answered_ends_where_it_was_seen_last(
    packets: list[tuple[str, str, int]], host: str
) -> None:
    watch = Watch([], lambda _host, make: make())
    for at, (name, way, operation) in enumerate(packets):
        ends = ("203.0.113.254", VIP) if operation == 1 else (VIP, "203.0.113.254")
        watch._packets.append((at, name, f"{name}-eth1", way, arp(operation, *ends)))
    found = watch.unanswered("r0")
    assert (found[-1].host if found else "") == host
    syn = Sighting("r0", "r0-eth0", IN, "SYN", "c1:61000", "vip:80")
    last = last_seen(Trial("c1", VIP, 80, TIMED_OUT, seen=(syn, *found)))
    assert last
    assert last.host == (host or "r0")


def neighbour_discovery(kind: int, source: str, dest: str, target: str) -> bytes:
    addresses = b"".join(socket.inet_pton(socket.AF_INET6, address) for address in (source, dest, target))
    header = struct.pack("!IHBB", 6 << 28, 24, 58, 255) + addresses[:32]
    return header + struct.pack("!BBHI", kind, 0, 0, 0) + addresses[32:]


def test_a_neighbour_solicitation_is_followed_like_an_arp_request() -> None:
    asker, asked, group = "2001:db8::2", "2001:db8::11", "ff02::1:ff00:11"
    watch = Watch([], lambda _host, make: make())
    for at, (name, way) in enumerate((("d", OUT), ("rs1", IN))):
        packet = neighbour_discovery(135, asker, group, asked)
        watch._packets.append((at, name, f"{name}-eth0", way, packet))
    asks = watch.unanswered("d")
    assert [(seen.host, seen.what, seen.source, seen.dest) for seen in asks] == [
        (name, "neighbour solicitation", asker, asked) for name in ("d", "rs1")
    ]
    watch._packets.append((2, "rs1", "rs1-eth0", OUT, neighbour_discovery(136, asked, asker, asked)))
    assert watch.unanswered("d")[-1].what == "neighbour advertisement"
    watch._packets.append((3, "d", "d-eth0", IN, neighbour_discovery(136, asked, asker, asked)))
    assert watch.unanswered("d") == ()


def test_each_client_gets_each_real_server() -> None:
    plan = plan_for("dr", LabOptions())
    for weights in ([1, 1, 1], [1, 2, 1]):
        attempts = [
            one for one in attempts_for(plan, (of("wrr", weights),), {FTP}, rounds=2) if not one.wanted
        ]
        places = {(one.host, number % sum(weights)) for number, one in enumerate(attempts)}
        assert len(places) == 2 * sum(weights)


@pytest.mark.parametrize("weights", [[1], [1, 1, 1], [1, 2, 1]])
def test_each_client_tries_like_a_client(weights: list[int]) -> None:
    """Only these trials of ftp open a data connection."""
    plan = plan_for("nat", LabOptions())
    attempts = list(attempts_for(plan, (of("wrr", weights),), {FTP}, rounds=3))
    usual = {attempt.host for attempt in attempts if attempt.usual and not attempt.wanted}
    assert usual == {"c1", "c2"}


def test_the_last_round_is_like_a_clients_own() -> None:
    plan = plan_for("dr", LabOptions())
    for rounds, expected in (
        (3, [(False, False), (True, False), (True, True)]),
        (2, [(False, False), (True, True)]),
        (1, [(True, True)]),
    ):
        attempts = list(attempts_for(plan, (of("rr", [1, 1, 1]),), {FTP}, rounds=rounds))
        http = [(attempt.usual, attempt.long) for attempt in attempts if not attempt.wanted]
        assert http == [kind for kind in expected for _ in range(3)]
        assert [(attempt.usual, attempt.long) for attempt in attempts if attempt.wanted == "rs1"] == expected


def test_a_long_request_fills_a_packet_and_its_answer_more_than_one() -> None:
    request = Attempt("c1", VIP, 80, long=True, usual=True).request
    assert len(request) == trials._FULL
    assert request.startswith(b"GET /name?doctor HTTP/1.1\r\nHost: 203.0.113.1\r\nUser-Agent: curl/")
    first = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nrs1\n"
    second = b"HTTP/1.1 206 Partial Content\r\n\r\n"
    for answer, expected in (
        (first + second + bytes(20000), ("rs1", "")),
        (first, ("rs1", "")),  # some servers close the connection then
        (first + second + bytes(1400), ("rs1", "/100k.bin: 1400 of 20000 bytes")),
        (first + b"HTTP/1.1 403 Forbidden\r\n\r\nno", ("rs1", "HTTP/1.1 403 Forbidden (/100k.bin)")),
    ):
        assert trials._answer(answer) == expected


def test_a_server_that_waits_for_requests_too_briefly_closes() -> None:
    def hasty(connection: socket.socket) -> None:
        connection.settimeout(trials._PAUSE / 10)
        with suppress(TimeoutError):
            connection.recv(2000)

    with server(hasty) as port:
        attempt = Attempt("c1", "127.0.0.1", port, long=True)
        (trial,) = try_all([attempt], lambda _: trials._tcp(), ["rs1"], 5.0)
    assert (trial.outcome, trial.connected, trial.detail) == (RESET, True, trials.CLOSED)


def test_the_kernel_chooses_a_port_of_its_own_range() -> None:
    taken = set[int]()
    with trials._tcp(of_kernel=taken) as first, trials._tcp(of_kernel=taken) as second:
        ports = [one.getsockname()[1] for one in (first, second)]
        assert set(ports) == taken
        assert not taken & set(PORTS)


def passed(*places: str) -> list[Sighting]:
    """`SYN c1 out` and so on, in the order of time."""
    words = (place.split() for place in places)
    return [Sighting(host, f"{host}-eth0", way, what, "c1:61000", "vip:80") for what, host, way in words]


AT_ONCE = ("SYN c1 out", "SYN rs1 in", "SYN+ACK rs1 out", "SYN+ACK c1 in", "data c1 out", "data rs1 in")


@pytest.mark.parametrize(
    ("places", "host", "way"),
    [
        (AT_ONCE, "", ""),
        (("SYN c1 out", *AT_ONCE), "c1", OUT),  # on the cable
        (("SYN c1 out", "SYN rs1 in", *AT_ONCE), "rs1", IN),  # in the server
        (("SYN c1 out", "SYN rs1 in", "SYN+ACK rs1 out", *AT_ONCE), "rs1", OUT),  # the answer
        ((*AT_ONCE[:5], *AT_ONCE[4:]), "c1", OUT),  # a segment
        # late, not lost: the first one has passed, or both have in the end
        (("SYN c1 out", "SYN rs1 in", "SYN c1 out", *AT_ONCE[2:]), "", ""),
        (("SYN c1 out", *AT_ONCE, "SYN rs1 in"), "", ""),
    ],
)
def test_where_a_packet_was_lost(places: tuple[str, ...], host: str, way: str) -> None:
    found = lost(passed(*places))
    assert ((found.host, found.way) if found else ("", "")) == (host, way)
