"""Each check against servers on the loopback interface: healthy, wrong, slow and gone."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import socket
import ssl
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import availability
from availability.config.model import Check, Configuration, Mail, Page, Timing
from availability.config.text import Place
from availability.config.values import Script
from availability.monitor import datagrams, probes, programs
from availability.monitor.checker import Outcome
from labs.wait import patient, poll_until

HOST = "127.0.0.1"
SOON = Timing(connect_timeout=0.3)
LATER = Timing(connect_timeout=30)
PAGE = Page("/a", "www.example.com", (range(200, 300),), None, None, True, (0, None))
FTP = Path(availability.__file__).parent / "bin" / "ftp.monitor"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def probe(check: Check, serve: Serve | None = None, page: int = 0) -> Outcome:
    """The outcome of one attempt at a server that treats each connection so."""

    async def attempt() -> Outcome:
        if serve is None:
            return await probes.probe(check, page, Configuration())
        server = await asyncio.start_server(serve, HOST, 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            return await probes.probe(replace(check, port=port), page, Configuration())

    return asyncio.run(attempt())


def saying(answer: bytes, asked: list[bytes] | None = None) -> Serve:
    """A server that waits for a request and gives this answer."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.read(4096)
        if asked is not None:
            asked.append(request)
        writer.write(answer)
        writer.close()

    return serve


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


def http(**changes: Any) -> Check:
    timing = changes.pop("timing", LATER)
    version = changes.pop("version", "1.0")
    return Check("HTTP_GET", HOST, 0, timing, pages=(replace(PAGE, **changes),), version=version)


@pytest.fixture(params=["127.0.0.1", "::1"])
def host(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The servers and checks of a test have an address of each family."""
    monkeypatch.setitem(globals(), "HOST", request.param)


OVER_BOTH = pytest.mark.usefixtures("host")


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET6 if ":" in HOST else socket.AF_INET, kind) as made:
        made.bind((HOST, 0))
        port: int = made.getsockname()[1]
        return port


@OVER_BOTH
def test_tcp_connects_or_is_refused() -> None:
    assert probe(Check("TCP_CHECK", HOST, 0, LATER), silent) == Outcome()
    assert probe(Check("TCP_CHECK", HOST, free_port(), LATER)) == Outcome("connection refused")


@pytest.mark.parametrize(
    ("answer", "changes", "why"),
    [
        (b"HTTP/1.0 200 OK\r\n\r\nwhole page", {}, ""),
        (b"HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n", {}, ""),
        (b"HTTP/1.0 500 No\r\n\r\n", {}, "/a answers with status 500"),
        (b"HTTP/1.0 404 No\r\n\r\n", {"codes": (range(404, 405),)}, ""),
        (b"HTTP/1.0 200\r\n\r\npage", {"digest": hashlib.md5(b"page").hexdigest()}, ""),
        (b"HTTP/1.0 200\r\n\r\npage", {"digest": "0" * 32}, "/a has the digest"),
        (b"HTTP/1.0 200\r\n\r\nit works", {"regex": re.compile(b"WORKS", re.I)}, ""),
        (
            b"HTTP/1.0 200\r\n\r\nit fails",
            {"regex": re.compile(b"works")},
            "/a does not match the expression",
        ),
        (
            b"HTTP/1.0 200\r\n\r\nerror",
            {"regex": re.compile(b"err"), "must_match": False},
            "/a matches the exp",
        ),
        (b"HTTP/1.0 200\r\n\r\n012x", {"regex": re.compile(b"x"), "offsets": (0, 2)}, "/a does not match"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", {}, "the connection ended early"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", {}, "the answer's header is malformed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", {}, "the page is longer than"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", {}, "the answer is not HTTP: b'SSH"),
        (b"", {}, "the connection ended early"),
        (b"HTTP/1.0 200 OK\r\n" + b"A" * 100_000, {}, "a line of the answer is too long"),
    ],
)
def test_http(answer: bytes, changes: dict[str, Any], why: str) -> None:
    found = probe(http(**changes), saying(answer)).why
    assert found.startswith(why)
    assert bool(found) == bool(why)


def test_http_1_1_reads_chunks() -> None:
    asked: list[bytes] = []
    chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\npag\r\n1\r\ne\r\n0\r\n\r\n"
    page = hashlib.md5(b"page").hexdigest()
    assert probe(http(digest=page, version="1.1"), saying(chunks, asked)) == Outcome()
    assert asked == [
        b"GET /a HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: lvs-monitor\r\nConnection: close\r\n\r\n"
    ]


def test_a_server_that_sends_a_byte_now_and_then_is_too_slow() -> None:
    async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(100):
            writer.write(b"H")
            await asyncio.sleep(0.05)

    assert probe(http(timing=SOON), drip) == Outcome("no answer within 0.3 s")
    assert probe(http(timing=SOON), silent) == Outcome("no answer within 0.3 s")


def test_ssl_against_a_server_without_it() -> None:
    check = replace(http(), kind="SSL_GET")
    assert not probe(check, saying(b"HTTP/1.0 200 OK\r\n\r\n")).ok


@pytest.mark.parametrize("named", [False, True])
def test_ssl_with_a_certificate_that_nobody_vouches_for(named: bool) -> None:
    """With enable_sni the page's host is in the handshake."""
    names: list[str | None] = []
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(Path(__file__).with_name("tls.pem"))
    tls.sni_callback = lambda _socket, name, _context: names.append(name)
    check = replace(http(), kind="SSL_GET", server_name=named)

    async def attempt() -> Outcome:
        server = await asyncio.start_server(saying(b"HTTP/1.0 200 OK\r\n\r\npage"), HOST, 0, ssl=tls)
        async with server:
            port = server.sockets[0].getsockname()[1]
            return await probes.probe(replace(check, port=port), 0, Configuration())

    assert asyncio.run(attempt()) == Outcome()
    assert names == ["www.example.com" if named else None]


@OVER_BOTH
def test_smtp() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220-mail\r\n220 mail\r\n")
        request = await reader.readline()
        writer.write(b"250 hello\r\n" if request == b"HELO lb\r\n" else b"500 no\r\n")
        await reader.readline()
        writer.close()

    assert probe(Check("SMTP_CHECK", HOST, 0, LATER, helo="lb"), serve) == Outcome()
    assert probe(Check("SMTP_CHECK", HOST, 0, LATER, helo="x"), serve).why == "expected 250, got '500 no'"


def test_mail_about_a_change() -> None:
    received: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail\r\n")
        text = False
        while line := await reader.readline():
            received.append(line.strip())
            if text and line != b".\r\n":
                continue
            text = line.upper() == b"DATA\r\n"
            bye = line.upper() == b"QUIT\r\n"
            writer.write(b"354 go on\r\n" if text else b"221 bye\r\n" if bye else b"250 fine\r\n")
        writer.close()

    async def attempt() -> list[str]:
        server = await asyncio.start_server(serve, HOST, 0)
        port = server.sockets[0].getsockname()[1]
        mails = [
            Mail(("a@example.com", "b@example.com"), "d@example.com", HOST, to, "d", 30) for to in (port, 1)
        ]
        async with server:
            return [
                await asyncio.to_thread(programs.send, mail, "lb1", "a server is down.") for mail in mails
            ]

    sent, refused = asyncio.run(attempt())
    assert sent == ""
    assert refused.startswith("mail to a@example.com, b@example.com can't be sent by 127.0.0.1:1: ")
    assert {b"Subject: [lb1] a server is down.", b"a server is down."} <= set(received)
    assert b"RCPT TO:<B@EXAMPLE.COM>" in {line.upper() for line in received}  # verbs have no case (RFC 5321)


# ---- datagrams ----


class Replies(asyncio.DatagramProtocol):
    def __init__(self, reply: Callable[[bytes], bytes | None]) -> None:
        self._reply = reply

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        answer = self._reply(data)
        if answer is not None:
            self._transport.sendto(answer, address)


def ask(check: Check, reply: Callable[[bytes], bytes | None]) -> Outcome:
    """The outcome of one attempt at a server that answers each datagram so."""

    async def attempt() -> Outcome:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: Replies(reply), (HOST, 0))
        port = transport.get_extra_info("sockname")[1]
        try:
            return await probes.probe(replace(check, port=port), 0, Configuration())
        finally:
            transport.close()

    return asyncio.run(attempt())


