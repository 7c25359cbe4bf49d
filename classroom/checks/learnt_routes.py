"""Default routes that real servers have learnt in IPv6 (RFC 4861), when their router takes over from another.

advertise.sh   on r0: starts the program that sends router advertisements
announce.sh    on r0: announces that the router's address has a new MAC address
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from classroom.checks import needs, title
from classroom.checks.arp import ROUTER, router_interface
from classroom.in_host import command
from classroom.model import SERVERS, Judge, Observations, Variant
from classroom.script_edits import script_editor
from labs.checks.result import Check
from labs.hosts.host import Host
from labs.network.addresses import link_local
from labs.run.running import RunningLab
from labs.wait import poll_until
from realserver_setup.render import Script

ADVERTISE, ANNOUNCE = "advertise.sh", "announce.sh"
_EVERY = 600  # seconds between router advertisements, radvd(8)'s default
_OTHER_MAC = "02:00:00:00:00:fe"  # the failed router's
_ARRIVED = 2  # seconds
_REACHABLE, _IS_ROUTER = "REACHABLE", "router"
_LINK_LOCAL = "fe80::/10"

_ADVERTISE = """\
#!/bin/sh
# r0: advertises itself as the router of the hosts on {interface}: now, every ten minutes, and on request.
# May be run twice: it ends the program that an earlier run started.
kill "$(cat {pid_file} 2> /dev/null)" 2> /dev/null
setsid {program} advertise {interface} {every} > /dev/null 2>&1 &
echo $! > {pid_file}
"""
_PID_FILE = "/run/advertise.pid"

_ANNOUNCE = """\
#!/bin/sh
# r0: runs when this router takes over from the other, so that every host sends to its MAC address at once.
# The flags are letters: R router, S solicited, O override existing entries.
flags=RO
{program} announce {interface} $flags
"""


def begin(running: RunningLab, variant: Variant) -> None:
    """Write the scripts, with the fault, and run them: real servers learn the route, r0 takes over."""
    interface = router_interface(variant).name
    program = " ".join(command("router_discovery"))
    for name, text in ((ADVERTISE, _ADVERTISE), (ANNOUNCE, _ANNOUNCE)):
        filled = text.format(interface=interface, program=program, every=_EVERY, pid_file=_PID_FILE)
        script = script_editor(variant)(Script(f"{ROUTER}/{name}", filled))
        assert script is not None
        path = running.evidence.scripts / script.name
        path.write_text(script.text)
        path.chmod(0o755)
    _run(running, ADVERTISE)
    takeover_of_router(running, variant)


def _run(running: RunningLab, script: str) -> int:
    folder = running.evidence.scripts / ROUTER
    line = ["sh", "-c", 'cd "$0" && sh "$1"', str(folder), script]
    return running.network.hosts[ROUTER].run(line, timeout=5).exit_code


# ---- probe ----


def takeover_of_router(running: RunningLab, variant: Variant) -> dict[str, dict[str, Any]]:
    """r0 takes over from a router with another MAC address, which all real servers have an entry for.

    Before that they receive a router advertisement. For each of them: `learnt`, whether it then had a default
    route through r0; `heard`, whether it uses r0's MAC address after the announcement; `kept`, whether it
    still has the route after that, and after it has verified r0's address itself.
    """
    mac = router_interface(variant).mac
    address = link_local(mac)
    hosts = [running.network.hosts[name] for name in variant.hosts(SERVERS)]
    _forget_hosts(running, variant)
    with ThreadPoolExecutor() as pool:
        for host in hosts:
            _entry(host, address, _OTHER_MAC, "stale")
        # One host asks for all: a second advertisement, arriving late, would undo r0's announcement.
        hosts[0].run(command("router_discovery", "solicit", _card(hosts[0])), timeout=2)
        learnt = list(pool.map(lambda host: _hears(host, address, mac) and _has_route(host, address), hosts))
        for host in hosts:
            _entry(host, address, _OTHER_MAC, "stale")
        _run(running, ANNOUNCE)
        heard = list(pool.map(lambda host: _hears(host, address, mac), hosts))
        kept = list(pool.map(lambda host: _keeps(host, address, mac), hosts))
    return {
        host.name: {"learnt": has_learnt, "heard": has_heard, "kept": has_kept}
        for host, has_learnt, has_heard, has_kept in zip(hosts, learnt, heard, kept, strict=True)
    }


def _forget_hosts(running: RunningLab, variant: Variant) -> None:
    """Delete the hosts' link-local addresses on r0: verifying one would show that host r0's MAC address."""
    flush = ["ip", "neigh", "flush", "to", _LINK_LOCAL, "dev", router_interface(variant).name]
    running.network.hosts[ROUTER].run(flush, timeout=2)


def _hears(host: Host, router: str, mac: str) -> bool:
    return bool(poll_until(lambda: _neighbour(host, router).get("lladdr") == mac, bool, _ARRIVED))


def _keeps(host: Host, router: str, mac: str) -> bool:
    """Probe the entry at once, as the kernel does five seconds after its first use.

    A host with the route has an entry marked as a router: the kernel clears the mark before it deletes the
    route.
    """
    if _IS_ROUTER not in _neighbour(host, router) or not _has_route(host, router):
        return False
    _entry(host, router, mac, "probe")
    probed = poll_until(
        lambda: _neighbour(host, router), lambda entry: _REACHABLE in entry.get("state", ()), _ARRIVED
    )
    return _IS_ROUTER in probed and _has_route(host, router)


def _entry(host: Host, router: str, mac: str, state: str) -> None:
    """Create a router's neighbour entry, as a router advertisement does."""
    entry = [router, "lladdr", mac, "router", "nud", state, "dev", _card(host)]
    host.run(["ip", "neigh", "replace", *entry], timeout=2)


def _card(host: Host) -> str:
    return f"{host.name}-eth0"


def _has_route(host: Host, router: str) -> bool:
    shown = host.run(["ip", "-6", "-j", "route", "show", "default", "proto", "ra"], timeout=2).stdout
    return any(route.get("gateway") == router for route in json.loads(shown or "[]"))


def _neighbour(host: Host, router: str) -> dict[str, Any]:
    shown = host.run(["ip", "-j", "neigh", "show", "to", router, "dev", _card(host)], timeout=2).stdout
    entries: list[dict[str, Any]] = json.loads(shown or "[]")
    return entries[0] if entries else {}


# ---- judges ----


@needs(takeover_of_router)
def route_learnt(observations: Observations, variant: Variant) -> Check:
    """Every real server learns its default route from the router."""
    return _all(route_learnt, observations, "learnt", "a route of its own")


@needs(takeover_of_router)
def takeover_noticed(observations: Observations, variant: Variant) -> Check:
    """When the router takes over, every real server sends to its MAC address at once."""
    return _all(takeover_noticed, observations, "heard", "the old MAC address")


@needs(takeover_of_router)
def route_kept(observations: Observations, variant: Variant) -> Check:
    """After that, every real server still has the default route it has learnt."""
    return _all(route_kept, observations, "kept", "no such route")


def _all(judge: Judge, observations: Observations, what: str, otherwise: str) -> Check:
    found = observations["takeover_of_router"]
    wrong = [name for name, host_found in found.items() if not host_found[what]]
    observed = f"{', '.join(wrong)}: {otherwise}" if wrong else "all of them"
    return Check(title(judge), bool(found) and not wrong, "all of them", observed)
