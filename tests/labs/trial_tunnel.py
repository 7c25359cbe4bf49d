"""A real server's end of tunnels of both families, for a kernel without the modules for them.

Reads IPv6 in IPv6 and in IPv4, and IPv4 in IPv6, from raw sockets, and writes the packets inside to the TUN
device tunl6. A raw socket of IPv4 also hands over the outer header.
"""

from __future__ import annotations

import os
import select
import socket

from director.engines import tuntap

DEVICE = "tunl6"


def main() -> None:
    tunnels = [
        (socket.socket(family, socket.SOCK_RAW, protocol), header)
        for family, protocol, header in (
            (socket.AF_INET6, socket.IPPROTO_IPV6, 0),
            (socket.AF_INET6, socket.IPPROTO_IPIP, 0),
            (socket.AF_INET, socket.IPPROTO_IPV6, 20),
        )
    ]
    device = tuntap.create(DEVICE, tuntap.TUN)
    headers = dict(tunnels)
    while True:
        for raw in select.select(list(headers), [], [])[0]:
            os.write(device, raw.recv(65535)[headers[raw] :])


if __name__ == "__main__":
    main()
