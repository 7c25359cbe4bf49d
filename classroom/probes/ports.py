"""Ports of the VIP: how a connection to one of them ends."""

from __future__ import annotations

from classroom.variants import Variant
from labs.hosts.environment import ROOT
from labs.hosts.host import program
from labs.run.running import RunningLab
from labs.wait import patient

_TRY = ROOT / "labs/hosts/try_connect.py"
_FTP = 21
_SILENCE = 1.2  # seconds


def ftp_port(running: RunningLab, variant: Variant) -> str:
    """How a connection of c1 to the VIP's ftp port ends: `connected`, or the name of an errno."""
    client = running.clients[0]
    trying = program(_TRY, client.vip, _FTP, patient(_SILENCE))
    return client.host.run(trying, timeout=2 * _SILENCE).stdout.strip()
