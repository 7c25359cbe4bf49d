"""What a director does when more is asked of it than it can remember.

It remembers so many connections and no more. When most places are taken it feels attacked, and
whatever of drop_entry, drop_packet and secure_tcp the administrator has chosen is at work. The
kernel goes by free memory instead (amemthresh). Source: Linux, ipvs-sysctl.rst; the sizes are ours.

    0   off
    1   automatic, and idle: becomes 2 under attack
    2   automatic, and at work: becomes 1 when it is over
    3   always at work
"""

from __future__ import annotations

from collections.abc import Iterable

from director.core.connections import Connection
from director.core.errors import BadValue
from director.core.states import State
from director.core.sysctls import Sysctls

DEFAULT_LIMIT = 1 << 20  # connections and templates; about 400 MB
SCAN_LIMIT = 256  # connections, when one has to make room
SCAN_SHARE = 32  # drop_entry looks at one of so many connections each second

_AT_WORK = (2, 3)
_MAY_BE_USED = (State.ESTABLISHED, State.UDP)
_SILENT = 60.0  # seconds
_FEW_PACKETS = 8
_HALF_OPEN = (State.NONE, State.SYN_RECV, State.SYNACK)
_KEPT = (State.ESTABLISHED, State.CLOSE_WAIT)  # somebody is at work there


class Overload:
    """`limit` is how many connections and templates there may be."""

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        if limit < 1:
            raise BadValue("conn-limit", "1 or more", limit)
        self.limit = limit
        self._enough = max(1, limit // 4)  # free places: with fewer, there is an attack
        self.drop_rate = self._until_drop = 0
        self._until_dropped = [0] * (_FEW_PACKETS + 1)

    def update_strategies(self, used: int, sysctls: Sysctls) -> Sysctls:
        """With `used` places taken, what is at work now: 1 has become 2, or 2 has become 1."""
        free = self.limit - used
        attacked = free < self._enough
        for name in ("drop_entry", "drop_packet", "secure_tcp"):
            if getattr(sysctls, name) in (1, 2):
                sysctls = sysctls.with_value(name, 2 if attacked else 1)
        self.drop_rate = 0
        if sysctls.drop_packet == 3:
            self.drop_rate = sysctls.am_droprate
        elif sysctls.drop_packet == 2:
            self.drop_rate = max(1, self._enough // max(1, self._enough - free))
        return sysctls

    def drops_packet(self) -> bool:
        """drop_packet: whether it is the turn of this new connection to be dropped."""
        if not self.drop_rate:
            return False
        self._until_drop -= 1
        if self._until_drop > 0:
            return False
        self._until_drop = self.drop_rate
        return True

    def drops_entry(self, connection: Connection, idle: float) -> bool:
        """drop_entry: whether a connection, silent for so many seconds, is to go. Source: todrop_entry.

        A half-open one goes; of those that are established, or UDP's, and have been silent for a minute,
        one in so many goes as packets have come from its client: few, if nobody uses it.
        """
        if connection.children:
            return False
        if is_half_open(connection):
            return True
        packets = connection.packets
        if connection.state not in _MAY_BE_USED or idle < _SILENT or not 0 < packets <= _FEW_PACKETS:
            return False
        self._until_dropped[packets] -= 1
        if self._until_dropped[packets] > 0:
            return False
        self._until_dropped[packets] = packets
        return True


def drops_entries(sysctls: Sysctls) -> bool:
    return sysctls.drop_entry in _AT_WORK


def secures_tcp(sysctls: Sysctls) -> bool:
    return sysctls.secure_tcp in _AT_WORK


def is_half_open(connection: Connection) -> bool:
    return connection.state in _HALF_OPEN


def pick_victim(buckets: Iterable[Iterable[Connection]]) -> Connection | None:
    """A half-open connection if there is one, else one that is ending, else UDP; never an established one."""
    best: Connection | None = None
    for bucket in buckets:
        for connection in bucket:
            if connection.state not in _KEPT and (best is None or _worth(connection) <= _worth(best)):
                best = connection  # a bucket has the newest first: of equals, the oldest goes
        if best is not None and is_half_open(best):
            return best
    return best


def _worth(connection: Connection) -> int:
    if is_half_open(connection):
        return 0
    return 2 if connection.state is State.UDP else 1
