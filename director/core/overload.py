"""What a director does when clients ask for more connections than it can hold.

The number of connections and templates is limited. When most of the table is used, the director considers
itself under attack, and the strategies that the administrator has chosen among drop_entry, drop_packet and
secure_tcp become active. The kernel goes by free memory instead (amemthresh). Source: Linux,
ipvs-sysctl.rst; the sizes are our own. Floods that cost time rather than memory are stopped before the
core: director/engines/scapy/flood_gate.py.

    0   off
    1   automatic, inactive: becomes 2 under attack
    2   automatic, active: becomes 1 when the attack is over
    3   always active
"""

from __future__ import annotations

from collections.abc import Iterable

from director.core.connections import Connection
from director.core.errors import BadValue
from director.core.states import State
from director.core.sysctls import Sysctls

DEFAULT_LIMIT = 1 << 20  # connections and templates; about 400 MB
SCAN_LIMIT = 256  # connections looked at to find a victim
SCAN_SHARE = 32  # each second, drop_entry looks at one connection in 32

_ACTIVE = (2, 3)
_MAY_BE_IN_USE = (State.ESTABLISHED, State.UDP)
_IDLE = 60.0  # seconds
_FEW_PACKETS = 8
_HALF_OPEN = (State.NONE, State.SYN_RECV, State.SYNACK)
_NEVER_EVICTED = (State.ESTABLISHED, State.CLOSE_WAIT)


class Overload:
    """`limit` is the maximum number of connections and templates.

    drop_packet drops one new connection in `drop_rate`, 0: none.
    """

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        if limit < 1:
            raise BadValue("conn-limit", "1 or more", limit)
        self.limit = limit
        self._threshold = max(1, limit // 4)  # fewer free entries mean an attack
        self.drop_rate = self._until_drop = 0
        self._until_dropped = [0] * (_FEW_PACKETS + 1)

    def update_strategies(self, used: int, sysctls: Sysctls) -> Sysctls:
        """With `used` entries in the table, switch automatic strategies from 1 to 2, or back."""
        free = self.limit - used
        attacked = free < self._threshold
        for name in ("drop_entry", "drop_packet", "secure_tcp"):
            if getattr(sysctls, name) in (1, 2):
                sysctls = sysctls.with_value(name, 2 if attacked else 1)
        self.drop_rate = 0
        if sysctls.drop_packet == 3:
            self.drop_rate = sysctls.am_droprate
        elif sysctls.drop_packet == 2:
            self.drop_rate = max(1, self._threshold // max(1, self._threshold - free))
        return sysctls

    def drops_packet(self) -> bool:
        """drop_packet: whether to drop this new connection."""
        if not self.drop_rate:
            return False
        self._until_drop -= 1
        if self._until_drop > 0:
            return False
        self._until_drop = self.drop_rate
        return True

    def drops_entry(self, connection: Connection, idle: float) -> bool:
        """drop_entry: whether to evict a connection that was `idle` for some seconds. Source: todrop_entry.

        A half-open one, always. An established or UDP one only if it is hardly used, with no more than eight
        packets from its client and none for a minute: one in n of those with n packets.
        """
        if connection.children:
            return False
        if is_half_open(connection):
            return True
        packets = connection.packets
        if connection.state not in _MAY_BE_IN_USE or idle < _IDLE or not 0 < packets <= _FEW_PACKETS:
            return False
        self._until_dropped[packets] -= 1
        if self._until_dropped[packets] > 0:
            return False
        self._until_dropped[packets] = packets
        return True


def drops_entries(sysctls: Sysctls) -> bool:
    return sysctls.drop_entry in _ACTIVE


def secures_tcp(sysctls: Sysctls) -> bool:
    return sysctls.secure_tcp in _ACTIVE


def is_half_open(connection: Connection) -> bool:
    return connection.state in _HALF_OPEN


def pick_victim(buckets: Iterable[Iterable[Connection]]) -> Connection | None:
    """The connection to evict for a new one: half-open, else ending, else UDP; never an established one."""
    best: Connection | None = None
    for bucket in buckets:
        for connection in bucket:
            evictable = connection.state not in _NEVER_EVICTED
            if evictable and (best is None or _worth(connection) <= _worth(best)):
                best = connection  # a bucket has the newest first: on a tie, the oldest is evicted
        if best is not None and is_half_open(best):
            return best
    return best


def _worth(connection: Connection) -> int:
    if is_half_open(connection):
        return 0
    return 2 if connection.state is State.UDP else 1
