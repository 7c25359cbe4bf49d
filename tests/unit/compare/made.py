"""Points and results as a comparison would measure them, calculated from the links' rates."""

from __future__ import annotations

from typing import Any

from compare.point import Point
from compare.results import Results
from compare.settings import Settings

SETTINGS = Settings()
_SHARE = {"nat": 1.0, "tun": 0.05, "dr": 0.03}  # of the director's busiest link, for each byte delivered


def point(method: str, servers: int, **other: Any) -> Point:
    """What links alone would let through."""
    delivered = min(servers * SETTINGS.server_rate, SETTINGS.director_rate / _SHARE[method])
    fields: dict[str, Any] = {
        "method": method,
        "servers": servers,
        "seconds": 4.0,
        "delivered": delivered,
        "connections": servers,
        "delivering": servers,
        "failed": 0,
        "director_out": delivered * _SHARE[method],
        "director_in": delivered * _SHARE[method],
        "director_packets": delivered * _SHARE[method] / 1500,
        "director_link": delivered * _SHARE[method] / SETTINGS.director_rate,
        "server_links": delivered / servers / SETTINGS.server_rate,
        "idle": 0.5,
        "director_cpu": 0.2,
    }
    return Point(**{**fields, **other})


def results(*points: Point) -> Results:
    machine = {"kernel": "6", "processors": 2, "processor": "a", "memory_gib": 4.0, "system": "Debian"}
    return Results(machine, SETTINGS.as_dict(), points, (), ())


def whole() -> Results:
    """Every method, from 1 to 100 servers."""
    counts = (1, 2, 5, 10, 20, 50, 100)
    return results(*(point(method, count) for method in ("nat", "tun", "dr") for count in counts))
