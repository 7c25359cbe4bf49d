"""nginx as a proxy for TCP and UDP: it ends the client's connection and opens another to the server."""

from __future__ import annotations

import shutil
from pathlib import Path

from bench.testbed import HTTP, IPERF, SERVER, VIP, Testbed
from realserver_setup.render import configuration

ABOUT = "nginx stream"
METHODS = ("nat",)
OFFLOAD = True
_MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")


def cannot() -> str:
    if shutil.which("nginx") is None:
        return "The program nginx is missing: install the package nginx."
    return "" if _MODULE.exists() else "nginx has no stream module: install the package libnginx-mod-stream."


def set_up(testbed: Testbed) -> None:
    file = testbed.folder / "stream.conf"
    ports = {"ports": (HTTP, IPERF), "datagrams": IPERF}
    file.write_text(configuration("bench/stream.conf.j2", module=_MODULE, vip=VIP, server=SERVER, **ports))
    testbed.start("d", "nginx", "-p", str(testbed.folder), "-c", str(file))
    testbed.listens("d", IPERF)
