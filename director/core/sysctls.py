"""What kernel IPVS lets an administrator tune under net.ipv4.vs, by the same names.

Only what changes what clients or real servers see is here: nothing about synchronising two
directors, and nothing about the kernel's own memory. Source: Linux, ipvs-sysctl.rst.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace

from director.core.errors import BadValue

_SWITCH = range(2)
_DEFENCE = range(4)  # 0 off, 1 automatic and idle, 2 automatic and at work, 3 always
_SECONDS = range(1, 2**31)


@dataclass(frozen=True, slots=True)
class Sysctls:
    """The settings of one director; the defaults are the kernel's.

    am_droprate: of how many new connections one is dropped while drop_packet is 3.
    conn_reuse_mode: whether a client's port that is used again may lead to another real server:
        0 never, bit 1 when the old connection is over, bit 2 also in FIN_WAIT of VS-TUN and VS-DR.
    drop_entry: under attack, remove some half-open connections every second.
    drop_packet: under attack, drop some packets that would open a connection.
    expire_nodest_conn: connections of a server that was deleted end, instead of waiting for it.
    expire_quiescent_template: persistence does not hold a client at a server of weight 0.
    lblc_expiration, lblcr_expiration: seconds for which those schedulers remember (kernel: jiffies).
    nat_icmp_send: a VS-NAT real server is told of packets that belong to no connection.
    pmtu_disc: packets too long for a tunnel are refused with their new length; 0 cuts them up.
    secure_tcp: under attack, another state table: a SYN alone makes no connection that lasts.
    sloppy_tcp: any packet of TCP, not only a SYN, may open a connection.
    """

    am_droprate: int = 10
    conn_reuse_mode: int = 1
    drop_entry: int = 0
    drop_packet: int = 0
    expire_nodest_conn: int = 0
    expire_quiescent_template: int = 0
    lblc_expiration: int = 24 * 3600
    lblcr_expiration: int = 24 * 3600
    nat_icmp_send: int = 0
    pmtu_disc: int = 1
    secure_tcp: int = 0
    sloppy_tcp: int = 0

    def __post_init__(self) -> None:
        for name, allowed in _ALLOWED.items():
            value = getattr(self, name)
            if type(value) is not int or value not in allowed:
                raise BadValue(name, f"{allowed[0]} to {allowed[-1]}", value)

    def with_value(self, name: str, value: int) -> Sysctls:
        """A copy with one value changed. Raises BadValue."""
        if name not in _ALLOWED:
            raise BadValue("sysctl", f"one of {', '.join(_ALLOWED)}", name)
        return replace(self, **{name: value})

    def as_dict(self) -> Mapping[str, int]:
        return asdict(self)


_ALLOWED: Mapping[str, range] = {
    "am_droprate": range(1, 2**31),
    "conn_reuse_mode": range(4),
    "drop_entry": _DEFENCE,
    "drop_packet": _DEFENCE,
    "expire_nodest_conn": _SWITCH,
    "expire_quiescent_template": _SWITCH,
    "lblc_expiration": _SECONDS,
    "lblcr_expiration": _SECONDS,
    "nat_icmp_send": _SWITCH,
    "pmtu_disc": _SWITCH,
    "secure_tcp": _DEFENCE,
    "sloppy_tcp": _SWITCH,
}
assert set(_ALLOWED) == {field.name for field in fields(Sysctls)}
