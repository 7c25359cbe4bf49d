"""Templates: which real server a client's connections go to while its persistence lasts.

    ipvsadm -p      a client's connections to one port go to the server of its first one
    port 0, ftp     the same for connections to all ports of that VIP
    firewall mark   the same for all packets with that mark
    netmask         all clients of one network count as one

Every new connection renews its template, and a template does not expire before the last of its connections
has ended: it is checked again every minute. A template whose server is quiesced or deleted is invalidated,
and its client gets another. Source: Linux, ip_vs_conn's templates.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

from director.core.family import network_of
from director.core.ftp import CONTROL_PORT
from director.core.packet import PROTOCOL_NAMES, Endpoint, Packet
from director.core.real_server import RealServer
from director.core.service import VirtualService
from director.core.timers import UNSET, Timers

if TYPE_CHECKING:
    from director.core.sync_protocol import SyncMark

_INVALID_PORT = 65535  # with which the kernel lists invalid templates


@dataclass(frozen=True, slots=True)
class TemplateKey:
    """Which connections a template is for: port 0 of `vip` is all ports; a mark is written as an address."""

    protocol: int
    network: str
    vip: Endpoint


@dataclass(eq=False, slots=True)
class Template:
    """`assured` once one of its connections has been established: a SYN alone makes no lasting template.

    `sync` is the state of its synchronisation with another director, if any.
    """

    key: TemplateKey
    service: VirtualService
    server: RealServer
    server_endpoint: Endpoint
    lifetime: int  # seconds after the last new connection
    invalid: bool = False
    expires: float = 0.0
    scheduled: float = UNSET
    children: int = 0
    assured: bool = False
    sync: SyncMark | None = None

    def usable(self, *, quiesced_too: bool) -> bool:
        """Whether its server can still be used; one of weight 0 only if `quiesced_too`."""
        return self.server.configured and (quiesced_too or self.server.weight > 0)

    def as_dict(self, now: float) -> dict[str, Any]:
        """JSON-ready, in the form of a connection; `expires` in seconds from `now`."""
        synced = self.sync is not None and self.sync.received
        return {
            "protocol": PROTOCOL_NAMES[self.key.protocol] if self.key.protocol else "IP",
            "expires": max(0.0, round(self.expires - now, 3)),
            "state": "ASSURED" if self.assured else "NONE",
            "client": str(Endpoint(self.key.network, 0)),
            "vip": str(self.key.vip),
            "server": str(self.server_endpoint),
            **({"origin": "SYNC"} if synced else {}),
        }


class Templates:
    """The templates of all services; iterates over those that have not expired."""

    def __init__(self) -> None:
        self._templates: dict[TemplateKey, Template] = {}
        self._invalid: list[Template] = []
        self._timers: Timers[Template] = Timers()

    def __len__(self) -> int:
        return len(self._templates) + len(self._invalid)

    def __iter__(self) -> Iterator[Template]:
        return chain(self._templates.values(), self._invalid)

    def find(self, key: TemplateKey) -> Template | None:
        return self._templates.get(key)

    def renew(self, template: Template, now: float) -> None:
        """Restart its timer, because another connection uses it."""
        self._timers.refresh(template, now + template.lifetime)

    def add(self, template: Template, now: float) -> None:
        """Insert a template; there must be none with its key."""
        template.server.templates += 1
        self._templates[template.key] = template
        self.renew(template, now)

    def insert_copy(self, template: Template) -> None:
        """Insert without counting or setting a timer."""
        self._templates[template.key] = template

    def invalidate(self, template: Template) -> None:
        """Keep a template without a usable server until it expires, but find it no more."""
        del self._templates[template.key]
        template.invalid = True
        template.key = replace(template.key, vip=template.key.vip._replace(port=_INVALID_PORT))
        template.server_endpoint = template.server_endpoint._replace(port=_INVALID_PORT)
        self._invalid.append(template)

    def remove(self, template: Template) -> None:
        """Remove a template before it expires."""
        self._timers.cancel(template)
        self._forget(template)

    def expire(self, now: float) -> None:
        for template in self._timers.expired(now):
            self._forget(template)

    def _forget(self, template: Template) -> None:
        template.server.templates -= 1
        if template.invalid:
            self._invalid.remove(template)
        else:
            del self._templates[template.key]


def key_for(service: VirtualService, packet: Packet) -> TemplateKey:
    """The key of the template for a packet that opens a connection to `service`."""
    network = network_of(packet.source.address, service.policy.netmask)
    if service.key.mark:
        family = packet.family  # the mark is the first word of an address
        vip = family.text(service.key.mark << family.bits - 32)
        return TemplateKey(0, network, Endpoint(vip, 0))
    own = service.key.address.port
    port = own if packet.destination.port == own and own != CONTROL_PORT else 0
    return TemplateKey(packet.protocol, network, Endpoint(packet.destination.address, port))
