"""What listens on a site's server: nginx for http, iperf3 for the rest."""

from __future__ import annotations

from bench.site import HTTP, IPERF, VIP, Site
from realserver_setup.render import configuration


def start(site: Site) -> None:
    """Raises BuildFailed."""
    file = site.folder / "httpd.conf"
    file.write_text(configuration("bench/httpd.conf.j2", port=HTTP))
    site.start("s", "nginx", "-p", str(site.folder), "-c", str(file))
    own = ("-B", VIP) if site.method in ("tun", "dr") else ()  # so that its datagrams come from there
    site.start("s", "iperf3", "-s", "-p", str(IPERF), *own)
    site.listens("s", HTTP)
    site.listens("s", IPERF)
