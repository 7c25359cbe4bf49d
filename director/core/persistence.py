"""Templates: which real server a client's ftp session is with.

In VS-TUN and VS-DR the director sees only the client's half of a session, and not the reply
that says where the data connection will go. So an ftp service is persistent there: while the
template lives, the client's connections to other ports of that VIP go to the same server.
Every new connection renews the template, and it does not end before the last of them has.
Source: Linux, ip_vs_conn's templates.
"""

from __future__ import annotations

from dataclasses import dataclass

from director.core.decision import Method
from director.core.service import RealServer, VirtualService
from director.core.timers import UNSET, Timers

LIFETIME = 300.0  # seconds without a new connection


@dataclass(eq=False, slots=True)
class Template:
    client: str
    vip: str
    service: VirtualService
    server: RealServer
    expires: float = 0.0
    scheduled: float = UNSET
    children: int = 0

    def binds(self, now: float) -> bool:
        """Whether it lives, and its server can be used as it was.

        A server of weight 0 keeps its sessions; one whose rule is gone has lost them.
        """
        alive = self.expires > now or self.children > 0
        return alive and self.server.listed and self.server.method is not Method.NAT


class Templates:
    """Templates by the addresses of client and VIP."""

    def __init__(self) -> None:
        self._templates: dict[tuple[str, str], Template] = {}
        self._timers: Timers[Template] = Timers()

    def __len__(self) -> int:
        return len(self._templates)

    def find(self, client: str, vip: str, now: float) -> Template | None:
        """The client's template, if it binds; asking is using it, so it is renewed."""
        template = self._templates.get((client, vip))
        if template is None or not template.binds(now):
            return None
        self._timers.keep(template, now + LIFETIME)
        return template

    def add(self, client: str, vip: str, service: VirtualService, server: RealServer, now: float) -> Template:
        """A new one, in place of the one that was."""
        before = self._templates.get((client, vip))
        if before is not None:
            self._timers.forget(before)
        template = self._templates[client, vip] = Template(client, vip, service, server)
        self._timers.keep(template, now + LIFETIME)
        return template

    def expire(self, now: float) -> None:
        for template in self._timers.expired(now):
            del self._templates[template.client, template.vip]
