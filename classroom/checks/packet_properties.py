"""Properties of packets on the wire: source addresses, checksums, size."""

from __future__ import annotations

import json
import re
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from classroom.checks import listed, needs, title
from classroom.checks.arp import router_interface
from classroom.checks.service import MIN_REQUESTS, send_requests
from classroom.in_host import command
from classroom.model import Observations, Variant
from labs.checks.result import Check
from labs.hosts.client import Client
from labs.run.packet_table import in_url
from labs.run.running import RunningLab
from labs.wait import patient

# ---- source addresses ----

_MAX_CAPTURE = 10  # seconds


def sources(running: RunningLab, variant: Variant) -> dict[str, int]:
    """TCP packets that reach the router r0 from the director's segment during c1's requests, by source."""
    interface = router_interface(variant)
    counting = running.network.hosts[interface.node].open(
        command("tcp_sources", interface.name, patient(_MAX_CAPTURE))
    )
    assert counting.stdout is not None
    if counting.stdout.readline():
        send_requests(running.clients[0], 80, MIN_REQUESTS)
        counting.send_signal(signal.SIGUSR1)
    output, error = counting.communicate(timeout=patient(_MAX_CAPTURE))
    if counting.returncode:
        raise ValueError(f"cannot capture on {interface.name}: {error.strip().rpartition(chr(10))[2]}")
    return dict(json.loads(output))


@needs(sources)
def only_the_vip(observations: Observations, variant: Variant) -> Check:
    """All packets to clients come from the VIP."""
    found = observations["sources"]
    vip = variant.plan.vip
    return Check(title(only_the_vip), set(found) == {vip}, f"only {vip}", listed(found))


# ---- checksums ----


def damaged(running: RunningLab, variant: Variant) -> dict[str, int]:
    """TCP packets with a wrong checksum that each host received during c1's requests (TcpInCsumErrors)."""
    hosts = ("c1", *variant.hosts("servers"))
    before = {name: _checksum_errors(running, name) for name in hosts}
    send_requests(running.clients[0], 80, MIN_REQUESTS)
    return {name: _checksum_errors(running, name) - before[name] for name in hosts}


def _checksum_errors(running: RunningLab, host: str) -> int:
    """The host's counter of wrong TCP checksums. Raises ValueError if it cannot be read."""
    lines = running.network.hosts[host].run(["cat", "/proc/net/snmp"], timeout=2).stdout.splitlines()
    names, values = (line.split() for line in lines if line.startswith("Tcp:"))
    return int(values[names.index("InCsumErrors")])


def pings(running: RunningLab, variant: Variant) -> dict[str, bool]:
    """Whether each client gets a reply from the VIP to a ping, whose checksum the kernel computes."""
    ping = ["ping", "-n", "-c", "1", "-W", f"{patient(1):.1f}", variant.plan.vip]
    clients = running.clients
    return {client.host.name: client.host.run(ping, timeout=2).exit_code == 0 for client in clients}


@needs(damaged)
def none_damaged(observations: Observations, variant: Variant) -> Check:
    """No host discards packets that are addressed to it."""
    found = {name: count for name, count in observations["damaged"].items() if count}
    intact = bool(observations["damaged"]) and not found
    return Check(title(none_damaged), intact, "none discarded", listed(found) + " discarded")


@needs(pings)
def vip_pinged(observations: Observations, variant: Variant) -> Check:
    """Every client can ping the VIP."""
    silent = [name for name, replied in observations["pings"].items() if not replied]
    replied = f"no reply to {', '.join(silent)}" if silent else "replies to all"
    passed = bool(observations["pings"]) and not silent
    return Check(title(vip_pinged), passed, "replies to all", replied)


# ---- size ----

_FILE = "100k.bin"
_UPLOAD = 2.5  # seconds
_PATH_MTU = {4: 1480, 6: 1460}  # bytes: 1500 without a tunnel's IP header
_LEARNT = re.compile(r"\bexpires \d+sec mtu (\d+)")


def uploads(running: RunningLab, variant: Variant) -> dict[str, dict[str, Any]]:
    """All clients forget the path MTU, and upload 100 kB at once.

    For each client: `sent`, in bytes; `said`, curl's error; `mtu`, the path MTU that it learnt, in bytes, or
    0.
    """

    def upload(client: Client) -> dict[str, Any]:
        client.host.run(["ip", f"-{variant.definition.family}", "route", "flush", "cache"], timeout=2)
        limit = ("--max-time", f"{patient(_UPLOAD):g}", "--header", "Expect:")
        url = f"http://{in_url(client.vip)}/upload/{client.host.name}.bin"
        done = client.put(running.farm.path(_FILE), url, "--fail", *limit, "--write-out", "%{size_upload}")
        sent = done.stdout.rpartition("\n")[2]
        return {
            "sent": int(sent) if sent.isdigit() else 0,
            "said": done.stderr.strip() if done.exit_code else "",
            "mtu": _learnt_mtu(client),
        }

    with ThreadPoolExecutor(len(running.clients)) as pool:
        found = pool.map(upload, running.clients)
        return {client.host.name: result for client, result in zip(running.clients, found, strict=True)}


def _learnt_mtu(client: Client) -> int:
    found = _LEARNT.search(client.host.run(["ip", "route", "get", client.vip], timeout=2).stdout)
    return int(found[1]) if found else 0


@needs(uploads)
def uploads_arrive(observations: Observations, variant: Variant) -> Check:
    """Every client can upload a 100 kB file."""
    found = observations["uploads"]
    results = [f"{name}: {upload['said'] or 'arrived'}" for name, upload in found.items()]
    arrived = len(found) > 0 and not any(upload["said"] for upload in found.values())
    return Check(title(uploads_arrive), arrived, "arrived", "; ".join(results) or "no uploads")


@needs(uploads)
def path_mtu_learnt(observations: Observations, variant: Variant) -> Check:
    """Path MTU discovery works for every client."""
    found = {name: upload["mtu"] for name, upload in observations["uploads"].items()}
    results = [f"{name}: {f'{mtu} bytes' if mtu else 'still 1500 bytes'}" for name, mtu in found.items()]
    expected = _PATH_MTU[variant.definition.family]
    learnt = set(found.values()) == {expected}
    return Check(title(path_mtu_learnt), learnt, f"{expected} bytes", "; ".join(results))
