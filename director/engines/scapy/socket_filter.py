"""A classic BPF filter on a packet socket: which frames the kernel hands over (socket(7), SO_ATTACH_FILTER).

Frames that are of no use do not wake the director: those of a VLAN, which belong to another interface (a tag
with the number 0 has only a priority), IP packets for another machine, and all that is neither IP nor ARP. Of
multicast, only IPv6's neighbour advertisements are of use: they announce that an address has moved.
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
_PKTTYPE, _VLAN_TAG = _SKF_AD_OFF + 4, _SKF_AD_OFF + 44  # the tag is 0 without VLAN
_VLAN_ID = 0x0FFF  # of its bits
_PACKET_HOST = 0  # a packet type: to this machine
_IPV4, _IPV6, _ARP, _TCP, _ICMPV6 = 0x0800, 0x86DD, 0x0806, 6, 58
_ADVERTISEMENT = 136  # ICMPv6 type of a neighbour's
_WITH_TCP, _WITH_TCP_IPV6 = 14 + 20 + 20, 14 + 40 + 20  # bytes of Ethernet, IP without options, TCP
_WHOLE_FRAME = 0xFFFFFFFF  # bytes to hand over


class FrameClass(Enum):
    SYN = auto()  # asks for a new connection
    ADVERTISEMENT = auto()  # a neighbour's
    OTHER = auto()  # of interest, too
    IGNORED = auto()


_NEXT = None  # undecided: continue with the next instruction
_IPV6_PART, _NOT_DISCOVERY = "IPv6", "not neighbour discovery"  # parts to go to
Verdict = FrameClass | str | None
# Operation, operand; and for a comparison, the verdict if it is true and if it is false. A part has a name.
_INSTRUCTIONS: Sequence[tuple[int, int, Verdict, Verdict] | str] = (
    (_LOAD_WORD, _VLAN_TAG, _NEXT, _NEXT),
    (_ANY_BIT, _VLAN_ID, FrameClass.IGNORED, _NEXT),
    (_LOAD_HALF, 12, _NEXT, _NEXT),  # EtherType
    (_EQUAL, _ARP, FrameClass.OTHER, _NEXT),
    (_EQUAL, _IPV4, _NEXT, _IPV6_PART),
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
    _IPV6_PART,
    (_EQUAL, _IPV6, _NEXT, FrameClass.IGNORED),
    (_LOAD_HALF, 20, _NEXT, _NEXT),  # next header and hop limit, which is 255 in neighbour discovery
    (_EQUAL, _ICMPV6 << 8 | 255, _NEXT, _NOT_DISCOVERY),
    (_LOAD_BYTE, 54, _NEXT, _NEXT),  # ICMPv6 type
    (_EQUAL, _ADVERTISEMENT, FrameClass.ADVERTISEMENT, _NEXT),
    _NOT_DISCOVERY,
    (_LOAD_WORD, _PKTTYPE, _NEXT, _NEXT),
    (_EQUAL, _PACKET_HOST, _NEXT, FrameClass.IGNORED),
    (_LOAD_LENGTH, 0, _NEXT, _NEXT),
    (_AT_LEAST, _WITH_TCP_IPV6, _NEXT, FrameClass.OTHER),
    (_LOAD_BYTE, 20, _NEXT, _NEXT),  # next header
    (_EQUAL, _TCP, _NEXT, FrameClass.OTHER),
    (_LOAD_BYTE, 67, _NEXT, _NEXT),  # TCP flags
    (_AND, 0x16, _NEXT, _NEXT),
    (_EQUAL, 0x02, FrameClass.SYN, FrameClass.OTHER),
)


def attach(raw: socket.socket, wanted: Collection[FrameClass]) -> None:
    """Let this packet socket receive frames of these classes only."""
    code = _program(wanted)
    buffer = ctypes.create_string_buffer(code)
    program = struct.pack("HP", len(code) // 8, ctypes.addressof(buffer))  # struct sock_fprog
    raw.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


def _program(wanted: Collection[FrameClass]) -> bytes:
    """The instructions, followed by a return for each class: the bytes of such a frame to hand over."""
    targets: dict[Verdict, int] = {}  # numbers of instructions
    instructions: list[tuple[int, int, Verdict, Verdict]] = []
    for line in _INSTRUCTIONS:
        if isinstance(line, str):
            targets[line] = len(instructions)
        else:
            instructions.append(line)
    targets.update((kind, len(instructions) + place) for place, kind in enumerate(FrameClass))
    code = b""
    for number, (operation, operand, *verdicts) in enumerate(instructions, start=1):
        jumps = [0 if verdict is None else targets[verdict] - number for verdict in verdicts]
        code += struct.pack("HBBI", operation, *jumps, operand)
    for frame_class in FrameClass:
        code += struct.pack("HBBI", _RETURN, 0, 0, _WHOLE_FRAME if frame_class in wanted else 0)
    return code
