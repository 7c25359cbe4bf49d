"""Downloads of many packets, by all clients from all real servers."""

from __future__ import annotations

import json
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from classroom.checks import needs, outcomes, title
from classroom.model import Observations, Variant
from labs.checks.result import Check
from labs.hosts.client import Client
from labs.run.packet_table import in_url
from labs.run.running import RunningLab
from labs.wait import patient

_FILE, _SIZE = "100k.bin", 100_000  # bytes
_SECONDS = 2.0  # for a download; on an idle machine it takes a tenth of one
_MTU = 1500  # bytes: Ethernet's
_HEADERS = 40  # bytes, of IP and TCP


def downloads(running: RunningLab, variant: Variant) -> dict[str, dict[str, Any]]:
    """Each client makes as many downloads of 100 kB as there are real servers, all at once.

    For each client: `got`, the bytes of each download that arrived, and `mtu`, the largest packet that the
    client accepts, in bytes.
    """
    count = len(variant.plan.servers)
    with ThreadPoolExecutor(len(running.clients) * count) as pool:
        got = {
            client.host.name: [pool.submit(_download, client) for _ in range(count)]
            for client in running.clients
        }
        return {
            client.host.name: {
                "got": [download.result() for download in got[client.host.name]],
                "mtu": _mtu(client),
            }
            for client in running.clients
        }


def _download(client: Client) -> int:
    limit = ("--max-time", f"{patient(_SECONDS):g}")
    done = client.host.run(
        [
            "curl",
            "-q",
            "-s",
            *limit,
            "-o",
            "/dev/null",
            "-w",
            "%{size_download}",
            f"http://{in_url(client.vip)}/{_FILE}",
        ],
        timeout=2 * _SECONDS,
    )
    return int(done.stdout) if done.stdout.isdigit() else 0


def _mtu(client: Client) -> int:
    """The largest packet that the client accepts, by its interface and its routes."""
    shown = client.host.run(["ip", "-j", "link", "show", "dev", f"{client.host.name}-eth0"], timeout=2).stdout
    routes = client.host.run(["ip", "route", "show"], timeout=2).stdout
    limits = [int(size) for size in re.findall(r"\bmtu (?:lock )?(\d+)", routes)]
    limits += [int(size) + _HEADERS for size in re.findall(r"\badvmss (\d+)", routes)]
    return min([int(json.loads(shown or '[{"mtu": 0}]')[0]["mtu"]), *limits])


@needs(downloads)
def downloads_arrive(observations: Observations, variant: Variant) -> Check:
    """Every client can download a 100 kB file from every real server."""
    sizes = [size for client in observations["downloads"].values() for size in client["got"]]
    found = Counter("arrived" if size == _SIZE else "stopped" for size in sizes)
    expected = f"{len(sizes)} arrived" if sizes else "downloads"
    return Check(title(downloads_arrive), set(found) == {"arrived"}, expected, outcomes(found))


@needs(downloads)
def clients_untouched(observations: Observations, variant: Variant) -> Check:
    """The clients still take packets of 1500 bytes: other people's computers are not yours to change."""
    found = {name: client["mtu"] for name, client in observations["downloads"].items()}
    observed = ", ".join(f"{name} {mtu} bytes" for name, mtu in found.items())
    return Check(title(clients_untouched), set(found.values()) == {_MTU}, f"{_MTU} bytes", observed or "none")
