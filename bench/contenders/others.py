"""Alternatives to a load balancer in the kernel: destination NAT, and proxies.

A proxy ends the client's connection and opens another one to the server.
"""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

from bench.contenders import Contender
from bench.testbed import HTTP, IPERF, SERVER, VIP, Testbed
from realserver_setup.render import configuration

_STREAM_MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
_DNAT = f"""\
table ip bench {{
    chain before {{
        type nat hook prerouting priority dstnat;
        ip daddr {VIP} dnat to {SERVER}
    }}
}}
"""


def _missing(program: str, package: str) -> str:
    if shutil.which(program):
        return ""
    return f"The program {program} is missing: install the package {package}."


def _nftables(testbed: Testbed) -> None:
    testbed.run("d", "sysctl", "-qw", "net.ipv4.ip_forward=1")
    testbed.run("d", "nft", "-f", "-", text=_DNAT)


def _haproxy(testbed: Testbed) -> None:
    """HAProxy in TCP mode."""
    file = testbed.folder / "haproxy.cfg"
    file.write_text(configuration("bench/haproxy.cfg.j2", vip=VIP, server=SERVER, ports=(HTTP, IPERF)))
    testbed.start("d", "haproxy", "-db", "-f", str(file))
    testbed.wait_for_port("d", IPERF)


def _nginx(testbed: Testbed) -> None:
    """nginx as a proxy for TCP and UDP (ngx_stream_proxy_module)."""
    file = testbed.folder / "stream.conf"
    ports = {"ports": (HTTP, IPERF), "datagrams": IPERF}
    text = configuration("bench/stream.conf.j2", module=_STREAM_MODULE, vip=VIP, server=SERVER, **ports)
    file.write_text(text)
    testbed.start("d", "nginx", "-p", str(testbed.folder), "-c", str(file))
    testbed.wait_for_port("d", IPERF)


def _no_stream_module() -> str:
    missing = _missing("nginx", "nginx")
    if missing or _STREAM_MODULE.exists():
        return missing
    return "nginx has no stream module: install the package libnginx-mod-stream."


CONTENDERS = (
    Contender(
        "nftables",
        "nftables DNAT",
        _nftables,
        methods=("nat",),
        obstacle=partial(_missing, "nft", "nftables"),
    ),
    Contender(
        "haproxy",
        "HAProxy in TCP mode",
        _haproxy,
        methods=("nat",),
        obstacle=partial(_missing, "haproxy", "haproxy"),
        lacks={"packets": "HAProxy forwards no UDP"},
    ),
    Contender("nginx", "nginx stream", _nginx, methods=("nat",), obstacle=_no_stream_module),
)
