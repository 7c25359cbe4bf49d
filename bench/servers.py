"""What listens on a testbed's server: nginx for http, iperf3 for the rest."""

from __future__ import annotations

from bench.testbed import HTTP, IPERF, VIP, Testbed
from realserver_setup.render import configuration


def start(testbed: Testbed) -> None:
    """Raises BuildFailed."""
    file = testbed.folder / "httpd.conf"
    file.write_text(configuration("bench/httpd.conf.j2", port=HTTP))
    testbed.start("s", "nginx", "-p", str(testbed.folder), "-c", str(file))
    own = ("-B", VIP) if testbed.method in ("tun", "dr") else ()  # so that its datagrams come from there
    testbed.start("s", "iperf3", "-s", "-p", str(IPERF), *own)
    testbed.listens("s", HTTP)
    testbed.listens("s", IPERF)
