"""Sockets of the checks, with the configured source address, interface and mark."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator

from availability.config.model import Check


class ProbeFailed(Exception):
    """The server answers, but not as required. The message is the reason."""


def family_of(check: Check) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in check.address else socket.AF_INET


def open_socket(check: Check, kind: int, protocol: int = 0) -> socket.socket:
    """A non-blocking socket. Raises OSError."""
    made = socket.socket(family_of(check), kind, protocol)
    try:
        made.setblocking(False)
        if check.mark:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, check.mark)
        if check.interface:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, check.interface.encode())
        if check.source != ("", 0):
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((check.source[0] or ("::" if ":" in check.address else ""), check.source[1]))
    except BaseException:
        made.close()
        raise
    return made


async def connect(check: Check, kind: int, protocol: int = 0) -> socket.socket:
    """A connected socket. Raises OSError."""
    made = open_socket(check, kind, protocol)
    try:
        if kind == socket.SOCK_STREAM:
            await asyncio.get_running_loop().sock_connect(made, (check.address, check.port))
        else:
            made.connect((check.address, check.port))  # sends nothing
    except BaseException:
        made.close()
        raise
    return made


@contextlib.asynccontextmanager
async def open_stream(
    check: Check, tls: ssl.SSLContext | None = None, name: str | None = None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection as a stream, over TLS if `tls` is given, with `name` in its handshake. Raises OSError."""
    connection = await connect(check, socket.SOCK_STREAM)
    try:
        stream = await asyncio.open_connection(
            sock=connection, ssl=tls, server_hostname=(name or "") if tls else None
        )
    except BaseException:
        connection.close()
        raise
    try:
        yield stream
    finally:
        stream[1].transport.abort() if tls else stream[1].close()
