"""Queries of a lab's state (services, servers, packets, ARP) and repairs that several causes share."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from director.formats.ipvsadm_words import endpoint
from doctor.nftables import Packet, dropped, leads_to, redirection, suspect_redirection
from doctor.sightings import last_seen
from doctor.state import (
    CLIENT,
    ROUTER,
    FilterRule,
    HostState,
    LabState,
    PlannedServer,
    Plug,
    Process,
    Service,
    Site,
)
from labs.methods import FLAGS
from labs.network.addresses import link_local
from realserver_setup.build import TUNNELS
from realserver_setup.httpd import CONFIGURATION, ORIGINAL, PROGRAM

# ---- services ----

FTP, HTTP = 21, 80
CLIENT_PORT = 50000  # as clients have: ephemeral by Linux's range and by IANA's (RFC 6335)
PASSIVE = 30500  # one of the ports that ftpd announces for data connections
METHODS = {"nat": "Masq", "tun": "Tunnel", "dr": "Route"}  # ipvsadm's names


def services_of(state: LabState, port: int) -> list[Service]:
    """The services that match a TCP packet to `port` of the VIP: by mark, by port, or by port 0."""
    marks = {mark.mark for mark in state.director.marks if mark.covers(state.vip, port)}
    services = state.director.services
    found = [service for service in services if service.mark and service.mark in marks]
    for number in (port, 0):
        found = found or [service for service in services if _is_of(service, state.vip, number)]
    return found


def _is_of(service: Service, vip: str, port: int) -> bool:
    return (service.protocol, service.address, service.port) == ("TCP", vip, port)


def web_ports(state: LabState) -> list[int]:
    """The VIP's ports that sessions may use: http's, those in rules, and the plan's additional ones."""
    ruled = {service.port for service in about_the_vip(state) if not service.mark}
    planned = {port for server in state.servers for port in server.ports[1:]}
    return sorted((ruled | planned | {HTTP}) - {0})


def listed(services: Iterable[Service]) -> str:
    return ", ".join(map(str, services)) or "none"


def option(service: Service) -> str:
    """The service as ipvsadm's option."""
    if service.mark:
        return f"-f {service.mark}"
    return f"-{service.protocol[0].lower()} {endpoint(service.address, service.port)}"


def flag(state: LabState) -> str:
    """ipvsadm's option for the lab's forwarding method."""
    return FLAGS[state.method]


def about_the_vip(state: LabState) -> Iterator[Service]:
    """TCP services on the VIP, including those by mark, without ftp's."""
    for service in state.director.services:
        if service.mark or (
            service.protocol == "TCP" and service.address == state.vip and service.port != FTP
        ):
            yield service


# ---- real servers ----


def served_port(state: LabState, server: PlannedServer) -> int:
    """The port at which http requests reach the server: only VS-NAT changes ports."""
    return server.ports[0] if state.method == "nat" else HTTP


def redirected(host: HostState, address: str, port: int) -> FilterRule | None:
    """The rule of the host's own packet filter that redirects requests for that port."""
    return redirection(host.filters, request_packet("", address, port))


def may_be_redirected(host: HostState, address: str, port: int) -> FilterRule | None:
    """The rule that redirects some of the requests for that port, or all of them."""
    return suspect_redirection(host.filters, request_packet("", address, port))


def is_redirected(host: HostState, address: str, port: int) -> bool:
    """Whether requests for that port are redirected to a port on which a program listens."""
    rule = redirected(host, address, port)
    return rule is not None and leads_to_program(host, port, rule)


def leads_to_program(host: HostState, port: int, rule: FilterRule) -> bool:
    """Whether a program listens where that rule redirects requests for `port`."""
    address, number = leads_to(rule)
    address = address or host.main.address
    # DNAT may lead to another host, whose listeners are unknown here.
    return not host.has(address) or host.listens(address, number or port)


def start_httpd(host: HostState) -> Iterator[str]:
    """The commands that start nginx, from the host's scripts folder, and wait until it is ready."""
    folder = f"../../servers/{host.name}"
    yield f"setsid nginx -p {folder}/ -c nginx.conf > /dev/null 2>&1 &"
    yield f"until [ -e {folder}/nginx.pid ]; do sleep 0.1; done"


def stop_httpd(host: HostState) -> Iterator[str]:
    """The commands that stop nginx, and wait: its single process cannot reload."""
    for process in host.processes:
        if PROGRAM in process.command.split(" ")[0]:
            yield end_process(process.pid)


def listening_program(state: LabState, host: HostState) -> str:
    """The program that listens on the port of requests; "" if there is none, or it is unknown."""
    server = next((server for server in state.servers if server.name == host.name), None)
    found = host.listener(host.main.address, served_port(state, server)) if server else None
    return found.program if found else ""


