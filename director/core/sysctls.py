"""What kernel IPVS lets an administrator tune under net.ipv4.vs, by the same names.

Only what changes what clients or real servers see is here: nothing about synchronising two
directors, and nothing about the kernel's own memory. Source: Linux, ipvs-sysctl.rst.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace

from director.core.errors import BadValue

_NUMBER = range(2**31)  # as the kernel, which takes any for a switch: all but 0 are on
_DEFENCE = range(4)  # 0 off, 1 automatic and idle, 2 automatic and at work, 3 always


@dataclass(frozen=True, slots=True)
class Sysctls:
    """The settings of one director; the defaults are the kernel's.

    am_droprate: of how many new connections one is dropped while drop_packet is 3; 0: none.
    conn_reuse_mode: whether a client's port that is used again may lead to another real server:
        0 never, else when the old connection is over, with bit 2 also in FIN_WAIT of VS-TUN and VS-DR.
    drop_entry: under attack, remove some half-open connections every second.
    drop_packet: under attack, drop some packets that would open a connection.
    expire_nodest_conn: connections of a server that was deleted end, instead of waiting for it: at the
        next packet or deletion.
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
    "am_droprate": _NUMBER,
    "conn_reuse_mode": _NUMBER,
    "drop_entry": _DEFENCE,
    "drop_packet": _DEFENCE,
    "expire_nodest_conn": _NUMBER,
    "expire_quiescent_template": _NUMBER,
    "lblc_expiration": _NUMBER,
    "lblcr_expiration": _NUMBER,
    "nat_icmp_send": _NUMBER,
    "pmtu_disc": _NUMBER,
    "secure_tcp": _DEFENCE,
    "sloppy_tcp": _NUMBER,
}
assert set(_ALLOWED) == {field.name for field in fields(Sysctls)}