@OVER_BOTH
def test_dns() -> None:
    check = Check("DNS_CHECK", HOST, 0, LATER, query=("A", "www.example.com"))
    assert ask(check, lambda query: query[:2] + b"\x81\x80" + query[4:]) == Outcome()
    failed = ask(check, lambda query: query[:2] + b"\x81\x83" + query[4:])
    assert failed == Outcome("the name server answers with the error code 3")
    other = replace(check, timing=SOON)
    assert ask(other, lambda query: b"\0\0" if query[0] else b"") == Outcome("no answer within 0.3 s")


@OVER_BOTH
def test_http_and_https_name_the_address_as_in_a_url() -> None:
    asked: list[bytes] = []
    check = http(host=None)
    assert probe(check, saying(b"HTTP/1.0 200 OK\r\n\r\npage", asked)) == Outcome()
    named = re.search(rb"Host: (.*):\d+\r", asked[0])
    assert named
    assert named[1].decode() == (f"[{HOST}]" if ":" in HOST else HOST)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(Path(__file__).with_name("tls.pem"))

    async def attempt() -> Outcome:
        server = await asyncio.start_server(saying(b"HTTP/1.0 200 OK\r\n\r\npage"), HOST, 0, ssl=tls)
        async with server:
            port = server.sockets[0].getsockname()[1]
            return await probes.probe(replace(check, kind="SSL_GET", port=port), 0, Configuration())

    assert asyncio.run(attempt()) == Outcome()


def test_a_dns_query_is_as_in_the_rfc() -> None:
    assert datagrams.dns_query(258, "A", "a.example.") == (
        b"\x01\x02\x01\x00\0\x01\0\0\0\0\0\0\x01a\x07example\0\0\x01\0\x01"
    )
    assert datagrams.dns_query(1, "SOA", ".")[12:] == b"\0\0\x06\0\x01"