def restore_httpd(host: HostState) -> Iterator[str]:
    """The command that restores its original configuration, if that was changed."""
    if host.site.changed:
        folder = f"../../servers/{host.name}"
        yield f"cp {folder}/{ORIGINAL} {folder}/{CONFIGURATION}"


def restart_httpd(host: HostState) -> Iterator[str]:
    """The commands that restart it with its original configuration."""
    yield from restore_httpd(host)
    yield from stop_httpd(host)
    yield from start_httpd(host)


def uncover(site: Site) -> Iterator[str]:
    """The commands that unmount what hides its folders, the innermost first."""
    yield from (f"umount --lazy {folder}" for folder in sorted(site.covered, reverse=True))


def restore_files(host: HostState) -> Iterator[str]:
    """The commands that restore the files that it serves."""
    yield from uncover(host.site)
    if host.site.root:
        yield f"{shlex.quote(sys.executable)} -m realserver_setup.files {host.site.root} {host.name}"


def start_ftpd(host: HostState) -> Iterator[str]:
    """The commands that start the ftp server with the lab's own Python, and wait until it listens."""
    python = shlex.quote(sys.executable)
    family = "".join(map(str, host.site.versions))
    how = f"--root /run/lvs/{host.name}" + (f" --family {family}" if family != "4" else "")
    yield f"setsid {python} -m realserver_setup.ftpd {how} > /dev/null 2>&1 &"
    yield "until ss -ltn 'sport = 21' | grep -q LISTEN; do sleep 0.1; done"


def enable_ipv6(host: HostState) -> Iterator[str]:
    """The commands that enable IPv6 again where it is disabled: with it, all addresses there are gone."""
    for name in ("all", "lo", *(plug.interface for plug in host.plugs), *TUNNELS.values()):
        if host.settings.get(f"conf.{name}.disable_ipv6"):
            yield f"sysctl -w net.ipv6.conf.{name}.disable_ipv6=0"


def tunnel(state: LabState) -> str:
    """VS-TUN's tunnel device on the real servers."""
    return TUNNELS[state.version]


def start_tunnel(device: str) -> Iterator[str]:
    """The commands that start the program behind a tunnel device, and wait until the device exists."""
    python = shlex.quote(sys.executable)
    yield f"setsid {python} -m realserver_setup.tunl0 --device {device} > /dev/null 2>&1 &"
    yield f"until ip link show dev {device} > /dev/null 2>&1; do sleep 0.1; done"
    if device == TUNNELS[4]:
        yield f"sysctl -w net.ipv4.conf.{device}.rp_filter=0"


# ---- packets, as nftables.py takes them ----


def request_packet(client: str, address: str, port: int) -> Packet:
    """A client's packet that opens a TCP connection."""
    return {
        **_headers(("tcp", 6), client, address),
        "tcp dport": port,
        "th dport": port,
        "tcp flags": frozenset({"syn"}),
        "ct state": "new",
    }


def reply_packet(address: str, client: str, port: int) -> Packet:
    return {
        **_headers(("tcp", 6), address, client),
        "tcp sport": port,
        "th sport": port,
        "tcp flags": frozenset({"syn", "ack"}),
        "ct state": "established",
    }


def outer_packet(director: str, server: str) -> Packet:
    """A packet of the tunnel (IP in IP)."""
    return _headers(("ipv6", 41) if ":" in server else ("ipip", "ipencap", 4), director, server)


def _headers(protocol: tuple[str | int, ...], source: Any, destination: str) -> dict[str, Any]:
    is_ipv6 = ":" in destination
    header, next_header = ("ip6", "nexthdr") if is_ipv6 else ("ip", "protocol")
    return {
        "protocol": header,
        "nfproto": "ipv6" if is_ipv6 else "ipv4",
        "l4proto": protocol,
        f"{header} {next_header}": protocol,
        f"{header} saddr": source,
        f"{header} daddr": destination,
    }


def advertisement(source: str, protocol: str) -> Packet:
    """A VRRP advertisement or a heartbeat that one director sends to the other."""
    if protocol == "vrrp":
        return _headers(("vrrp", 112), source, "ff02::12" if ":" in source else "224.0.0.18")
    port = {"udp dport": 694, "th dport": 694}
    return {**_headers(("udp", 17), source, ""), **port}


def neighbour_packet(kind: str) -> Packet:
    """A packet of neighbour discovery (RFC 4861): `kind` is solicit or advert."""
    of_any = dict.fromkeys(("ip6 saddr", "ip6 daddr"), ())
    headers = _headers(("icmpv6", "ipv6-icmp", 58), "", "::")
    return {**headers, **of_any, "icmpv6 type": f"nd-neighbor-{kind}"}


