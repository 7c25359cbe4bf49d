"""Persistence templates, which the program follows as well: each is an entry of its map.

The core creates and ends them. The program opens a client's further connections by them, and notifies the
core of each, which counts it as a child of the template.
"""

from __future__ import annotations

from contextlib import suppress

from director.core.connections import Connection
from director.core.packet import Packet
from director.core.persistence import Template, Templates, key_for
from director.engines.ebpf import layouts
from director.engines.ebpf.by_family import FamilyMaps
from director.engines.ebpf.layouts import KernelClock, Totals
from director.engines.ebpf.libbpf import BpfError
from director.engines.ebpf.servers import Servers


class SharedTemplates(Templates):
    def __init__(self, entries: FamilyMaps, totals: Totals, servers: Servers, clock: KernelClock) -> None:
        super().__init__()
        self._map = entries
        self._totals = totals
        self._servers = servers
        self._clock = clock

    def renew(self, template: Template, now: float) -> None:
        super().renew(template, now)
        expires = self._clock.nanoseconds(template.expires)
        value = layouts.TEMPLATE.pack(expires, self._servers.number_of(template.server), template.lifetime)
        with suppress(BpfError):  # the map is full: only the core follows this one
            self._map.put(layouts.template_key(template.key), value)

    def add(self, template: Template, now: float) -> None:
        super().add(template, now)
        self._totals.templates = len(self)

    def invalidate(self, template: Template) -> None:
        self._map.remove(layouts.template_key(template.key))
        super().invalidate(template)

    def _forget(self, template: Template) -> None:
        if not template.invalid:
            self._map.remove(layouts.template_key(template.key))
        super()._forget(template)
        self._totals.templates = len(self)

    def follow(self, connection: Connection, when: float) -> Template | None:
        """The template by which the program has opened a connection, and which it has renewed."""
        first = Packet(connection.protocol, connection.client, connection.vip, 0)
        template = self.find(key_for(connection.service, first))
        if template is not None:
            super().renew(template, max(when, template.expires - template.lifetime))
        return template

    def adopt(self, now: float) -> None:
        """Adopt an earlier director's templates, as assured: the map does not say whether they were."""
        for batch in self._map.batches():
            for key, value in batch:
                self._adopt(key, value, now)

    def _adopt(self, key: bytes, value: bytes, now: float) -> None:
        expires, number, lifetime = layouts.TEMPLATE.unpack(value)
        remaining = self._clock.seconds(expires) - now
        if remaining <= 0:
            self._map.remove(key)
            return
        service, server = self._servers.at(number)
        parsed = layouts.parse_template_key(key)
        endpoint = server.address if parsed.vip.port else server.address._replace(port=0)
        template = Template(parsed, service, server, endpoint, lifetime, assured=True)
        self.add(template, now + remaining - lifetime)
