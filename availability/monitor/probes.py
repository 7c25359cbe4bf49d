"""One attempt of a check, which ends with an outcome (checker.py).

connect_timeout limits an attempt as a whole, so that a server that only sends a byte now and then fails.
HTTP is in http_get.py, checks by datagrams are in datagrams.py.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable

from availability.config.model import Check, Configuration
from availability.monitor import datagrams, http_get, programs
from availability.monitor.checker import Outcome
from availability.monitor.connection import ProbeFailed, connect, open_stream
from director.deadline import within

OK = Outcome()
_GRACE = 5.0  # seconds to end a program that takes too long


async def probe(check: Check, page: int, configuration: Configuration) -> Outcome:
    """Make one attempt; `page` is the index of the page to fetch. Never raises for what a server does."""
    timeout = check.timing.connect_timeout
    try:
        if check.kind == "MISC_CHECK":
            return await within(timeout + _GRACE, _program(check, configuration))
        if check.kind in _HTTP:
            await within(timeout, http_get.get(check, check.pages[page]))
        else:
            await within(timeout, _PROBES[check.kind](check))
    except asyncio.TimeoutError:
        return _late(check)
    except asyncio.IncompleteReadError:
        return Outcome("the connection ended early")
    except ProbeFailed as failed:
        return Outcome(str(failed))
    except asyncio.LimitOverrunError:
        return Outcome("a line of the answer is too long")
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error) or type(error).__name__
        return Outcome(why[:1].lower() + why[1:].rstrip("."))
    return OK


def _late(check: Check) -> Outcome:
    """The outcome of a timeout: UDP_CHECK without require_reply succeeds without a reply."""
    if check.kind == "UDP_CHECK" and check.reply is None:
        return OK
    return Outcome(f"no answer within {check.timing.connect_timeout:g} s")


async def _tcp(check: Check) -> None:
    connection = await connect(check, socket.SOCK_STREAM)
    connection.close()


async def _smtp(check: Check) -> None:
    """Expect the greeting, send HELO and expect its answer (RFC 5321)."""
    async with open_stream(check) as (reader, writer):
        await _expect(reader, "220")
        writer.write(f"HELO {check.helo or socket.gethostname()}\r\n".encode())
        await _expect(reader, "250")
        writer.write(b"QUIT\r\n")
        await writer.drain()


async def _expect(reader: asyncio.StreamReader, code: str) -> None:
    """Read a reply, perhaps of several lines, and require this code. Raises ProbeFailed."""
    while True:
        line = (await reader.readuntil(b"\n")).decode(errors="replace").rstrip()
        if line[:3] != code:
            raise ProbeFailed(f"expected {code}, got {line[:60]!r}")
        if line[3:4] != "-":
            return


async def _program(check: Check, configuration: Configuration) -> Outcome:
    """Run a MISC_CHECK. Exit code 0 is success; with misc_dynamic, 2 to 255 are too, and ask for a weight."""
    assert check.command
    code, output = await programs.run(check.command, configuration, check.timing.connect_timeout)
    if code == 0:
        return OK
    if check.dynamic and code >= 2:
        return Outcome(weight=code - 2)
    return Outcome(f"exit code {code}{f', {output!r}' if output else ''}")


_HTTP = ("HTTP_GET", "SSL_GET")
_PROBES: dict[str, Callable[[Check], Awaitable[None]]] = {
    "TCP_CHECK": _tcp,
    "SMTP_CHECK": _smtp,
    "DNS_CHECK": datagrams.dns,
    "UDP_CHECK": datagrams.udp,
    "PING_CHECK": datagrams.ping,
}