def announcement(address: str, mac: str) -> Packet:
    """A director's announcement on taking over: gratuitous ARP, or in IPv6 a neighbour advertisement."""
    if ":" in address:
        return {
            **_headers(("icmpv6", "ipv6-icmp", 58), address, "ff02::1"),
            "icmpv6 type": "nd-neighbor-advert",
            "ether saddr": mac,
            "ether daddr": "33:33:00:00:00:01",
            "pkttype": "multicast",
        }
    return {
        "protocol": "arp",
        "ether type": "arp",
        "ether saddr": mac,
        "ether daddr": "ff:ff:ff:ff:ff:ff",
        "arp operation": "request",
        "arp saddr ip": address,
        "arp daddr ip": address,
        "arp saddr ether": mac,
        "arp daddr ether": "ff:ff:ff:ff:ff:ff",
        "pkttype": "broadcast",
    }


# ---- packets that do not fit into a tunnel ----


def filter_of_errors(state: LabState) -> Iterator[tuple[HostState, FilterRule]]:
    """VS-TUN: the hosts that drop the director's message that a packet is too big, each with its rule."""
    for host in state.by_role(CLIENT, ROUTER) if state.method == "tun" else ():
        in_front = any(plug.switch == state.director_host.main.switch for plug in host.plugs)
        clients = [host.main] if host.role == CLIENT else state.clients if in_front else ()
        hooks = "prerouting", "forward" if host.role == ROUTER else "input", "postrouting"
        rules = (dropped(host.filters, _too_big(state, client.address), *hooks) for client in clients)
        rule = next(filter(None, rules), None)
        if rule:
            yield host, rule


def _too_big(state: LabState, client: str) -> Packet:
    """The director's ICMP error, from the VIP or its own address."""
    source: Any = (state.dip, state.vip)
    if state.version == 6:
        kind: dict[str, Any] = {"icmpv6 type": ("packet-too-big", 2), "icmpv6 code": ("no-route", 0)}
        protocol: tuple[str | int, ...] = ("icmpv6", "ipv6-icmp", 58)
    else:
        kind = {"icmp type": ("destination-unreachable", 3), "icmp code": ("frag-needed", 4)}
        protocol = ("icmp", 1)
    return {**_headers(protocol, source, client), **kind, "ct state": "related"}


# ---- IPv6 routers, and what hosts learn from them ----

