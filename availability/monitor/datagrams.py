"""DNS_CHECK, UDP_CHECK and PING_CHECK: each sends a datagram and judges the reply."""

from __future__ import annotations

import asyncio
import os
import socket
import struct

from availability.config.model import Check
from availability.monitor.connection import ProbeFailed, connect, family_of

_TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "MX": 15, "TXT": 16, "AAAA": 28}  # RFC 1035, RFC 3596
# Protocol, types of request and reply: RFC 792, RFC 4443.
_ECHO_OF_IPV4, _ECHO_OF_IPV6 = (socket.IPPROTO_ICMP, 8, 0), (socket.IPPROTO_ICMPV6, 128, 129)
_RECURSION_DESIRED, _RESPONSE, _RCODE = 0x0100, 0x8000, 0x000F
_HEADER = struct.Struct("!6H")
_ECHO = struct.Struct("!BBHHH")
_SIZE = 65535


async def dns(check: Check) -> None:
    """Send a query, and require an answer without an error code (RFC 1035). Raises ProbeFailed, OSError."""
    number = int.from_bytes(os.urandom(2), "big")
    with await connect(check, socket.SOCK_DGRAM) as made:
        await _send(made, dns_query(number, *check.query))
        while True:
            reply = await _receive(made)
            if len(reply) < _HEADER.size:
                continue
            found, flags, *_ = _HEADER.unpack_from(reply)
            if found == number and flags & _RESPONSE:
                if flags & _RCODE:
                    raise ProbeFailed(f"the name server answers with the error code {flags & _RCODE}")
                return


def dns_query(number: int, kind: str, name: str) -> bytes:
    labels = [label.encode() for label in name.rstrip(".").split(".") if label]
    question = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    return (
        _HEADER.pack(number, _RECURSION_DESIRED, 1, 0, 0, 0) + question + struct.pack("!HH", _TYPES[kind], 1)
    )


async def udp(check: Check) -> None:
    """Send a datagram, and wait for a reply, which must match `check.reply` if that is given.

    As in keepalived, a reply that is shorter than `check.reply` is compared as far as it goes, and lengths
    matter only if `check.reply` has bytes. The caller judges silence, by a timeout. Raises ProbeFailed, and
    OSError after an ICMP error.
    """
    with await connect(check, socket.SOCK_DGRAM) as made:
        await _send(made, os.urandom(8) if check.payload is None else check.payload)
        reply = await _receive(made)
    if not check.reply:
        return
    shortest, longest = check.lengths
    if not shortest <= len(reply) <= longest:
        raise ProbeFailed(f"the reply has {len(reply)} bytes")
    if any(byte & mask != value for byte, (value, mask) in zip(reply, check.reply, strict=False)):
        raise ProbeFailed(f"the reply begins with {reply[: len(check.reply)].hex()}")


async def ping(check: Check) -> None:
    """Send an echo request and wait for its reply, on a raw socket. Raises OSError."""
    number, token = os.getpid() & 0xFFFF, os.urandom(16)
    is_ipv6 = family_of(check) == socket.AF_INET6
    protocol, ask, reply = _ECHO_OF_IPV6 if is_ipv6 else _ECHO_OF_IPV4
    with await connect(check, socket.SOCK_RAW, protocol) as made:
        await _send(made, echo_request(number, token, ask))
        while True:
            packet = await _receive(made)
            header = 0 if is_ipv6 or not packet else (packet[0] & 0x0F) * 4  # the kernel strips IPv6's
            message = packet[header:]
            if len(message) < _ECHO.size:
                continue
            kind, _, _, found, _ = _ECHO.unpack_from(message)
            if (kind, found, message[_ECHO.size :]) == (reply, number, token):
                return


def echo_request(number: int, token: bytes, kind: int = _ECHO_OF_IPV4[1]) -> bytes:
    """The message with its checksum; for ICMPv6 the kernel overwrites that."""
    total = sum(struct.unpack(f"!{len(token) // 2}H", token)) + (kind << 8) + number + 1
    total = (total & 0xFFFF) + (total >> 16)
    checksum = ~(total + (total >> 16)) & 0xFFFF
    return _ECHO.pack(kind, 0, checksum, number, 1) + token


async def _send(made: socket.socket, datagram: bytes) -> None:
    await asyncio.get_running_loop().sock_sendall(made, datagram)


async def _receive(made: socket.socket) -> bytes:
    return await asyncio.get_running_loop().sock_recv(made, _SIZE)
