"""The three forwarding methods by the names used on the command line: nat, tun, dr."""

from __future__ import annotations

TITLES = {"nat": "VS-NAT", "tun": "VS-TUN", "dr": "VS-DR"}
FLAGS = {"nat": "-m", "tun": "-i", "dr": "-g"}  # of ipvsadm
METHODS = tuple(TITLES)
