"""The local node's own port: what is for the port of a service goes to another one of this host.

The director gives the local node its packets as they are, for the VIP and the service's port. Where VS-NAT is
to change the port (`ipvsadm -a -t VIP:80 -r DIP:8080 -m`), the host's own address translation does it, for
the replies as well: a rule of nftables, in a table that is there only as long as it is needed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address
from typing import NamedTuple

from director.core.packet import TCP, Endpoint
from director.core.real_server import Method, RealServer
from director.core.service import VirtualService
from director.engines.engine import EngineError
from director.engines.scapy.kernel import LOCAL_NODE, nft, without

_RULES = """\
{start}{table} {{
    chain to_its_port {{
        type nat hook prerouting priority dstnat; policy accept;
        {rules}
    }}
}}
"""


class Redirect(NamedTuple):
    protocol: int
    vip: Endpoint
    to: Endpoint

    def __str__(self) -> str:
        protocol = "tcp" if self.protocol == TCP else "udp"
        return f"ip daddr {self.vip.address} {protocol} dport {self.vip.port} dnat to {self.to}"


class LocalNode:
    def __init__(self) -> None:
        self._now: list[Redirect] = []

    def redirect(self, services: Iterable[VirtualService]) -> None:
        """From now on, as these services ask for. Raises EngineError with nothing changed."""
        wanted = sorted(redirects(services))
        if wanted != self._now:
            nft(script(wanted))
            self._now = wanted

    def close(self) -> None:
        if self._now:
            with contextlib.suppress(EngineError):
                nft(without(LOCAL_NODE))
            self._now = []


def script(wanted: Iterable[Redirect]) -> str:
    """For nftables; it takes the place of what was there."""
    rules = "\n        ".join(map(str, wanted))
    start = without(LOCAL_NODE)
    return _RULES.format(start=start, table=LOCAL_NODE, rules=rules) if rules else start


def redirects(services: Iterable[VirtualService]) -> Iterator[Redirect]:
    """Where a service's port is not the one of its local node. Raises EngineError for what can't be done."""
    for service in services:
        local = [server for server in service.servers if server.method is Method.LOCAL]
        for server in local:
            if server.requested_method is Method.NAT and server.address.port not in (
                0,
                service.key.address.port,
            ):
                _check(service, server, local)
                yield Redirect(service.key.protocol, service.key.address, server.address)


def _check(service: VirtualService, server: RealServer, local: list[RealServer]) -> None:
    """Raises EngineError."""
    why = f"The director's own host can't serve {service} at {server.address}: "
    if service.key.mark or not service.key.address.port:
        raise EngineError(f"{why}the service has no port that another could stand for; give no port.")
    if len(local) > 1:
        raise EngineError(f"{why}only one server of a service can be there with a port of its own.")
    if IPv4Address(server.address.address).is_loopback:
        raise EngineError(f"{why}nothing that comes from outside gets to 127.0.0.0/8; name another address.")
