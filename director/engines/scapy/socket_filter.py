"""A classic BPF filter on a packet socket: which frames the kernel hands over (socket(7), SO_ATTACH_FILTER).

Frames that a director has no use for do not wake it: those of a VLAN, which belong to another interface, IP
packets for another machine, and all that is neither IPv4 nor ARP.
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
_SKF_AD_OFF = 0xFFFFF000  # instead of an offset: what the kernel knows about the frame (linux/filter.h)
_PKTTYPE, _VLAN_TAG_PRESENT = _SKF_AD_OFF + 4, _SKF_AD_OFF + 48
_PACKET_HOST = 0  # a packet type: to this machine
_IPV4, _ARP, _TCP = 0x0800, 0x0806, 6
_WITH_TCP = 14 + 20 + 20  # bytes of Ethernet, IPv4 without options, TCP
_WHOLE_FRAME = 0xFFFFFFFF  # bytes to hand over


class FrameClass(Enum):
    SYN = auto()  # asks for a new connection
    OTHER = auto()  # of interest, too
    IGNORED = auto()


_NEXT = None  # undecided: go on with the next instruction
# Operation, operand; and for a comparison, the verdict if it is true and if it is false.
_INSTRUCTIONS: Sequence[tuple[int, int, FrameClass | None, FrameClass | None]] = (
    (_LOAD_WORD, _VLAN_TAG_PRESENT, _NEXT, _NEXT),
    (_EQUAL, 0, _NEXT, FrameClass.IGNORED),
    (_LOAD_HALF, 12, _NEXT, _NEXT),  # EtherType
    (_EQUAL, _ARP, FrameClass.OTHER, _NEXT),
    (_EQUAL, _IPV4, _NEXT, FrameClass.IGNORED),
    (_LOAD_WORD, _PKTTYPE, _NEXT, _NEXT),
    (_EQUAL, _PACKET_HOST, _NEXT, FrameClass.IGNORED),
    (_LOAD_LENGTH, 0, _NEXT, _NEXT),
    (_AT_LEAST, _WITH_TCP, _NEXT, FrameClass.OTHER),
    (_LOAD_BYTE, 14, _NEXT, _NEXT),  # IP version and header length
    (_EQUAL, 0x45, _NEXT, FrameClass.OTHER),
    (_LOAD_HALF, 20, _NEXT, _NEXT),  # fragment offset
    (_ANY_BIT, 0x1FFF, FrameClass.OTHER, _NEXT),
    (_LOAD_BYTE, 23, _NEXT, _NEXT),  # protocol
    (_EQUAL, _TCP, _NEXT, FrameClass.OTHER),
    (_LOAD_BYTE, 47, _NEXT, _NEXT),  # TCP flags
    (_AND, 0x16, _NEXT, _NEXT),  # SYN, RST and ACK
    (_EQUAL, 0x02, FrameClass.SYN, FrameClass.OTHER),
)


def attach(raw: socket.socket, wanted: Collection[FrameClass]) -> None:
    """From now on this packet socket receives frames of these classes only."""
    code = _program(wanted)
    buffer = ctypes.create_string_buffer(code)
    program = struct.pack("HP", len(code) // 8, ctypes.addressof(buffer))  # struct sock_fprog
    raw.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


def _program(wanted: Collection[FrameClass]) -> bytes:
    """The instructions, followed by a return for each class: the bytes of such a frame to hand over."""
    classes = list(FrameClass)
    code = b""
    for number, (operation, operand, *verdicts) in enumerate(_INSTRUCTIONS):
        end = len(_INSTRUCTIONS) - number - 1
        jumps = [0 if verdict is None else end + classes.index(verdict) for verdict in verdicts]
        code += struct.pack("HBBI", operation, *jumps, operand)
    for frame_class in classes:
        code += struct.pack("HBBI", _RETURN, 0, 0, _WHOLE_FRAME if frame_class in wanted else 0)
    return code
