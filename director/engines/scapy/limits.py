"""How often the director speaks itself: a flood of packets must not become a flood of answers.

As in Linux (icmp_ratelimit, icmp_msgs_per_sec): to one address six answers at once and then one
a second, to all together fifty at once and then a thousand a second. RFC 1812, 4.3.2.8.
"""

from __future__ import annotations

from dataclasses import dataclass

_ADDRESSES = 4096  # that are remembered


@dataclass(slots=True)
class Bucket:
    """`rate` tokens a second drip in, until there are `burst`."""

    rate: float
    burst: float
    tokens: float
    filled: float  # when

    def take(self, now: float) -> bool:
        """Take a token; False where there is none."""
        self.tokens = min(self.burst, self.tokens + (now - self.filled) * self.rate)
        self.filled = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


class Limits:
    def __init__(self) -> None:
        self._all = Bucket(1000, 50, 50, 0.0)
        self._each: dict[str, Bucket] = {}  # the oldest first

    def allow(self, address: str, now: float) -> bool:
        """Whether `address` may be told something now."""
        bucket = self._each.get(address)
        if bucket is None:
            if len(self._each) >= _ADDRESSES:
                del self._each[next(iter(self._each))]
            bucket = self._each[address] = Bucket(1, 6, 6, now)
        return bucket.take(now) and self._all.take(now)
