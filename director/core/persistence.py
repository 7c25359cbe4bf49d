"""Templates: which real server a client's connections go to while its persistence lasts.

    ipvsadm -p      a client's connections to one port go to the server of its first one
    port 0, ftp     so do those to every port of that VIP
    firewall mark   so do those to whatever has that mark
    netmask         all clients of one network count as one

Every new connection renews its template, and a template does not end before the last of its
connections has: it is looked at again every minute. One whose server is quiesced or gone is lost:
its client gets another. Source: Linux, ip_vs_conn's templates.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from itertools import chain
from typing import Any

from director.core.ftp import CONTROL_PORT
from director.core.packet import ALL_ONES, PROTOCOL_NAMES, Endpoint, Packet, ip_to_int
from director.core.real_server import RealServer
from director.core.service import VirtualService
from director.core.timers import UNSET, Timers

NOWHERE = 65535  # the port at which the kernel lists templates that are lost


@dataclass(frozen=True, slots=True)
class TemplateKey:
    """Whom a template is for: port 0 of `vip` stands for all ports; a mark is written as an address."""

    protocol: int
    network: str
    vip: Endpoint


@dataclass(eq=False, slots=True)
class Template:
    """`assured` once one of its connections has been established: a SYN alone makes none that lasts."""

    key: TemplateKey
    service: VirtualService
    server: RealServer
    server_endpoint: Endpoint
    lifetime: int  # seconds after the last new connection
    invalid: bool = False  # nobody comes by it any more
    expires: float = 0.0
    scheduled: float = UNSET
    children: int = 0
    assured: bool = False

    def usable(self, *, quiesced_too: bool) -> bool:
        """Whether its server can still be used; one of weight 0 only if `quiesced_too`."""
        return self.server.configured and (quiesced_too or self.server.weight > 0)

    def as_dict(self, now: float) -> dict[str, Any]:
        """JSON-ready, in the form of a connection; `expires` in seconds from `now`."""
        return {
            "protocol": PROTOCOL_NAMES[self.key.protocol] if self.key.protocol else "IP",
            "expires": max(0.0, round(self.expires - now, 3)),
            "state": "ASSURED" if self.assured else "NONE",
            "client": f"{self.key.network}:0",
            "vip": str(self.key.vip),
            "server": str(self.server_endpoint),
        }


class Templates:
    """The templates of all services; iterates over those that are not expired."""

    def __init__(self) -> None:
        self._templates: dict[TemplateKey, Template] = {}
        self._lost: list[Template] = []
        self._timers: Timers[Template] = Timers()

    def __len__(self) -> int:
        return len(self._templates) + len(self._lost)

    def __iter__(self) -> Iterator[Template]:
        return chain(self._templates.values(), self._lost)

    def find(self, key: TemplateKey) -> Template | None:
        return self._templates.get(key)

    def renew(self, template: Template, now: float) -> None:
        """Another connection has come by it."""
        self._timers.refresh(template, now + template.lifetime)

    def add(self, template: Template, now: float) -> None:
        """A new one, of a key that has none."""
        template.server.templates += 1
        self._templates[template.key] = template
        self.renew(template, now)

    def invalidate(self, template: Template) -> None:
        """Its server can't be used: it stays until its time is up, where nobody asks for it."""
        del self._templates[template.key]
        template.invalid = True
        template.key = replace(template.key, vip=template.key.vip._replace(port=NOWHERE))
        template.server_endpoint = template.server_endpoint._replace(port=NOWHERE)
        self._lost.append(template)

    def put(self, template: Template) -> None:
        """One that is counted and timed elsewhere."""
        self._templates[template.key] = template

    def remove(self, template: Template) -> None:
        """Forget one before its time."""
        self._timers.cancel(template)
        self._forget(template)

    def expire(self, now: float) -> None:
        for template in self._timers.expired(now):
            self._forget(template)

    def _forget(self, template: Template) -> None:
        template.server.templates -= 1
        if template.invalid:
            self._lost.remove(template)
        else:
            del self._templates[template.key]


def key_for(service: VirtualService, packet: Packet) -> TemplateKey:
    """Whose template a packet that opens a connection to `service` comes under."""
    network = _network(packet.source.address, service.policy.netmask)
    if service.key.mark:
        return TemplateKey(0, network, Endpoint(str(IPv4Address(service.key.mark)), 0))
    own = service.key.address.port
    port = own if packet.destination.port == own and own != CONTROL_PORT else 0
    return TemplateKey(packet.protocol, network, Endpoint(packet.destination.address, port))


def _network(address: str, netmask: str) -> str:
    if netmask == ALL_ONES:
        return address
    return str(IPv4Address(ip_to_int(address) & ip_to_int(netmask)))
