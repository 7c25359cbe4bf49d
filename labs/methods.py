"""The three methods by the names that people type: nat, tun, dr."""

from __future__ import annotations

TITLES = {"nat": "VS-NAT", "tun": "VS-TUN", "dr": "VS-DR"}
FLAGS = {"nat": "-m", "tun": "-i", "dr": "-g"}  # of ipvsadm
METHODS = tuple(TITLES)
