"""The settings that kernel IPVS has under net.ipv4.vs, by the same names.

Only settings that change what clients, real servers or another director see are here, and none about the
kernel's own memory. The kernel's sync_threshold has two numbers: the second one is sync_period here.
Source: Linux, ipvs-sysctl.rst.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace

from director.core.errors import BadValue

_NUMBER = range(2**31)  # as in the kernel, where any number but 0 turns a switch on
_STRATEGY = range(4)  # 0 off, 1 automatic and inactive, 2 automatic and active, 3 always active
_RETRIES = range(4)
_VERSION = range(2)


@dataclass(frozen=True, slots=True)
class Sysctls:
    """The settings of one director; the defaults are the kernel's.

    am_droprate: while drop_packet is 3, one in am_droprate new connections is dropped; 0: none.
    backup_only: while this director is a backup, it forwards nothing.
    conn_reuse_mode: whether a client that reuses its port may get another real server: 0 never, else when
        the old connection is over, with bit 2 also when it is in FIN_WAIT (VS-TUN and VS-DR).
    drop_entry: under overload, remove some half-open connections every second.
    drop_packet: under overload, drop some packets that would open a connection.
    expire_nodest_conn: connections of a deleted server end at the next packet or deletion, instead of
        waiting for the server to come back.
    expire_quiescent_template: persistence does not keep a client at a server of weight 0.
    lblc_expiration, lblcr_expiration: seconds for which those schedulers remember (kernel: jiffies).
    nat_icmp_send: a VS-NAT real server gets an ICMP error for packets that belong to no connection.
    pmtu_disc: packets too long for a tunnel are rejected with the path MTU; 0 fragments them.
    secure_tcp: under overload, use another state table: a SYN alone makes no lasting connection.
    sloppy_tcp: any TCP packet, not only a SYN, may open a connection.
    sync_period: a connection is sent to the backup whenever its packets, modulo this, are sync_threshold; 0:
        once, or as sync_refresh_period says.
    sync_persist_mode: of persistent services, only templates are sent.
    sync_refresh_period: seconds in which a connection is not sent again; 0: no limit.
    sync_retries: how often it is sent again nevertheless, an eighth of that period apart.
    sync_threshold: the packet from the client at which a connection is sent for the first time.
    sync_version: of the messages; 0 is the format before Linux 2.6.39.
    """

    am_droprate: int = 10
    backup_only: int = 0
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
    sync_period: int = 50
    sync_persist_mode: int = 0
    sync_refresh_period: int = 0
    sync_retries: int = 0
    sync_threshold: int = 3
    sync_version: int = 1

    def __post_init__(self) -> None:
        for name, allowed in _ALLOWED.items():
            value = getattr(self, name)
            if type(value) is not int or value not in allowed:
                raise BadValue(name, f"{allowed[0]} to {allowed[-1]}", value)
        if 0 < self.sync_period <= self.sync_threshold:
            expected = f"more than sync_threshold, which is {self.sync_threshold}, or 0"
            raise BadValue("sync_period", expected, self.sync_period)

    def with_value(self, name: str, value: int) -> Sysctls:
        """A copy with one value changed. Raises BadValue."""
        if name not in _ALLOWED:
            raise BadValue("sysctl", f"one of {', '.join(_ALLOWED)}", name)
        return replace(self, **{name: value})

    def changes(self) -> Iterator[tuple[str, int]]:
        """Names and values that lead to these settings from any others, if set in this order."""
        yield "sync_period", 0  # valid with every threshold
        for name, value in self.as_dict().items():
            if name != "sync_period":
                yield name, value
        yield "sync_period", self.sync_period

    def as_dict(self) -> Mapping[str, int]:
        return {name: getattr(self, name) for name in _ALLOWED}


_ALLOWED: Mapping[str, range] = {
    "am_droprate": _NUMBER,
    "backup_only": _NUMBER,
    "conn_reuse_mode": _NUMBER,
    "drop_entry": _STRATEGY,
    "drop_packet": _STRATEGY,
    "expire_nodest_conn": _NUMBER,
    "expire_quiescent_template": _NUMBER,
    "lblc_expiration": _NUMBER,
    "lblcr_expiration": _NUMBER,
    "nat_icmp_send": _NUMBER,
    "pmtu_disc": _NUMBER,
    "secure_tcp": _STRATEGY,
    "sloppy_tcp": _NUMBER,
    "sync_period": _NUMBER,
    "sync_persist_mode": _NUMBER,
    "sync_refresh_period": _NUMBER,
    "sync_retries": _RETRIES,
    "sync_threshold": _NUMBER,
    "sync_version": _VERSION,
}
assert set(_ALLOWED) == {field.name for field in fields(Sysctls)}