_ANNOUNCES = "router_discovery.py"  # in a script that announces a router's takeover
_FLAGS = re.compile(r"^flags=(\w*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Denial:
    """A router some of whose neighbour advertisements lack the router flag.

    `learners` are the hosts that learn their default route from it.
    """

    router: HostState
    plug: Plug
    learners: tuple[str, ...]
    evidence: tuple[str, ...]
    repairs: tuple[str, ...]


def denials(state: LabState) -> Iterator[Denial]:
    """The routers whose neighbour advertisements lack the router flag, if hosts learn routes from them."""
    for router in state.by_role(ROUTER) if state.version == 6 else ():
        for plug in router.plugs:
            learners = tuple(host.name for host, own in state.on_switch(plug.switch) if _learns(host, own))
            evidence, repairs = _denials_of_kernel(router, plug)
            for script, flags in _announcements(router):
                evidence.append(f"{script} announces a takeover with the flags {flags or 'none'}, without R")
                repairs.append(f"sed -i 's/^flags=.*/flags=R{flags}/' {script}")
            if learners and evidence:
                advertise = "advertise.sh"
                repairs += [f"sh {advertise}"] if advertise in router.scripts else []
                yield Denial(router, plug, learners, tuple(evidence), tuple(repairs))


def _denials_of_kernel(router: HostState, plug: Plug) -> tuple[list[str], list[str]]:
    """The kernel's own case: `all` decides about forwarding, but the interface's setting about the flag."""
    own = f"conf.{plug.interface}.forwarding"
    if router.settings.get("conf.all.forwarding") != 1 or router.settings.get(own) != 0:
        return [], []
    return [router.setting_text("forwarding", "all", plug.interface)], [f"sysctl -w net.ipv6.{own}=1"]


def _announcements(router: HostState) -> Iterator[tuple[str, str]]:
    """The scripts that announce a takeover without the router flag, each with its flags."""
    for name, text in router.scripts.items():
        found = _FLAGS.search(text)
        if found and _ANNOUNCES in text and "R" not in found[1]:
            yield name, found[1]


def _learns(host: HostState, plug: Plug) -> bool:
    """Whether the host takes its default route from router advertisements (accept_ra)."""
    return host.role != ROUTER and host.settings.get(f"conf.{plug.interface}.accept_ra", 0) > 0


def link_locals(router: HostState, plug: Plug) -> Iterator[str]:
    """The router's link-local addresses there, which are the next hop of routes learnt from it."""
    mac = router.mac(plug.interface)
    if mac:  # unknown if the interface is gone
        yield link_local(mac)
    for address in router.addresses:
        if address.interface == plug.interface and address.scope == "link":
            yield address.address


# ---- trials ----


def ends_at(state: LabState, host: HostState) -> bool:
    """Whether a failed trial came as far as this host and no farther, or has not even left it."""
    ends = ((trial, last_seen(trial)) for trial in state.troubled)
    return any(host.name == (seen.host if seen else trial.host) for trial, seen in ends)


# ---- the director's process ----


def start_director() -> Iterator[str]:
    """The commands that start the director, and load its rules once it answers."""
    yield "setsid sh start.sh > start.log 2>&1 &"
    yield "until ippfvsadm -L > /dev/null 2>&1; do sleep 0.1; done"
    yield "sh rules.sh"


# Restarts the director without its process id; a stopped one has to be continued before it can end.
RESTART_DIRECTOR = (
    "pkill -CONT -f '[l]vs-director --method'",
    "pkill -f '[l]vs-director --method'",
    "while pgrep -f '[l]vs-director --method' > /dev/null; do sleep 0.1; done",
    *start_director(),
)


def end_process(pid: int) -> str:
    """The command that ends a process and waits for its end."""
    return f"kill {pid}; while [ -e /proc/{pid}/exe ]; do sleep 0.1; done"


def restart_director(state: LabState) -> Iterator[str]:
    """The commands that end the director, and start it again once it has ended."""
    if state.director_process:
        yield end_process(state.director_process.pid)
    yield from start_director()


# ---- two directors ----

START_TAKEOVER = "setsid sh takeover.sh > /dev/null 2>&1 &"
START_CHECKS = "setsid sh monitor.sh > /dev/null 2>&1 &"
_CHECKS = {"availability.monitor": "lvs-monitor"}  # part of a command line: program
_TAKEOVER = {f"start.py {program}": program for program in ("lvs-vrrp", "lvs-heartbeat")}


def takeover_of(host: HostState) -> list[Process]:
    """The processes that move the VIP."""
    return [process for process in host.processes if any(words in process.command for words in _TAKEOVER)]


def checks_of(host: HostState) -> list[Process]:
    """The processes that check real servers."""
    return [process for process in host.processes if any(words in process.command for words in _CHECKS)]


def program_of(process: Process) -> str:
    """The name of an availability program, such as `lvs-vrrp`; the command line of any other process."""
    programs = _TAKEOVER | _CHECKS
    return next((programs[name] for name in programs if name in process.command), process.command)


def restart_takeover(host: HostState) -> Iterator[str]:
    """The commands that restart the takeover program with its new settings."""
    for process in takeover_of(host):
        yield end_process(process.pid)
    yield START_TAKEOVER


# ---- ARP ----

_ON_CHANGE = {4: "net.ipv4.conf.{}.arp_notify", 6: "net.ipv6.conf.{}.ndisc_notify"}  # a new MAC address

SILENT = (1, 2, 8)  # values of arp_ignore: replies for the receiving interface's own addresses, or none
_SILENT_FOR_HOSTS, _SILENT_FOR_ALL = 3, 8  # 3: no replies for addresses of scope host


def restore_mac(host: HostState, plug: Plug) -> Iterator[str]:
    """The commands that restore the interface's MAC address, and announce it to its neighbours."""
    announces = _ON_CHANGE[host.version].format(plug.interface)
    yield f"sysctl -w {announces}=1"
    yield f"ip link set {plug.interface} address {plug.mac}"
    yield f"sysctl -w {announces}=0"


def resolution_requests(address: str) -> str:
    """What hosts send to learn the MAC address of a neighbour."""
    return "neighbour solicitations" if ":" in address else "ARP requests"


def is_silenced(host: HostState, vip: str, interface: str = "") -> bool:
    """Whether the host does not answer ARP requests for the VIP (or another address) on an interface."""
    lan = interface or host.main.interface
    if ":" in vip:  # neighbour discovery: replies are for addresses of the interface only
        return not any(
            address.address == vip and address.interface == lan and address.works
            for address in host.addresses
        )
    ignore = host.setting("arp_ignore", lan)
    held = [address for address in host.addresses if address.address == vip and address.up]
    if ignore == _SILENT_FOR_HOSTS:
        return all(address.scope in ("host", "link") for address in held) or _is_filtered(host, vip)
    quiet = ignore in SILENT and not any(address.interface == lan for address in held)
    return quiet or ignore == _SILENT_FOR_ALL or _is_filtered(host, vip)


def _is_filtered(host: HostState, vip: str) -> bool:
    """Whether an ARP filter rule drops packets with the VIP."""
    return any(
        rule.family == "arp" and rule.verdict == "drop" and vip in json.dumps(rule.matches)
        for rule in host.filters
    )
