"""HAProxy in TCP mode: a proxy, which ends the client's connection and opens another to the server."""

from __future__ import annotations

import shutil

from bench.testbed import HTTP, IPERF, SERVER, VIP, Testbed
from realserver_setup.render import configuration

ABOUT = "HAProxy in TCP mode"
METHODS = ("nat",)
OFFLOAD = True
LACKS = {"packets": "HAProxy forwards no UDP"}


def cannot() -> str:
    return "" if shutil.which("haproxy") else "The program haproxy is missing: install the package haproxy."


def set_up(testbed: Testbed) -> None:
    file = testbed.folder / "haproxy.cfg"
    file.write_text(configuration("bench/haproxy.cfg.j2", vip=VIP, server=SERVER, ports=(HTTP, IPERF)))
    testbed.start("d", "haproxy", "-db", "-f", str(file))
    testbed.listens("d", IPERF)
