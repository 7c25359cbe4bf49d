"""The packet table of VS-TUN: the request travels inside another packet, the reply goes straight."""

from __future__ import annotations

from labs.network.addresses import Addressing
from labs.network.topology import Interface
from labs.plan import RealServer
from labs.run.packet_table import Hop, Row


def hops(at: Addressing, server: RealServer, client: Interface, port: int) -> tuple[Hop, ...]:
    """What a connection from `client` and its local `port` must look like, where each packet leaves.

    The outer source is the director's own address on the way to the real server.
    """
    cip, vip = f"{client.address}:{port}", f"{at.vip}:80"
    request, reply = "GET /index.html", "HTTP/1.1 200 OK"
    tunnelled = Row("encapsulated", cip, vip, request, outer_source=at.dip, outer_dest=server.address)
    return (
        Hop(client.name, True, Row("request", cip, vip, request)),
        Hop("d-eth0", True, tunnelled),
        Hop(f"{server.name}-tunl0", False, Row("decapsulated", cip, vip, request)),
        Hop(f"{server.name}-eth0", True, Row("reply", vip, cip, reply)),
    )
