"""HTTP_GET and SSL_GET: fetch a page, and compare its status, digest and text.

HTTP/1.0, as in keepalived, or 1.1 with "Connection: close" (RFC 9112). Certificates are not verified.
"""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import io
import re
import ssl
from functools import cache

from availability.config.model import Check, Page
from availability.monitor.connection import ProbeFailed, open_stream

MAX_PAGE = 16 * 1024 * 1024  # bytes
_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})(?: |\r|$)")
_CHUNK = 65536  # bytes read at a time
_PORTS = {"HTTP_GET": 80, "SSL_GET": 443}


async def get(check: Check, page: Page) -> None:
    """Fetch a page and judge it. Raises ProbeFailed, OSError, and what StreamReader.readuntil raises."""
    tls = _context() if check.kind == "SSL_GET" else None
    name = page.host if check.server_name else None
    async with open_stream(check, tls, name) as (reader, writer):
        writer.write(request(check, page))
        head = await reader.readuntil(b"\r\n\r\n")
        status = _STATUS.match(head)
        if not status:
            raise ProbeFailed(f"the answer is not HTTP: {head[:40]!r}")
        body = await _body(reader, head)
    judge(page, int(status[1]), body)


def request(check: Check, page: Page) -> bytes:
    port = "" if check.port == _PORTS[check.kind] else f":{check.port}"
    address = f"[{check.address}]" if ":" in check.address else check.address
    lines = [
        f"GET {page.path} HTTP/{check.version[:3]}",
        f"Host: {page.host or address + port}",
        "User-Agent: lvs-monitor",
        *(["Connection: close"] if check.version != "1.0" else []),
    ]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("utf-8", "surrogateescape")


def judge(page: Page, status: int, body: bytes) -> None:
    """Raises ProbeFailed if the status, digest or text differs from what `page` requires."""
    if not any(status in codes for codes in page.codes):
        raise ProbeFailed(f"{page.path} answers with status {status}")
    digest = hashlib.md5(body, usedforsecurity=False).hexdigest() if page.digest else None
    if digest != page.digest:
        raise ProbeFailed(f"{page.path} has the digest {digest}")
    if page.regex:
        first, last = page.offsets
        found = next((match for match in page.regex.finditer(body, first)), None)
        within = found is not None and (last is None or found.start() <= last)
        if within != page.must_match:
            raise ProbeFailed(
                f"{page.path} {'does not match' if page.must_match else 'matches'} the expression"
            )


async def _body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    try:
        fields = http.client.parse_headers(io.BytesIO(head.partition(b"\r\n")[2]))
        length = int(fields.get("Content-Length", "-1"))
    except (http.client.HTTPException, ValueError):
        raise ProbeFailed("the answer's header is malformed") from None
    if fields.get("Transfer-Encoding", "").lower() == "chunked":
        return await _chunks(reader)
    if length >= 0:
        return await reader.readexactly(_limited(length))
    return await _rest(reader)


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while True:
        size = (await reader.readuntil(b"\n")).partition(b";")[0].strip()
        if not re.fullmatch(rb"[0-9A-Fa-f]{1,8}", size):
            raise ProbeFailed("a chunk of the answer has no size")
        if not int(size, 16):
            return bytes(body)
        body += await reader.readexactly(_limited(len(body) + int(size, 16)) - len(body))
        await reader.readexactly(2)


async def _rest(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while chunk := await reader.read(_CHUNK):
        body += chunk
        _limited(len(body))
    return bytes(body)


def _limited(size: int) -> int:
    if size > MAX_PAGE:
        raise ProbeFailed(f"the page is longer than {MAX_PAGE} bytes")
    return size


@cache
def _context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
