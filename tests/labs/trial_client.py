"""A client for trials of the director, for what curl can't do. Each command prints one line of JSON.

hold VIP PORT                 one connection; for each line on stdin it sends a request and prints the server;
                              `little`: without the usual megabyte
ftp VIP PORT                  one control connection; `again` on stdin: NOOP, `fetch`: a file, in passive mode
udp VIP PORT SIZE COUNT [SECONDS]  COUNT datagrams of SIZE bytes from one socket; prints the answers in time
pace VIP PORT RATE COUNT      COUNT small datagrams, RATE per second; prints the answer to the last one
refused VIP PORT              how a connected UDP socket learns that the port is closed
syns VIP PORT COUNT           COUNT segments that would open a connection, each from another port
flood VIP PORT RATE COUNT [FLAGS]  the same from random addresses in 198.18.0.0/15, RATE per second; other
                              FLAGS of TCP, and 0 for UDP
ttl VIP PORT                  the result of a connection with a TTL of one hop
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import socket
import struct
import sys
import time
from collections.abc import Callable
from ftplib import FTP, Error
from http.client import HTTPConnection, HTTPException

from labs.wait import patient

TIMEOUT = 10.0  # seconds
WINDOW = 250  # small datagrams, which the server's receive buffer holds


def say(value: object) -> None:
    print(json.dumps(value), flush=True)


def hold(vip: str, port: int) -> None:
    connection = HTTPConnection(vip, port, timeout=patient(30))
    for line in sys.stdin:
        try:
            connection.request(*("POST", "/", b"") if line == "little\n" else ("GET", "/"))
            answer = connection.getresponse()
            answer.read()
            say(answer.headers["Name"])
        except (OSError, HTTPException) as error:
            say(type(error).__name__)


def ftp(vip: str, port: int) -> None:
    """What the server replies to NOOP, or the size of the file."""
    client = FTP(timeout=patient(30))
    client.connect(vip, port)
    client.login()
    setattr(client, "trust_server_pasv_ipv4_address", True)  # noqa: B010 (typeshed lacks it): where the reply leads is what counts
    for line in sys.stdin:
        try:
            if line == "fetch\n":
                pieces: list[bytes] = []
                client.retrbinary("RETR file", pieces.append)
                say(len(b"".join(pieces)))
            else:
                say(client.voidcmd("NOOP"))
        except (OSError, EOFError, Error) as error:
            say(f"{type(error).__name__}: {error}")


def udp(vip: str, port: int, size: int, count: int, seconds: int = 1) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.settimeout(patient(seconds))
        answers = []
        for number in range(count):
            asker.sendto(bytes([number % 256]) * size, (vip, port))
            with contextlib.suppress(TimeoutError):
                answer, (address, _) = asker.recvfrom(2000)
                if address == vip:  # from any other address it is not an answer
                    answers.append(answer.decode())
        say(answers)


def pace(vip: str, port: int, rate: int, count: int) -> None:
    """Each datagram has its time; a late one is sent at once, but WINDOW of them wait for an answer."""
    answer = ""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender, contextlib.suppress(TimeoutError):
        sender.settimeout(patient(TIMEOUT))
        sender.connect((vip, port))
        begin = time.monotonic()
        for number in range(1, count + 1):
            wait = begin + number / rate - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            if number % WINDOW and number < count:
                sender.send(b"only counted")
            else:
                sender.send(b"how many?")
                answer = sender.recv(2000).decode()
    say(answer)


def refused(vip: str, port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.settimeout(patient(TIMEOUT))
        asker.connect((vip, port))
        try:
            asker.send(b"is anybody there?")
            asker.recv(100)
        except OSError as error:
            say(errno.errorcode.get(error.errno or 0, str(error)))


def syns(vip: str, port: int, count: int) -> None:
    """Half-open for ever: raw, so that this host's own kernel knows nothing of them."""
    from scapy.layers.inet import IP, TCP  # late: no other command needs it

    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as sender:
        for number in range(count):
            source = f"198.51.100.{1 + number % 250}"
            sender.sendto(bytes(IP(src=source, dst=vip) / TCP(sport=10000 + number, dport=port)), (vip, 0))


def flood(vip: str, port: int, rate: int, count: int, flags: int = 0x02) -> None:
    from director.engines.scapy.checksums import computed  # late, as above

    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as sender:
        began, sent = time.monotonic(), 0
        while sent < count:
            due = min(count, int((time.monotonic() - began) * rate))
            for _ in range(sent, due):
                ends = bytes([198, random.choice((18, 19)), *random.randbytes(2)]) + socket.inet_aton(vip)
                ports = struct.pack("!HH", random.randrange(1024, 65536), port)
                if flags:
                    protocol, segment = 6, ports + struct.pack("!IIBBH", 0, 0, 0x50, flags, 8192)
                    checksum = computed(ends + bytes([0, 6, 0, 20]) + segment + bytes(4))
                    segment += checksum + bytes(2)
                else:
                    protocol, segment = 17, ports + bytes([0, 12, 0, 0]) + b"data"
                ip = bytes([0x45, 0, 0, 0, 0, 1, 0, 0, 64, protocol, 0, 0])  # the kernel fills in the rest
                sender.sendto(ip + ends + segment, (vip, 0))
            sent = due
            time.sleep(0.002)


def ttl(vip: str, port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as asker:
        asker.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 1)
        asker.settimeout(patient(TIMEOUT))
        code = asker.connect_ex((vip, port))
        say(errno.errorcode.get(code, os.strerror(code)))


if __name__ == "__main__":
    command, vip, *numbers = sys.argv[1:]
    commands: dict[str, Callable[..., None]] = {
        "hold": hold,
        "ftp": ftp,
        "udp": udp,
        "pace": pace,
        "refused": refused,
        "syns": syns,
        "flood": flood,
        "ttl": ttl,
    }
    commands[command](vip, *map(int, numbers))
