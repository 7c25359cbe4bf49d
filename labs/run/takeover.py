"""The programs that move the VIP from one director to the other: `--takeover` names one of them.

To add one: an entry here, and templates for its files, with the values of
realserver_setup/availability.py as `host`.
"""

from __future__ import annotations

from dataclasses import dataclass

from realserver_setup.availability import DEADTIME


@dataclass(frozen=True, slots=True)
class Takeover:
    """A program that moves the VIP; `files` are its configurations, rendered from templates/NAME.j2.

    `command` starts it in the folder of the director's scripts, with `--events FILE` appended; NAME stands
    for the director's name. It runs until SIGTERM, on which it releases the VIP. `resync` is the option with
    which a returning director asks for all connections. `silence` is the number of intervals without an
    advertisement or heartbeat after which a director is declared dead, at most. `families` are the IP
    versions that it can move. `over_both`: heartbeats travel over the clients' network and the directors'
    own, and either suffices.
    """

    title: str
    files: tuple[str, ...]
    command: tuple[str, ...]
    resync: tuple[str, ...]
    silence: float
    families: tuple[int, ...] = (4,)
    over_both: bool = False


NAME = "NAME"
CONFIGURATION = "keepalived.conf"  # for the checks, whichever program moves the VIP
CHECKS = ("lvs-monitor", "--no-vrrp", CONFIGURATION)
# works on any host: they share a PID namespace
RELOAD_CHECKS = "pkill -HUP -f '[n]o-vrrp .*events-{director}'"
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
