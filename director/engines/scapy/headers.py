"""The headers a director reads: Scapy's layers, imported fast, and compiled versions of them.

Scapy dissects a packet into objects, which takes 70 microseconds for each header; a director needs ten fields
of it and changes three. So each field is read and written in place. The fields, their lengths and their order
are still Scapy's `fields_desc`; only IPv6 and ICMPv6, whose layers take long to import, are defined here.
"""

from __future__ import annotations

import logging
import struct
import sys
from socket import AF_INET6, inet_aton, inet_ntoa, inet_ntop, inet_pton
from types import SimpleNamespace
from typing import Any, ClassVar

from director.core.family import IPV4, IPV6

_absent: Any = None
# Scapy imports it for TLS and IPsec if it can, which takes a sixth of the time.
_cryptography = sys.modules.setdefault("cryptography", _absent)
from scapy.config import conf  # noqa: E402

if _cryptography is None:
    del sys.modules["cryptography"]  # others in this process may want it
from scapy.fields import (  # noqa: E402
    BitField,
    ByteField,
    Field,
    IntField,
    IP6Field,
    IPField,
    ShortField,
    XShortField,
)

logging.getLogger("scapy.runtime").setLevel(logging.CRITICAL)  # no advice about odd packets
conf.ipv6_enabled = False  # half of the import time; see IPv6Header
conf.route_autoload = False  # the kernel's table is read when it is needed

from scapy.arch.linux import L2Socket  # noqa: E402
from scapy.layers.inet import ICMP, IP, TCP, UDP  # noqa: E402
from scapy.layers.l2 import ARP, Ether  # noqa: E402

__all__ = [
    "ARP",
    "ICMP",
    "IP",
    "TCP",
    "UDP",
    "Ether",
    "Header",
    "ICMPv6Header",
    "IPHeader",
    "IPv6Header",
    "L2Socket",
    "TCPHeader",
    "UDPHeader",
    "conf",
]

_WHOLE = {8: "!B", 16: "!H", 32: "!I"}  # bits, and the struct(3) format that reads them


class Header:
    """A header without its options. A field that a subclass names is one of its Scapy `layer`'s."""

    layer: ClassVar[Any]
    size: ClassVar[int]  # bytes

    def __init_subclass__(cls) -> None:
        at = 0  # bits
        for field in map(_unwrapped, cls.layer.fields_desc):
            if field.name == "options":  # the first field of variable length, and the last
                break
            length = field.size if isinstance(field, BitField) else round(field.sz * 8)
            if field.name in cls.__annotations__:
                setattr(cls, field.name, _compiled(field, at, length))
            at += length
        cls.size = at // 8

    def __init__(self, data: bytes) -> None:
        """A header from the first `size` bytes of `data`, which must not be shorter."""
        self.data = bytearray(data[: self.size])

    def __bytes__(self) -> bytes:
        return bytes(self.data)


def _unwrapped(field: Any) -> Field[Any, Any]:
    """A field without the wrapper with which Scapy prints it in another colour."""
    bare: Field[Any, Any] = getattr(field, "fld", field)
    return bare


def _compiled(field: Field[Any, Any], at: int, length: int) -> property:
    """The field of `length` bits that starts at bit `at`; an address is text, all else a number."""
    if isinstance(field, IPField):
        return _address(at // 8)
    if isinstance(field, IP6Field):
        return _ipv6_address(at // 8)
    return _number(at // 8, _WHOLE[length]) if length in _WHOLE and at % 8 == 0 else _bits(at, length)


def _address(at: int) -> property:
    def read(header: Header) -> str:
        return inet_ntoa(header.data[at : at + 4])

    def write(header: Header, address: str) -> None:
        header.data[at : at + 4] = inet_aton(address)

    return property(read, write)


def _ipv6_address(at: int) -> property:
    def read(header: Header) -> str:
        return inet_ntop(AF_INET6, bytes(header.data[at : at + 16]))

    def write(header: Header, address: str) -> None:
        header.data[at : at + 16] = inet_pton(AF_INET6, address)

    return property(read, write)


def _number(at: int, form: str) -> property:
    unpack, pack = struct.Struct(form).unpack_from, struct.Struct(form).pack_into

    def read(header: Header) -> int:
        (value,) = unpack(header.data, at)
        return int(value)

    def write(header: Header, value: int) -> None:
        pack(header.data, at, value)

    return property(read, write)


def _bits(at: int, length: int) -> property:
    first, end = at // 8, (at + length + 7) // 8
    shift, mask = end * 8 - at - length, (1 << length) - 1

    def read(header: Header) -> int:
        return int.from_bytes(header.data[first:end], "big") >> shift & mask

    def write(header: Header, value: int) -> None:
        if value & ~mask:
            raise ValueError(f"{value} does not fit in {length} bits")
        others = int.from_bytes(header.data[first:end], "big") & ~(mask << shift)
        header.data[first:end] = (others | value << shift).to_bytes(end - first, "big")

    return property(read, write)


class IPHeader(Header):
    """RFC 791. `LENGTH` and `ADDRESSES` are the bytes that the checksums of TCP and UDP cover."""

    family = IPV4
    LENGTH, ADDRESSES = slice(2, 4), slice(12, 20)
    layer = IP
    ihl: int
    tos: int
    len: int
    id: int
    flags: int
    frag: int
    ttl: int
    proto: int
    src: str
    dst: str


class IPv6Header(Header):
    """RFC 8200, with the names of IPv4: tos is the traffic class, ttl the hop limit.

    `len` does not count this header. Scapy's own layer takes as long to import as all others together.
    """

    family = IPV6
    LENGTH, ADDRESSES = slice(4, 6), slice(8, 40)
    layer = SimpleNamespace(
        fields_desc=(
            BitField("version", 6, 4),
            BitField("tos", 0, 8),
            BitField("label", 0, 20),
            ShortField("len", 0),
            ByteField("proto", 0),
            ByteField("ttl", 64),
            IP6Field("src", None),
            IP6Field("dst", None),
        )
    )
    version: int
    tos: int
    len: int
    proto: int
    ttl: int
    src: str
    dst: str


class ICMPv6Header(Header):
    """RFC 4443; `number` is the MTU in "packet too big"."""

    layer = SimpleNamespace(
        fields_desc=(
            ByteField("type", 0),
            ByteField("code", 0),
            XShortField("chksum", 0),
            IntField("number", 0),
        )
    )
    type: int
    code: int
    number: int


class TCPHeader(Header):
    """RFC 9293."""

    layer = TCP
    sport: int
    dport: int
    seq: int
    ack: int
    dataofs: int
    flags: int


class UDPHeader(Header):
    """RFC 768."""

    layer = UDP
    sport: int
    dport: int
    len: int
    chksum: int
