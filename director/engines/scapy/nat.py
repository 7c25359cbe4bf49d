"""VS-NAT: a request leaves for the real server's address and port, a reply comes from the VIP's.

    client > VIP:80          becomes   client > 172.16.0.3:8000
    172.16.0.3:8000 > client becomes   VIP:80 > client

The client's address is never touched, so replies have to come back through the director.
Source: paper, section 4.1.
"""

from __future__ import annotations

import struct

from director.core.decision import Forward
from director.engines.scapy import checksum
from director.engines.scapy.datagram import Datagram
from director.engines.scapy.headers import IPHeader, TCPHeader
from director.engines.scapy.layers import ICMP
from director.engines.scapy.parse import quoted_header

_SACK_PERMITTED = 4  # kind of TCP option


def rewrite(datagram: Datagram, forward: Forward, _own_address: str) -> bytes:
    """Change addresses and ports as decided; a TCP sequence only where ftp's text has changed."""
    ip, above = datagram.ip, datagram.above
    ip.src, ip.dst = forward.source.address, forward.destination.address
    ip.ttl -= 1
    if isinstance(above, ICMP):
        datagram.rest = _quoted(datagram.rest, forward)
        return bytes(datagram)
    if above is None:  # a later fragment has no ports
        return bytes(datagram)
    above.sport, above.dport = forward.source.port, forward.destination.port
    if isinstance(above, TCPHeader):
        above.seq = (above.seq + forward.sequence_delta) % 2**32
        above.ack = (above.ack + forward.acknowledgement_delta) % 2**32
        if forward.without_sack:
            datagram.replace_option(_SACK_PERMITTED)
    if forward.payload is not None:
        datagram.replace_data(forward.payload)
    return bytes(datagram)


def _quoted(data: bytes, forward: Forward) -> bytes:
    """An ICMP error quotes the packet it is about, as it was after our rewriting: undo that there."""
    header = quoted_header(data)
    if header is None:
        return data
    ip, ports = IPHeader(data), list(struct.unpack_from("!HH", data, header))
    if forward.embedded_source is not None:
        ip.src, ports[0] = forward.embedded_source
    if forward.embedded_destination is not None:
        ip.dst, ports[1] = forward.embedded_destination
    quoted = checksum.follow(bytes(ip), checksum.IP_CHECKSUM, data[:20], bytes(ip))
    return quoted + data[20:header] + struct.pack("!HH", *ports) + data[header + 4 :]