@OVER_BOTH
def test_udp() -> None:
    check = Check("UDP_CHECK", HOST, free_port(socket.SOCK_DGRAM), LATER)
    assert probe(check) == Outcome("connection refused")
    assert ask(replace(check, timing=SOON), lambda _: None) == Outcome()
    wanted = replace(check, payload=b"ping", reply=((0x10, 0xF0), (0x22, 0xFF)), lengths=(1, 3))
    assert ask(wanted, lambda data: b"\x1f\x22" if data == b"ping" else None) == Outcome()
    assert ask(wanted, lambda _: b"\x1f") == Outcome()  # as in keepalived; min_reply_length requires more
    assert ask(wanted, lambda _: b"\x1f\x23") == Outcome("the reply begins with 1f23")
    assert ask(wanted, lambda _: b"\x1f\x22\0\0") == Outcome("the reply has 4 bytes")
    for reply in (wanted.reply, ()):
        silence = ask(replace(wanted, timing=SOON, reply=reply), lambda _: None)
        assert silence == Outcome("no answer within 0.3 s")
    any_reply = replace(wanted, reply=())  # require_reply without bytes
    assert ask(any_reply, lambda _: b"four") == ask(any_reply, lambda _: b"\x1f") == Outcome()


@OVER_BOTH
@pytest.mark.skipif(os.geteuid() != 0, reason="only root has raw sockets")
def test_ping() -> None:
    assert probe(Check("PING_CHECK", HOST, 0, LATER)) == Outcome()


# ---- programs ----


def program(*words: str, timeout: float = 30, **changes: Any) -> Check:
    script = Script(words, (), Place("a", 1))
    return replace(Check("MISC_CHECK", HOST, 0, Timing(connect_timeout=timeout), command=script), **changes)


def test_a_programs_exit_code_decides() -> None:
    assert probe(program("true")) == Outcome()
    assert probe(program("sh", "-c", "echo 10.0.0.1; exit 1")) == Outcome("exit code 1, '10.0.0.1'")
    assert probe(program("sh", "-c", "exit 12", dynamic=True)) == Outcome(weight=10)
    assert probe(program("/no/such/program")) == Outcome("no such file or directory")


def test_a_program_that_takes_too_long_is_ended_with_its_children(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    line = f"sleep 60 & echo $! > {file}; trap '' TERM; wait"
    for seconds in (0.3, 3, 30):  # until there is time for it to begin
        outcome = probe(program("sh", "-c", line, timeout=seconds))
        assert outcome == Outcome(f"no answer within {seconds:g} s")
        if file.exists() and file.read_text():
            break
    state = Path(f"/proc/{int(file.read_text())}/stat")
    assert poll_until(lambda: not state.exists() or state.read_text().split()[2] == "Z", bool, 10)


def test_programs_are_checked_before_they_are_needed(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("#!/bin/sh\n")
    own.chmod(0o777)
    place = Place("keepalived.conf", 7)
    for words, user, secure, sentence in (
        (("/no/such",), (), False, "/no/such is not a program that can be run."),
        (("true",), ("nobody-at-all",), False, "there is no user or group nobody-at-all."),
        (
            (str(own),),
            ("root",),
            True,
            f"root would run it, but others may change {own} (enable_script_security).",
        ),
    ):
        if os.geteuid() and user:
            continue
        check = replace(program("true"), command=Script(words, user, place))
        real = probes_server(check)
        with pytest.raises(Exception, match=r"^keepalived.conf:7: misc_path: ") as refused:
            programs.verify(Configuration(servers=(real,), script_security=secure))
        assert str(refused.value).endswith(sentence)


def probes_server(check: Check) -> Any:
    from availability.config.model import RealServer, VirtualServer

    server = RealServer(HOST, 80, 1, "NAT", checks=(check,))
    return VirtualServer("web", (), {}, (server,), None, 1, 0, False, None, None, False)


def test_the_ftp_monitor_of_mon_logs_in() -> None:
    """Its first line names the hosts that failed."""
    replies = {b"USER": b"331 who", b"PASS": b"230 in", b"QUIT": b"221 bye"}

    async def attempt() -> list[tuple[int, str]]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 hello\r\n")
            while line := await reader.readline():
                wrong = line.startswith(b"PASS") and b"right" not in line
                writer.write((b"530 no" if wrong else replies[line[:4].upper()]) + b"\r\n")
            writer.close()

        server = await asyncio.start_server(serve, HOST, 0)
        port = str(server.sockets[0].getsockname()[1])
        async with server:
            return [await asyncio.to_thread(run, port, password) for password in ("right", "wrong")]

    def run(port: str, password: str) -> tuple[int, str]:
        words = [sys.executable, str(FTP), "-p", port, "-u", "ann", "-P", password, HOST]
        done = subprocess.run(words, capture_output=True, text=True, timeout=patient(60), check=False)
        return done.returncode, done.stdout + done.stderr

    assert asyncio.run(attempt()) == [(0, ""), (1, f"{HOST}\n{HOST}: 530 no\n")]
