"""The programs that move the VIP from one director to the other: `--takeover` names one of them.

To add one: an entry here, and templates for its files, with the values of
realserver_setup/availability.py as `host`.
"""

from __future__ import annotations

from dataclasses import dataclass

from realserver_setup.availability import DEADTIME


@dataclass(frozen=True, slots=True)
class Takeover:
    """`files` are its configurations, written from templates/NAME.j2 beside the director's scripts.

    `command` starts it in that folder, with `--events FILE` behind it; NAME in it is the director's. It runs
    until SIGTERM, upon which it gives the VIP away. `resync` is the option with which a director that comes
    back asks for all connections. `silence` is how many intervals without a sign of life count as death, at
    most. `families` are the versions of IP whose addresses it moves. `over_both`: signs of life travel over
    the clients' network and that of the pair, and one of them is enough.
    """

    title: str
    files: tuple[str, ...]
    command: tuple[str, ...]
    resync: tuple[str, ...]
    silence: float
    families: tuple[int, ...] = (4,)
    over_both: bool = False


NAME = "NAME"
CONFIGURATION = "keepalived.conf"  # of the checks, in any case
CHECKS = ("lvs-monitor", "--no-vrrp", CONFIGURATION)
RELOAD_CHECKS = "pkill -HUP -f '[n]o-vrrp .*events-{director}'"  # typed on any host: they share processes
TAKEOVERS = {
    "vrrp": Takeover(
        "VRRP, version 3",
        (),
        ("lvs-vrrp", CONFIGURATION),
        resync=("--resync",),
        silence=3 + 156 / 256,
        families=(4, 6),
    ),
    "heartbeat": Takeover(
        "heartbeat, as in 1999",
        ("ha.cf", "haresources"),
        ("lvs-heartbeat", ".", "--node", NAME),
        resync=(),
        silence=DEADTIME + 1,
        over_both=True,
    ),
}
