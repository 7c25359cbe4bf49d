"""Which frames a socket gets: a filter that the kernel runs on each (socket(7), SO_ATTACH_FILTER).

Nobody is woken by frames that a director has no use for: those of a VLAN, which belong to another interface,
IP packets for another machine, and whatever is neither IPv4 nor ARP.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Collection, Sequence
from enum import Enum, auto

_SO_ATTACH_FILTER = 26  # asm-generic/socket.h
_LOAD_WORD, _LOAD_HALF, _LOAD_BYTE, _LOAD_LENGTH = 0x20, 0x28, 0x30, 0x80  # linux/bpf_common.h
_AND, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x54, 0x15, 0x35, 0x45, 0x06
_KNOWN = 0xFFFFF000  # in place of an offset: what the kernel knows of the frame (linux/filter.h)
_KIND, _HAS_TAG = _KNOWN + 4, _KNOWN + 48
_TO_THIS_MACHINE = 0  # a kind: PACKET_HOST
_IPV4, _ARP, _TCP = 0x0800, 0x0806, 6
_WITH_TCP = 14 + 20 + 20  # bytes of Ethernet, IPv4 without options, TCP
_ALL = 0xFFFFFFFF  # bytes of the frame that are wanted


class Class(Enum):
    ARRIVAL = auto()  # a SYN, which asks for a new connection
    OTHER = auto()
    NONE = auto()  # of the director's business


_NEXT = None  # nothing yet: the next line
# Operation, operand; and for a comparison what is known if it is true, and if not.
_LINES: Sequence[tuple[int, int, Class | None, Class | None]] = (
    (_LOAD_WORD, _HAS_TAG, _NEXT, _NEXT),
    (_EQUAL, 0, _NEXT, Class.NONE),
    (_LOAD_HALF, 12, _NEXT, _NEXT),
    (_EQUAL, _ARP, Class.OTHER, _NEXT),
    (_EQUAL, _IPV4, _NEXT, Class.NONE),
    (_LOAD_WORD, _KIND, _NEXT, _NEXT),
    (_EQUAL, _TO_THIS_MACHINE, _NEXT, Class.NONE),
    (_LOAD_LENGTH, 0, _NEXT, _NEXT),
    (_AT_LEAST, _WITH_TCP, _NEXT, Class.OTHER),
    (_LOAD_BYTE, 14, _NEXT, _NEXT),  # version, and length of the header
    (_EQUAL, 0x45, _NEXT, Class.OTHER),
    (_LOAD_HALF, 20, _NEXT, _NEXT),  # where a fragment begins
    (_ANY_BIT, 0x1FFF, Class.OTHER, _NEXT),
    (_LOAD_BYTE, 23, _NEXT, _NEXT),
    (_EQUAL, _TCP, _NEXT, Class.OTHER),
    (_LOAD_BYTE, 47, _NEXT, _NEXT),  # flags
    (_AND, 0x16, _NEXT, _NEXT),  # SYN, RST and ACK
    (_EQUAL, 0x02, Class.ARRIVAL, Class.OTHER),
)


def attach(raw: socket.socket, wanted: Collection[Class]) -> None:
    """From now on this packet socket gets only frames of these classes."""
    code = _program(wanted)
    where = ctypes.create_string_buffer(code)
    program = struct.pack("HP", len(code) // 8, ctypes.addressof(where))  # struct sock_fprog
    raw.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


def _program(wanted: Collection[Class]) -> bytes:
    """Behind the lines, there is one for each class that says how much of such a frame is taken."""
    classes = list(Class)
    code = b""
    for number, (operation, operand, *known) in enumerate(_LINES):
        end = len(_LINES) - number - 1
        jumps = [0 if one is None else end + classes.index(one) for one in known]
        code += struct.pack("HBBI", operation, *jumps, operand)
    for one in classes:
        code += struct.pack("HBBI", _RETURN, 0, 0, _ALL if one in wanted else 0)
    return code
