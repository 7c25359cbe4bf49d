"""Templates: which real server a client's ftp session is with.

In VS-TUN and VS-DR the director sees only the client's half of a session, and not the reply
that says where the data connection will go. So an ftp service is persistent there: while the
template lives, the client's connections to other ports of that VIP go to the same server.
Source: Linux, ip_vs_conn's templates.
"""

from __future__ import annotations

from dataclasses import dataclass

from director.core.service import RealServer, VirtualService

LIFETIME = 300.0  # seconds without a packet of the client


@dataclass(slots=True)
class Template:
    service: VirtualService
    server: RealServer
    expires: float


class Templates:
    """Templates by the addresses of client and VIP."""

    def __init__(self) -> None:
        self._templates: dict[tuple[str, str], Template] = {}

    def find(self, client: str, vip: str, now: float) -> Template | None:
        """The client's template, while it lives and its server has a rule."""
        template = self._templates.get((client, vip))
        if template is None or template.expires <= now or not template.server.listed:
            return None
        return template

    def add(self, client: str, vip: str, service: VirtualService, server: RealServer, now: float) -> None:
        self._templates[client, vip] = Template(service, server, now + LIFETIME)

    def renew(self, client: str, vip: str, now: float) -> None:
        """A packet of one of the client's connections has come."""
        template = self._templates.get((client, vip)) if self._templates else None
        if template is not None:
            template.expires = now + LIFETIME

    def expire(self, now: float) -> None:
        for key in [key for key, template in self._templates.items() if template.expires <= now]:
            del self._templates[key]
