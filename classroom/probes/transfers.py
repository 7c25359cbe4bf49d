"""Transfers: large files from the clients to the virtual service, and what they have learnt of the way."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from classroom.variants import Variant
from labs.hosts.client import Client
from labs.run.running import RunningLab
from labs.wait import patient

_FILE = "100k.bin"
_LONGEST = 2.5  # seconds for an upload
_LEARNT = re.compile(r"\bexpires \d+sec mtu (\d+)")


def uploads(running: RunningLab, variant: Variant) -> dict[str, dict[str, Any]]:
    """What became of an upload of 100 kB by each client, all at once, when all have forgotten the way's MTU.

    `sent` is in bytes, `said` curl's complaint, `mtu` what the client has been told meanwhile, in bytes;
    0 is nothing.
    """

    def upload(client: Client) -> dict[str, Any]:
        client.host.run(["ip", "route", "flush", "cache"], timeout=2)
        limit = ("--max-time", f"{patient(_LONGEST):g}", "--header", "Expect:")
        url = f"http://{client.vip}/upload/{client.host.name}.bin"
        done = client.put(running.farm.path(_FILE), url, "--fail", *limit, "--write-out", "%{size_upload}")
        sent = done.stdout.rpartition("\n")[2]
        return {
            "sent": int(sent) if sent.isdigit() else 0,
            "said": done.stderr.strip() if done.exit_code else "",
            "mtu": _learnt(client),
        }

    with ThreadPoolExecutor(len(running.clients)) as pool:
        found = pool.map(upload, running.clients)
        return {client.host.name: one for client, one in zip(running.clients, found, strict=True)}


def _learnt(client: Client) -> int:
    """The MTU of the way to the VIP that the client did not know before."""
    found = _LEARNT.search(client.host.run(["ip", "route", "get", client.vip], timeout=2).stdout)
    return int(found[1]) if found else 0
