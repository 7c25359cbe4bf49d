"""The packet table of VS-NAT: four packets, four pairs of addresses."""

from __future__ import annotations

from labs.network.addresses import Addressing
from labs.network.topology import Interface
from labs.plan import RealServer
from labs.run.packet_table import Hop, Row


def hops(at: Addressing, server: RealServer, client: Interface, port: int) -> tuple[Hop, ...]:
    """What a connection from `client` and its local `port` must look like, where each packet leaves."""
    cip, vip = f"{client.address}:{port}", f"{at.vip}:80"
    rip = f"{server.address}:{server.http_port}"
    request, reply = "GET /index.html", "HTTP/1.1 200 OK"
    return (
        Hop(client.name, True, Row("request", cip, vip, request)),
        Hop("d-eth1", True, Row("inbound rewriting", cip, rip, request)),
        Hop(f"{server.name}-eth0", True, Row("reply to load balancer", rip, cip, reply)),
        Hop("d-eth0", True, Row("outbound rewriting", vip, cip, reply)),
    )
