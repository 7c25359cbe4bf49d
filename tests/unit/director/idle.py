"""An engine that forwards nothing, in place of a data plane."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from director.core.connections import ConnectionTable, Tables
from director.core.director import Director
from director.core.family import IPV4, IPV6, Family
from director.core.persistence import Templates
from director.core.rules import LocalServers


class Idle:
    explains = True
    families: Sequence[Family] = (IPV4, IPV6)

    def __init__(self, director: Director) -> None:
        self._director = director

    def start(self, _director: object, _selector: object) -> None:
        pass

    def mtu_of(self, _address: str) -> int:
        return 1500

    def is_local(self, _address: str) -> bool:
        return False

    def route_to(self, _address: str) -> Mapping[str, str]:
        return {}

    def use_redirect_peer(self) -> None:
        pass

    def tables(self, bits: int, _limit: int) -> Tables:
        return Tables(ConnectionTable(bits), Templates())

    def sync_schedulers(self) -> None:
        pass

    def prepare_rules(self, _vips: set[str], _local: Iterable[LocalServers]) -> Iterator[None]:
        return iter(())

    def finish_rules(self) -> Iterator[None]:
        return iter(())

    def install_rules(self) -> None:
        pass

    def sync_daemons(self) -> None:
        pass

    def sync_changed(self) -> None:
        pass

    def tick(self, _now: float) -> None:
        pass

    def sync_counters(self, *, wait: bool) -> None:
        pass

    def connections(self, now: float, most: int | None = None) -> Iterator[dict[str, Any]]:
        return self._director.listing(now, most)

    def counters(self) -> Mapping[str, int]:
        return {}

    def close(self) -> None:
        pass
