"""The packet table of VS-DR: the addresses never change, only the MAC addresses do."""

from __future__ import annotations

from labs.network import addresses
from labs.network.addresses import Addressing
from labs.network.topology import Interface
from labs.plan import RealServer
from labs.run.packet_table import Hop, Row


def hops(at: Addressing, server: RealServer, client: Interface, port: int) -> tuple[Hop, ...]:
    """What a connection from `client` and its local `port` must look like on the director's segment."""
    cip, vip = f"{client.address}:{port}", f"{at.vip}:80"
    router, director, real = (
        addresses.mac_of(address) for address in (addresses.ROUTER_LAN, at.dip, server.address)
    )
    request, reply = "GET /index.html", "HTTP/1.1 200 OK"
    return (
        Hop("r0-eth1", True, Row("request", cip, vip, request, source_mac=router, dest_mac=director)),
        Hop("d-eth0", True, Row("forwarded", cip, vip, request, source_mac=director, dest_mac=real)),
        Hop(f"{server.name}-eth0", True, Row("reply", vip, cip, reply, source_mac=real, dest_mac=router)),
    )
