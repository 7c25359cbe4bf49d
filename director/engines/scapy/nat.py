"""VS-NAT: a request leaves for the real server's address and port, a reply comes from the VIP's.

    client > VIP:80          becomes   client > 172.16.0.3:8000
    172.16.0.3:8000 > client becomes   VIP:80 > client

The client's address is never touched, so replies have to come back through the director.
Source: paper, section 4.1.
"""

from __future__ import annotations

import struct
from socket import inet_aton

from director.core.decision import Forward
from director.core.packet import Endpoint
from director.engines.scapy import checksum
from director.engines.scapy.datagram import Datagram
from director.engines.scapy.layers import ICMP, IP, TCP
from director.engines.scapy.parse import quoted_header


def rewrite(datagram: Datagram, forward: Forward, _own_address: str) -> bytes:
    """Change addresses and ports as decided; a TCP sequence only where ftp's text has changed."""
    ip, above = datagram.ip, datagram.above
    before = datagram.covered()
    ip.src, ip.dst = forward.source.address, forward.destination.address
    ip.ttl -= 1
    if isinstance(above, ICMP):
        _rewrite_quoted(datagram, forward)
    else:
        above.sport, above.dport = forward.source.port, forward.destination.port
    if isinstance(above, TCP):
        above.seq = (above.seq + forward.sequence_delta) % 2**32
        above.ack = (above.ack + forward.acknowledgement_delta) % 2**32
        if forward.payload is not None:
            datagram.replace_data(forward.payload)
    datagram.after_change(before)
    return bytes(datagram)


def _rewrite_quoted(datagram: Datagram, forward: Forward) -> None:
    """An ICMP error quotes the packet it is about, as it was after our rewriting: undo that there."""
    before = datagram.rest
    header = quoted_header(before)
    if header is None:
        return
    quoted = IP(before[:20])
    quoted.explicit = 1
    ports = list(struct.unpack_from("!HH", before, header))
    for index, end in enumerate((forward.embedded_source, forward.embedded_destination)):
        if end is not None:
            _change(quoted, "src" if index == 0 else "dst", end)
            ports[index] = end.port
    after = bytes(quoted) + before[20:header] + struct.pack("!HH", *ports) + before[header + 4 :]
    datagram.rest = after
    datagram.above.chksum = checksum.updated(datagram.above.chksum, before, after)


def _change(quoted: IP, field: str, end: Endpoint) -> None:
    before, after = inet_aton(getattr(quoted, field)), inet_aton(end.address)
    quoted.chksum = checksum.updated(quoted.chksum, before, after)
    setattr(quoted, field, end.address)
