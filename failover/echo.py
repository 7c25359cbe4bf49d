"""The real servers' program: `echo.py VIP UDP_PORT TCP_PORT ...` echoes what it receives, until killed.

UDP replies come from the VIP, as VS-DR needs it. It runs on a host of the lab, so it needs the standard
library only.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from typing import cast

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # struct linger: connections end with this program


class Datagrams(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)  # in Python 3.11 its class is another

    def datagram_received(self, data: bytes, client: tuple[str, int]) -> None:
        self._transport.sendto(data, client)


class Stream(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        end: socket.socket = transport.get_extra_info("socket")
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)


async def serve(vip: str, udp: int, ports: list[int]) -> None:
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(Datagrams, (vip, udp))
    for port in ports:
        await loop.create_server(Stream, "0.0.0.0", port, backlog=4096)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2]), [int(word) for word in sys.argv[3:]]))
