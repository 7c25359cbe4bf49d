"""The knee: the number of servers at which the delivered rate stops rising, fitted to measured points.

The curve is modelled as a straight line through zero that turns into a plateau: min(a * servers, b).
Every division of the points, in order, into those on the line and those on the plateau is tried, and the
fit with the smallest sum of squared relative errors (of logarithms) is kept. The knee is where line and
plateau meet: b / a servers. There is no knee if the last point still reaches `RISES` of the line through
all points.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

RISES = 0.8


@dataclass(frozen=True, slots=True)
class Knee:
    """`slope` is the rate that a server adds; `plateau` and `servers` are None if the curve only rises.

    `error` is the root mean square of the points' relative distances from min(slope * servers, plateau).
    """

    slope: float
    plateau: float | None
    servers: float | None
    error: float
    measured_to: int

    def at(self, servers: float) -> float:
        """The rate of the fitted curve."""
        line = self.slope * servers
        return line if self.plateau is None else min(line, self.plateau)


def find(points: Sequence[tuple[int, float]]) -> Knee | None:
    """The knee of (servers, delivered rate); None for fewer than three points, or none above zero."""
    known = sorted((servers, rate) for servers, rate in points if rate > 0)
    if len(known) < 3:
        return None
    best = min((_fit(known, split) for split in range(1, len(known) + 1)), key=lambda knee: knee.error)
    last, rate = known[-1]
    return best if best.plateau is not None and rate < RISES * best.slope * last else _fit(known, len(known))


def _fit(points: Sequence[tuple[int, float]], split: int) -> Knee:
    """The first `split` points on the line, the others on the plateau."""
    slope = math.exp(fmean(math.log(rate / servers) for servers, rate in points[:split]))
    flat = [rate for _, rate in points[split:]]
    plateau = math.exp(fmean(map(math.log, flat))) if flat else None
    fitted = Knee(slope, plateau, plateau / slope if plateau else None, 0.0, points[-1][0])
    errors = [math.log(rate / fitted.at(servers)) ** 2 for servers, rate in points]
    return Knee(slope, plateau, fitted.servers, math.sqrt(fmean(errors)), points[-1][0])
