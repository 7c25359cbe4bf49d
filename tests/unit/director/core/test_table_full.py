"""A table that is kept elsewhere, as the engine ebpf's is, may have no place left."""

from __future__ import annotations

from director.core.connection import Connection
from director.core.decision import Drop, Forward
from director.core.persistence import Templates
from director.core.table import ConnectionTable, TableFull
from director.core.tables import Tables
from tests.unit.director.core.support import WEB, client, published, tcp


class Small(ConnectionTable):
    """Takes one connection."""

    def add(self, connection: Connection, expires: float) -> None:
        if len(self):
            raise TableFull
        super().add(connection, expires)


def test_what_finds_no_place_is_dropped_and_counted_nowhere() -> None:
    director = published(tables=Tables(Small(), Templates()))
    assert isinstance(director.decide(tcp(client(1), WEB), 1.0), Forward)
    before = [service.as_dict() for service in director.services]
    refused = director.decide(tcp(client(2), WEB), 1.0)
    assert isinstance(refused, Drop)
    assert refused.reasons == ("the table has no place for another connection",)
    assert [service.as_dict() for service in director.services] == before
    assert isinstance(director.decide(tcp(client(1), WEB), 1.0), Forward)
