"""Each cause is found where it is, and no other; healthy labs have none."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from classroom.diagnosis import CAUSES
from doctor.causes import diagnose, titles
from doctor.path import differences
from doctor.queries import START_TAKEOVER, link_locals
from doctor.state import (
    FAILED,
    RESET,
    TIMED_OUT,
    WRONG_SERVER,
    Address,
    DirectorState,
    Down,
    HostState,
    LabState,
    Listener,
    Neighbour,
    NextHop,
    Plug,
    PolicyRule,
    Process,
    Route,
    Site,
    SyncDaemon,
    Target,
    TrafficFilter,
)
from tests.unit.doctor.broken import (
    ALL_ARP,
    AT_A_RATE,
    AT_MOST,
    AWAY,
    BPF,
    BY_MARK,
    CLIENT,
    DELETES,
    DENIED,
    DRAIN,
    EXCEPT_SSH,
    FROM_FTP_DATA,
    FROM_HTTP,
    FROM_LO,
    FROM_SERVERS,
    FTP_PORT,
    HALF,
    HEARTBEATS,
    HIGH_PORTS,
    HTTP_PORT,
    IPIP,
    LEGACY,
    LIMIT,
    MARKING,
    NEW_ONES,
    NO_BROADCASTS,
    NO_DATA_CONNECTIONS,
    NO_VRRP,
    NOBODY,
    NOT_FOR_OTHERS,
    NOT_SENT,
    ONLY_PING,
    ONLY_SSH,
    POLICY,
    PSH,
    QUIETS,
    REJECTS,
    SSH_PORT,
    SYNPROXY,
    TO_DATA,
    TO_FTP,
    TODAYS,
    TTL_1,
    TYPE_3,
    VIP,
    answers,
    asks,
    attached,
    both_own_the_vip,
    by_mark,
    by_method,
    connected,
    deleted,
    denied,
    ends_at,
    extra,
    failing,
    files,
    ftp_fails,
    hops_limited,
    inside_client,
    link,
    listening,
    local_route_alone,
    macvlan,
    marked_without_servers,
    next_hop,
    not_local,
    other_mac,
    own_prohibited,
    paired,
    prefix,
    program,
    redirects,
    refused_by,
    renamed,
    routed,
    rule,
    ruled,
    sends_from,
    set_on,
    small_window,
    static,
    stopped,
    stopped_checks,
    stopped_takeover,
    taking,
    two_ports,
    unforwarded,
    weighed,
    with_data,
    with_vip,
    without_checks,
    without_hop,
    without_persistence,
    without_ports,
    without_upcalls,
    without_vip,
)
from tests.unit.doctor.recorded import (
    METHODS,
    director,
    healthy,
    host,
    http,
    http_service,
    on,
    setting,
    without,
)
from tests.unit.doctor.test_causes_ipv6 import IN_IPV6, TWO_IN_IPV6

PAGE = Path(__file__).resolve().parents[3] / "docs" / "doctor.md"


@pytest.mark.parametrize(("method", "name", "address"), [("nat", "rs1", CLIENT), ("dr", "r0", VIP)])
def test_a_local_route_is_deleted_from_the_local_table(method: str, name: str, address: str) -> None:
    (found,) = diagnose(taking(healthy(method), name, address))
    assert found.repair == f"ip route del local {address} table local"


def test_a_director_without_its_control_socket_ends_before_another_starts() -> None:
    process = Process(42, "python start.py lvs-director --method dr", "S")
    state = on(director(healthy("dr"), error="no answer"), "d", processes=(process,))
    (found,) = diagnose(replace(state, director_process=None))
    assert (found.cause, found.repair.splitlines()[0].partition(";")[0]) == ("director_down", "kill 42")


BROKEN: list[tuple[str, str, str, Callable[[LabState], LabState]]] = [
    ("arp_answered", "dr", "rs1", lambda s: setting(s, "rs1", LAN__arp_ignore=0)),
    ("arp_answered", "dr", "rs2", lambda s: with_vip(s, "rs2", interface="rs2-eth0", label="rs2-eth0:0")),
    ("arp_ignore_on_lo", "dr", "rs1", lambda s: setting(s, "rs1", LAN__arp_ignore=0, lo__arp_ignore=1)),
    ("arp_ignore_on_lo", "dr", "rs1", lambda s: setting(s, "rs1", LAN__arp_ignore=0, default__arp_ignore=1)),
    ("arp_announced", "dr", "rs3", lambda s: setting(s, "rs3", LAN__arp_announce=0)),
    ("arp_announced", "dr", "rs3", lambda s: setting(s, "rs3", LAN__arp_announce=1)),
    ("vip_missing", "dr", "rs1", lambda s: without_vip(s, "rs1")),
    (
        "vip_missing",
        "tun",
        "rs1",
        lambda s: extra(without(s, "rs1", VIP), "rs1", "203.0.113.113", 32, "tunl0"),
    ),
    ("vip_missing", "tun", "rs2", lambda s: with_vip(s, "rs2", up=False)),
    ("rp_filter", "tun", "rs1", lambda s: setting(s, "rs1", all__rp_filter=1)),
    ("rp_filter", "tun", "rs1", lambda s: setting(s, "rs1", tunl0__rp_filter=1)),
    ("rp_filter", "tun", "r2", lambda s: on(s, "r2", settings={"conf.r2-eth1.rp_filter": 1})),
    ("no_gateway", "nat", "rs1", lambda s: next_hop(on(s, "rs1", routes=()), "rs1", CLIENT)),
    ("no_gateway", "nat", "rs1", lambda s: next_hop(s, "rs1", CLIENT, "172.16.0.254", "rs1-eth0")),
    ("no_gateway", "dr", "rs1", lambda s: next_hop(s, "rs1", CLIENT, "203.0.113.2", "rs1-eth0")),
    ("no_gateway", "tun", "rs3", lambda s: next_hop(s, "rs3", CLIENT)),
    ("direct_route", "nat", "rs1", lambda s: inside_client(s, "")),
    ("no_service", "nat", "d", lambda s: http(s, port=8080)),
    ("no_service", "dr", "d", lambda s: http(s, port=8080)),
    ("no_service", "tun", "d", lambda s: http(s, protocol="UDP")),
    ("no_service", "dr", "d", lambda s: director(s, services=())),
    ("no_service", "nat", "d", lambda s: http(s, targets=())),
    ("no_service", "dr", "d", marked_without_servers),
    ("no_service", "nat", "d", lambda s: http(s, port=8080, targets=(Target("172.16.0.2", 8080, 1),))),
    ("icmp_filtered", "tun", "r0", lambda s: on(s, "r0", filters=(rule("forward", "drop", TYPE_3),))),
    ("icmp_filtered", "tun", "c1", lambda s: on(s, "c1", filters=(rule("input", "drop", ONLY_PING),))),
    ("persistence", "nat", "d", lambda s: http(s, persistent=300)),
    ("engine_detached", "nat", "d", lambda s: failing(attached(director(s, engine="ebpf"), "d-eth0"))),
    ("engine_detached", "nat", "d", lambda s: failing(without_upcalls(director(s, engine="ebpf")))),
    ("persistence", "tun", "d", lambda s: http(s, persistent=60)),
    ("http_error", "dr", "rs1", lambda s: answers(s, "rs1", FAILED, "HTTP/1.1 404 Not Found")),
    ("http_error", "nat", "rs1", lambda s: answers(s, "rs1", WRONG_SERVER, by="hello")),
    ("http_error", "dr", "rs1", lambda s: on(answers(s, "rs1", RESET, "closed"), "rs1", site=DENIED)),
    ("http_error", "dr", "rs2", lambda s: on(denied(s, "rs2"), "rs2", site=DENIED)),
    ("wrong_program", "dr", "rs1", lambda s: program(answers(s, "rs1", TIMED_OUT), "rs1", "nc")),
    ("wrong_program", "dr", "rs1", lambda s: program(answers(s, "rs1", FAILED, "404"), "rs1", "python3")),
    ("no_space", "tun", "rs2", lambda s: on(s, "rs2", site=Site(unwritable=("/run/x: no space left",)))),
    ("bridge_port", "dr", "rs1", lambda s: failing(link(s, "rs1", master="br0"))),
    ("dest_nat", "dr", "c1", lambda s: on(s, "c1", filters=(rule("output", "dnat 203.0.113.9 81"),))),
    ("dest_nat", "dr", "rs1", lambda s: on(s, "rs1", filters=(AWAY,))),
    ("dest_nat", "nat", "r0", lambda s: ends_at(on(s, "r0", filters=(AT_A_RATE,)), "r0")),
    ("dest_nat", "nat", "rs1", lambda s: ends_at(on(s, "rs1", filters=(AT_A_RATE,)), "rs1")),
    ("dest_nat", "nat", "r0", lambda s: on(s, "r0", filters=(rule("prerouting", "redirect 81"),))),
    ("mac_changed", "dr", "rs1", lambda s: other_mac(s, "rs1", "r0", at=1)),
    ("mac_changed", "nat", "rs2", lambda s: other_mac(s, "rs2", "d", at=1)),
    ("wrong_source", "nat", "c1", lambda s: sends_from(s, "c1", "192.0.2.77")),
    (
        "port_filtered",
        "nat",
        "r0",
        lambda s: ftp_fails(on(s, "r0", filters=(NO_DATA_CONNECTIONS,))),
    ),
    ("port_filtered", "dr", "r0", lambda s: on(s, "r0", filters=(rule("forward", "drop", PSH),))),
    ("port_filtered", "dr", "rs1", lambda s: on(answers(s, "rs1", TIMED_OUT), "rs1", filters=(SYNPROXY,))),
    ("port_filtered", "dr", "c1", lambda s: on(s, "c1", filters=(rule("output", "drop", FTP_PORT),))),
    ("port_filtered", "nat", "r0", lambda s: on(s, "r0", filters=(rule("forward", "drop", FTP_PORT),))),
    ("ftp_apart", "dr", "d", lambda s: ftp_fails(without_persistence(s))),
    ("wrong_rule", "dr", "d", lambda s: http(s, targets=(Target("127.0.0.1", 80, 1),))),
    ("http_error", "dr", "rs1", lambda s: with_data(answers(s, "rs1", WRONG_SERVER, by="rs2"), "rs1")),
    ("http_error", "dr", "rs1", lambda s: on(s, "rs1", site=Site(changed=("line 9: limit_rate 1;",)))),
    ("http_error", "dr", "rs1", lambda s: on(s, "rs1", site=Site("/run/x", altered=("index.html",)))),
    ("port_filtered", "dr", "c1", lambda s: on(s, "c1", filters=(rule("input", "drop", FROM_FTP_DATA),))),
    ("port_filtered", "dr", "c1", lambda s: on(s, "c1", filters=(rule("input", "drop", NEW_ONES),))),
    (
        "port_filtered",
        "dr",
        "rs1",
        lambda s: on(with_data(answers(s, "rs1", TIMED_OUT), "rs1"), "rs1", filters=(AT_MOST,)),
    ),
    ("packet_mangled", "nat", "rs1", lambda s: failing(on(s, "rs1", filters=(MARKING,), rules=(BY_MARK,)))),
    (
        "engine_detached",
        "nat",
        "d",
        lambda s: failing(on(s, "d", filters=(ONLY_SSH,))),
    ),
    ("wrong_rule", "nat", "d", lambda s: http(s, targets=(Target("172.16.0.3", 21, 1),))),
    ("packet_mangled", "dr", "r0", lambda s: failing(on(s, "r0", filters=(TTL_1,)))),
    ("port_filtered", "dr", "rs1", lambda s: on(s, "rs1", filters=EXCEPT_SSH)),
    ("port_filtered", "dr", "rs3", lambda s: refused_by(on(s, "rs3", filters=(REJECTS,)), "rs3")),
    (
        "port_filtered",
        "dr",
        "rs2",
        lambda s: on(s, "rs2", filters=(rule("ingress", "fwd", family="netdev"),)),
    ),
    ("port_filtered", "nat", "d", lambda s: on(s, "d", filters=(rule("egress", "drop", family="netdev"),))),
    ("short_timeout", "dr", "d", lambda s: director(s, timeouts={"tcp": 2, "tcpfin": 120, "udp": 300})),
    ("server_deleted", "nat", "d", lambda s: connected(deleted(s), "172.16.0.2:80")),
    ("server_deleted", "nat", "d", lambda s: on(s, "d", scripts={"drain.sh": DRAIN + DELETES})),
    ("server_deleted", "nat", "d", lambda s: on(s, "d", scripts={"drain.sh": DRAIN + TODAYS})),
    ("no_ftp_helper", "nat", "d", lambda s: director(s, ftp_helper=False)),
    ("ports_apart", "dr", "d", two_ports),
    ("ports_apart", "tun", "d", lambda s: two_ports(s, persistent=300)),
    ("ports_apart", "dr", "d", lambda s: by_mark(s, 2)),
    ("checksum_offload", "nat", "rs1", lambda s: on(s, "rs1", offloads={"rs1-eth0": True})),
    ("checksum_offload", "dr", "c1", lambda s: on(s, "c1", offloads={"c1-eth0": True})),
    ("ip_forward", "nat", "d", lambda s: setting(s, "d", ip_forward=1, **{"d-eth1__forwarding": 1})),
    ("port_remapped", "dr", "rs2", lambda s: listening(s, "rs2", 21, 8000)),
    ("port_remapped", "tun", "rs2", lambda s: listening(s, "rs2", 21, 8000)),
    (
        "port_remapped",
        "dr",
        "d",
        lambda s: on(
            http(s, targets=(Target("203.0.113.12", 80, 1),)),
            "d",
            scripts={"rules.sh": "ippfvsadm -A -t 203.0.113.1:80 -R 203.0.113.11:8080"},
        ),
    ),
    ("link_down", "dr", "rs1", lambda s: link(s, "rs1", up=False)),
    ("link_down", "nat", "d", lambda s: link(s, "d", 1, carrier=False)),
    ("link_down", "tun", "c1", lambda s: on(s, "c1", links=host(s, "d").links)),
    ("link_down", "dr", "rs1", lambda s: next_hop(link(s, "rs1", up=False), "rs1", CLIENT)),
    ("arp_off", "dr", "d", lambda s: link(s, "d", arp=False)),
    # The kernel then takes the interface's own MAC address for that of every neighbour.
    (
        "arp_off",
        "dr",
        "rs1",
        lambda s: static(
            link(s, "rs1", arp=False), "rs1", "203.0.113.254", "02:00:cb:00:71:0b", state_of="NOARP"
        ),
    ),
    (
        "arp_off",
        "dr",
        "rs2",
        lambda s: ends_at(on(s, "rs2", settings={"neigh.rs2-eth0.mcast_solicit": 0}), "rs2"),
    ),
    ("arp_off", "dr", "rs2", lambda s: ends_at(link(s, "rs2", broadcast="02:00:00:00:00:01"), "rs2")),
    (
        "address_missing",
        "nat",
        "rs1",
        lambda s: on(s, "rs1", addresses=(Address("rs1-eth0", "172.16.0.22", 24),)),
    ),
    ("wrong_netmask", "dr", "c1", lambda s: next_hop(prefix(s, "c1", 4), "c1", VIP, "", "c1-eth0")),
    ("wrong_netmask", "dr", "rs1", lambda s: next_hop(prefix(s, "rs1", 31), "rs1", CLIENT)),
    ("wrong_netmask", "nat", "r0", lambda s: next_hop(prefix(s, "r0", 25, 1), "r0", VIP)),
    ("wrong_netmask", "dr", "rs1", lambda s: with_vip(s, "rs1", prefix=24)),
    ("wrong_netmask", "tun", "rs1", lambda s: with_vip(s, "rs1", prefix=4)),
    ("duplicate_address", "dr", "rs2", lambda s: extra(s, "rs2", "203.0.113.11", 24)),
    ("duplicate_address", "nat", "rs1", lambda s: extra(s, "rs1", "172.16.0.1", 32, "lo")),
    ("duplicate_address", "tun", "r0", lambda s: extra(s, "r0", VIP, 32, "lo")),
    ("duplicate_address", "tun", "rs1", lambda s: extra(s, "rs1", CLIENT, 32, "lo")),
    ("wrong_neighbour", "dr", "r0", lambda s: static(s, "r0", VIP, "02:00:cb:00:71:0b", 1)),
    ("wrong_neighbour", "nat", "rs1", lambda s: static(s, "rs1", "172.16.0.1", NOBODY)),
    ("wrong_neighbour", "nat", "d", lambda s: static(s, "d", "172.16.0.2", NOBODY, 1)),
    (
        "wrong_neighbour",
        "nat",
        "d",
        lambda s: static(director(s, engine="ebpf"), "d", "172.16.0.2", NOBODY, 1),
    ),
    (
        "proxy_arp",
        "dr",
        "rs1",
        lambda s: setting(s, "rs1", LAN__forwarding=1, LAN__proxy_arp_pvlan=1),
    ),
    (
        "proxy_arp",
        "dr",
        "r0",
        lambda s: routed(
            setting(s, "r0", all__proxy_arp=1),
            "r0",
            "203.0.113.11",
            "",
            "r0-eth0",
            Route("203.0.113.11", "", "r0-eth0"),
        ),
    ),
    ("no_route", "nat", "d", lambda s: next_hop(s, "d", CLIENT)),
    ("no_route", "dr", "c1", lambda s: next_hop(s, "c1", VIP)),
    ("no_route", "nat", "c1", lambda s: taking(s, "c1", VIP)),
    ("no_route", "tun", "r0", lambda s: taking(s, "r0", VIP)),
    ("no_gateway", "nat", "rs1", lambda s: taking(s, "rs1", CLIENT)),
    ("no_route", "tun", "r0", lambda s: on(s, "r0", routes=host(s, "r0").routes[-1:], next_hops=())),
    (
        "no_route",
        "dr",
        "r0",
        lambda s: routed(s, "r0", VIP, "", "", Route(VIP, "", "", "blackhole")),
    ),
    ("router_forwarding", "nat", "r0", lambda s: setting(s, "r0", ip_forward=0, LAN__forwarding=0)),
    (
        "router_forwarding",
        "dr",
        "r0",
        lambda s: unforwarded(setting(s, "r0", ip_forward=0, LAN__forwarding=0), "r0"),
    ),
    ("rp_filter", "tun", "r2", lambda s: unforwarded(set_on(s, "r2", "conf.r2-eth1.rp_filter"), "r2")),
    ("router_forwarding", "tun", "r2", lambda s: setting(s, "r2", **{"r2-eth1__forwarding": 0})),
    ("port_filtered", "dr", "rs1", lambda s: on(s, "rs1", filters=(rule("input", "drop", HTTP_PORT),))),
    ("port_filtered", "nat", "rs2", lambda s: on(s, "rs2", filters=(rule("input", "reject", HIGH_PORTS),))),
    ("port_filtered", "tun", "rs1", lambda s: on(s, "rs1", filters=(rule("input", "drop", IPIP),))),
    ("port_filtered", "tun", "r2", lambda s: on(s, "r2", filters=(rule("forward", "drop", IPIP),))),
    ("port_filtered", "nat", "r0", lambda s: on(s, "r0", filters=(rule("forward", "drop", HTTP_PORT),))),
    ("port_filtered", "dr", "c1", lambda s: on(s, "c1", filters=(rule("input", "drop", FROM_HTTP),))),
    (
        "port_filtered",
        "dr",
        "rs1",
        lambda s: on(s, "rs1", filters=(replace(rule("input", "drop"), handle=0),)),
    ),
    (
        "port_filtered",
        "nat",
        "d",
        lambda s: on(director(s, engine="ipvs"), "d", filters=(rule("input", "drop", HTTP_PORT),)),
    ),
    (
        "source_nat",
        "dr",
        "r0",
        lambda s: on(s, "r0", filters=(rule("postrouting", "snat 203.0.113.200"),)),
    ),
    (
        "source_nat",
        "nat",
        "d",
        lambda s: on(director(s, engine="ipvs"), "d", filters=(rule("postrouting", "masquerade"),)),
    ),
    ("small_mtu", "dr", "r0", lambda s: link(s, "r0", 1, mtu=1400)),
    ("small_mtu", "nat", "d", lambda s: link(s, "d", 1, mtu=1400)),
    ("small_mtu", "tun", "rs1", lambda s: link(s, "rs1", mtu=1400)),
    ("slow_link", "dr", "rs1", lambda s: failing(link(s, "rs1", qdisc="tbf"))),
    ("slow_link", "dr", "rs3", lambda s: ends_at(link(s, "rs3", qdisc="pfifo"), "rs3")),
    ("short_ttl", "dr", "c1", lambda s: setting(s, "c1", ip_default_ttl=1)),
    ("short_ttl", "dr", "c1", lambda s: hops_limited(s, "c1", VIP)),
    ("short_ttl", "nat", "rs1", lambda s: setting(s, "rs1", ip_default_ttl=2)),
    ("director_vip", "dr", "d", lambda s: without_vip(s, "d")),
    ("director_vip", "nat", "d", lambda s: setting(s, "d", all__arp_ignore=8)),
    (
        "director_vip",
        "tun",
        "d",
        lambda s: on(s, "d", filters=(rule("input", "drop", {"match": {"right": VIP}}, family="arp"),)),
    ),
    (
        "director_down",
        "nat",
        "d",
        lambda s: replace(director(s, services=(), error="no director"), director_process=None),
    ),
    ("frozen", "dr", "rs1", lambda s: stopped(s, "rs1")),
    ("frozen", "tun", "rs1", lambda s: on(s, "rs1", processes=(Process(9, "tunl0", "T", tunnel=True),))),
    (
        "frozen",
        "nat",
        "d",
        lambda s: replace(
            director(s, services=(), error="no answer"), director_process=Process(7, "director", "T")
        ),
    ),
    ("wrong_rule", "nat", "d", lambda s: http(s, targets=(Target("172.16.0.3", 80, 1),))),
    ("wrong_rule", "nat", "d", lambda s: http(s, targets=(Target("172.16.0.9", 80, 1),))),
    ("wrong_rule", "dr", "d", lambda s: http(s, targets=(Target("203.0.113.99", 80, 1),))),
    ("wrong_rule", "dr", "d", lambda s: http(s, targets=(Target("203.0.113.254", 80, 1),))),
    ("quiesced", "nat", "d", lambda s: http(s, targets=weighed(s, 0, 0, 0))),
    ("quiesced", "dr", "d", lambda s: http(s, targets=(Target("203.0.113.11", 80, 1, "Route", 2, 0, 1, 1),))),
    ("table_full", "nat", "d", lambda s: director(s, entries=8, limit=8)),
    ("drop_packet", "dr", "d", lambda s: director(s, sysctls={"drop_packet": 3, "am_droprate": 1})),
    ("arp_filtered", "dr", "rs1", lambda s: on(s, "rs1", filters=(ALL_ARP,))),
    ("arp_filtered", "nat", "d", lambda s: on(s, "d", filters=(replace(ALL_ARP, handle=0),))),
    ("duplicate_mac", "dr", "rs3", lambda s: link(s, "rs3", mac="02:00:cb:00:71:0b")),
    ("wrong_method", "dr", "d", lambda s: http(s, targets=by_method(s, "Masq"))),
    ("wrong_method", "nat", "d", lambda s: http(s, targets=by_method(s, "Route"))),
    ("wrong_method", "tun", "d", lambda s: http(s, targets=by_method(s, "Route"))),
    ("tc_filter", "dr", "rs1", lambda s: on(ends_at(s, "rs1"), "rs1", traffic_filters=(BPF,))),
    ("no_files", "dr", "rs2", lambda s: files(s, "rs2", 8, 8)),
    ("no_files", "dr", "d", lambda s: replace(s, director_process=Process(7, "lvs", "S", files=9, most=5))),
    ("link_down", "dr", "rs2", lambda s: renamed(s, "rs2")),
    ("small_mtu", "dr", "rs2", lambda s: link(s, "rs2", mtu=68)),
    ("port_filtered", "dr", "rs1", lambda s: on(s, "rs1", filters=(rule("input", "drop", HALF),))),
    (
        "port_filtered",
        "dr",
        "rs1",
        lambda s: on(ends_at(s, "rs1"), "rs1", filters=(rule("input", "drop", LIMIT),)),
    ),
    (
        "not_listening",
        "nat",
        "rs1",
        lambda s: on(s, "rs1", filters=(rule("prerouting", "redirect 81", HTTP_PORT),)),
    ),
    (
        "not_listening",  # of some connections only
        "tun",
        "rs1",
        lambda s: on(
            ends_at(s, "rs1"), "rs1", filters=(rule("prerouting", "redirect 81", HTTP_PORT, LIMIT),)
        ),
    ),
    (
        "no_gateway",
        "dr",
        "rs1",
        lambda s: on(
            s,
            "rs1",
            rules=(PolicyRule(100, f"from {VIP} lookup 77"),),
            next_hops=(*without_hop(s, "rs1", CLIENT, VIP), NextHop(CLIENT, source=VIP)),
        ),
    ),
    ("not_listening", "dr", "rs2", lambda s: listening(s, "rs2", 21)),
    ("not_listening", "nat", "rs2", lambda s: listening(s, "rs2", 21, 80)),
    (
        "not_listening",
        "tun",
        "rs1",
        lambda s: on(s, "rs1", listeners=(Listener("TCP", "0.0.0.0", 21), Listener("TCP", "192.0.2.2", 80))),
    ),
    (
        "policy_rule",
        "dr",
        "r0",
        lambda s: ruled(s, "r0", f"from all to {VIP} ipproto tcp dport 21 blackhole", TO_FTP),
    ),
    (
        "policy_rule",
        "dr",
        "c1",
        lambda s: ruled(s, "c1", "from all ipproto tcp dport 20-21 lookup 77", NOT_SENT),
    ),
    ("policy_rule", "dr", "rs1", lambda s: ruled(s, "rs1", "from all sport 30000-30999 prohibit", TO_DATA)),
    ("policy_rule", "tun", "rs2", lambda s: ruled(s, "rs2", "from all sport 21 prohibit", TO_FTP)),
    (
        "policy_rule",
        "tun",
        "r2",
        lambda s: ruled(s, "r2", "from all ipproto ipencap unreachable", TO_FTP, tunnel="192.0.2.34"),
    ),
    (
        "policy_rule",
        "dr",
        "c1",
        lambda s: asks(ruled(s, "c1", "from all dport 21 lookup 77", NOT_SENT), "c1"),
    ),
    ("xdp_program", "dr", "rs1", lambda s: failing(link(s, "rs1", xdp=7))),
    (
        "ipsec_policy",
        "nat",
        "rs2",
        lambda s: on(ends_at(s, "rs2"), "rs2", ipsec=("src 0.0.0.0/0 action block",)),
    ),
    ("iptables_rule", "dr", "r0", lambda s: on(ends_at(s, "r0"), "r0", legacy_rules=(f"{LEGACY} -j DROP",))),
    ("engine_detached", "dr", "d", lambda s: failing(on(s, "d", filters=()))),
    ("engine_detached", "dr", "d", lambda s: failing(director(s, engine="ebpf"))),
    ("http_error", "dr", "rs1", lambda s: on(s, "rs1", site=Site("/run/x", missing=("index.html",)))),
    ("http_error", "dr", "rs1", lambda s: on(s, "rs1", site=Site(changed=("line 8: send_timeout 1ms;",)))),
    ("two_masters", "ha", "d2", lambda s: both_own_the_vip(s)),
    ("two_masters", "ha", "d2", lambda s: on(both_own_the_vip(s), "d2", filters=(NO_VRRP,))),
    ("two_masters", "ha", "d1", lambda s: link(both_own_the_vip(s), "d1", qdisc="pfifo")),
    (
        "two_masters",
        "ha",
        "d2",
        lambda s: on(both_own_the_vip(s), "d2", traffic_filters=(TrafficFilter("d2-eth0", "ingress", "x"),)),
    ),
    (
        "two_masters",
        "ha",
        "d2",
        lambda s: on(
            both_own_the_vip(replace(s, pair=tuple(replace(member, settings={}) for member in s.pair))),
            "d2",
            filters=(rule("input", "drop", HEARTBEATS),),
        ),
    ),
    ("takeover_differs", "ha", "d2", lambda s: paired(s, "d2", settings={"advert_int": "2"})),
    (
        "takeover_differs",
        "ha",
        "d2",
        lambda s: paired(
            both_own_the_vip(s), "d2", settings={"virtual_ipaddress": "203.0.113.1 203.0.113.9"}
        ),
    ),
    ("takeover_down", "ha", "d1", lambda s: on(s, "d1", processes=host(s, "d1").processes[:3])),
    ("checks_down", "ha", "d2", lambda s: on(s, "d2", processes=without_checks(s, "d2"))),
    (
        "sync_differs",
        "ha",
        "d2",
        lambda s: paired(s, "d2", daemons=(SyncDaemon("backup", "d2-eth0", 51),)),
    ),
    ("sync_differs", "ha", "d1", lambda s: paired(s, "d1", daemons=(SyncDaemon("master", "d1-eth1", 7),))),
    (
        "garp_lost",
        "ha",
        "r0",
        lambda s: on(s, "r0", neighbours=(Neighbour(VIP, "r0-eth1", "02:00:cb:00:71:03", "STALE"),)),
    ),
    (
        "check_wrong",
        "ha",
        "d1",
        lambda s: paired(s, "d1", path="/nowhere", down=(Down("203.0.113.11", 80, "status 404"),)),
    ),
    (
        "garp_lost",
        "ha",
        "r0",
        lambda s: on(s, "r0", filters=(NOT_FOR_OTHERS,)),
    ),
    (
        "garp_lost",
        "ha",
        "r0",
        lambda s: on(s, "r0", filters=(NO_BROADCASTS,)),
    ),
    ("garp_lost", "ha", "r0", lambda s: set_on(s, "r0", "conf.r0-eth1.drop_gratuitous_arp")),
    ("frozen", "ha", "d2", lambda s: stopped_takeover(s, "d2")),
    ("frozen", "ha", "d1", lambda s: stopped_checks(s, "d1")),
    ("director_down", "ha", "d2", lambda s: paired(s, "d2", process=None, director=DirectorState(error="x"))),
    ("small_window", "dr", "c1", lambda s: small_window(s, "c1", 70)),
    ("small_window", "nat", "rs2", lambda s: small_window(s, "rs2", 70)),
    ("no_ports", "dr", "c1", lambda s: without_ports(s, "32768 60999", "32768-50000,50001-60999")),
    ("no_ports", "nat", "c1", lambda s: without_ports(s, "40000 40000")),
    ("local_route", "dr", "rs1", lambda s: not_local(s, "rs1", VIP)),
    ("local_route", "nat", "c1", lambda s: not_local(s, "c1", CLIENT)),
]
HARMLESS: list[tuple[str, str, Callable[[LabState], LabState]]] = [
    (
        "who has been asked need not ask",
        "nat",
        lambda s: on(s, "rs1", settings={"neigh.rs1-eth0.mcast_solicit": 0}),
    ),
    ("a timeout of seconds", "dr", lambda s: on(s, "rs1", site=Site(changed=("line 8: send_timeout 9s;",)))),
    ("a window of several segments", "dr", lambda s: small_window(s, "c1", 14_600)),
    ("a small window of a router", "dr", lambda s: small_window(s, "r0", 70)),
    (
        "few ports, and nobody lacks one",
        "dr",
        lambda s: replace(without_ports(s, "40000 40001"), trials=s.trials),
    ),
    ("lo down: its local routes stay", "dr", lambda s: with_vip(s, "rs1", up=False)),
    ("a local route instead of the VIP", "dr", local_route_alone),
    ("a router's rule for packets of its own: iif lo prohibit", "dr", lambda s: own_prohibited(s, "r0")),
    ("arp_ignore for all", "dr", lambda s: setting(s, "rs1", LAN__arp_ignore=0, all__arp_ignore=1)),
    ("arp_ignore 2", "dr", lambda s: setting(s, "rs1", LAN__arp_ignore=2)),
    (
        "scope host and arp_ignore 3",
        "dr",
        lambda s: setting(with_vip(s, "rs1", scope="host"), "rs1", LAN__arp_ignore=3),
    ),
    (
        "a filter of ARP",
        "dr",
        lambda s: setting(
            on(s, "rs1", filters=(rule("input", "drop", {"match": {"right": VIP}}, family="arp"),)),
            "rs1",
            LAN__arp_ignore=0,
        ),
    ),
    ("no router asks there", "tun", lambda s: setting(s, "rs1", LAN__arp_ignore=0, LAN__arp_announce=0)),
    ("loose", "tun", lambda s: setting(s, "rs1", all__rp_filter=1, tunl0__rp_filter=2)),
    ("strict where the way is", "tun", lambda s: setting(s, "rs1", LAN__rp_filter=1)),
    ("strict, one interface", "dr", lambda s: setting(s, "rs1", all__rp_filter=1)),
    (
        "another address as well",
        "nat",
        lambda s: on(s, "rs1", addresses=(*host(s, "rs1").addresses, Address("rs1-eth0", "172.16.0.77", 24))),
    ),
    (
        "the clients' network alone",
        "nat",
        lambda s: on(s, "rs1", routes=(Route("198.51.100.0/24", "172.16.0.1", "rs1-eth0"),)),
    ),
    ("a client inside, by the director", "nat", lambda s: inside_client(s, "172.16.0.1")),
    ("http by a mark", "dr", lambda s: by_mark(s, 1)),
    ("all ports", "dr", lambda s: director(s, services=(replace(http_service(s), port=0),))),
    ("by the client", "dr", lambda s: two_ports(http(s, scheduler="sh"), scheduler="sh")),
    ("a filter", "tun", lambda s: on(s, "c1", filters=(rule("output", "drop", TYPE_3),))),
    (
        "such messages matter in VS-TUN",
        "nat",
        lambda s: on(s, "r0", filters=(rule("forward", "drop", TYPE_3),)),
    ),
    ("a minute", "nat", lambda s: director(s, timeouts={"tcp": 60, "tcpfin": 5, "udp": 5})),
    ("drained", "nat", lambda s: on(s, "d", scripts={"drain.sh": DRAIN + QUIETS + DELETES})),
    ("it had ended", "nat", lambda s: connected(deleted(s), "172.16.0.2:80", "TIME_WAIT")),
    (
        "no ftp",
        "nat",
        lambda s: director(http(s, scheduler="rr"), ftp_helper=False, services=s.director.services[:1]),
    ),
    ("the helper is for VS-NAT", "dr", lambda s: director(s, ftp_helper=False)),
    ("lo", "nat", lambda s: on(s, "rs1", offloads={"lo": True})),
    (
        "filtered",
        "nat",
        lambda s: on(
            setting(s, "d", ip_forward=1, **{"d-eth1__forwarding": 1}),
            "d",
            filters=(rule("prerouting", "drop", FROM_SERVERS),),
        ),
    ),
    (
        "kernel IPVS",
        "nat",
        lambda s: on(
            director(setting(s, "d", ip_forward=1, **{"d-eth1__forwarding": 1}), engine="ipvs"),
            "d",
            filters=(),  # that of the other engines
        ),
    ),
    ("no forwarding in VS-DR", "dr", lambda s: setting(s, "d", ip_forward=1, **{"d-eth0__forwarding": 1})),
    (
        "redirected",
        "dr",
        lambda s: on(
            listening(s, "rs2", 21, 8000), "rs2", filters=(rule("prerouting", "redirect 8000", HTTP_PORT),)
        ),
    ),
    ("a redirected port in VS-NAT", "nat", lambda s: redirects(listening(s, "rs1", 21, 8000), "rs1")),
    (
        "a filter that the engine bypasses",
        "nat",
        lambda s: on(s, "d", filters=(rule("input", "drop", HTTP_PORT),)),
    ),
    ("a filter of another port", "dr", lambda s: on(s, "rs1", filters=(rule("input", "drop", SSH_PORT),))),
    ("a rate that no trial exceeded", "dr", lambda s: on(s, "rs1", filters=(rule("input", "drop", LIMIT),))),
    ("a filter of tc that nobody meets", "dr", lambda s: on(s, "rs1", traffic_filters=(BPF,))),
    ("a rule of policy routing that leads the same way", "dr", lambda s: on(s, "rs1", rules=(POLICY,))),
    ("many files", "dr", lambda s: files(s, "rs2", 8, 1024)),
    ("a limit that is not known", "dr", lambda s: files(s, "rs2", 8, 0)),
    ("a bridge that hurts nobody", "dr", lambda s: link(s, "rs1", master="br0")),
    ("a TTL that is set, and nobody fails", "dr", lambda s: on(s, "r0", filters=(TTL_1,))),
    ("another MAC address that everybody knows", "dr", lambda s: link(s, "rs1", mac=NOBODY)),
    (
        "another MAC address, and another fault",
        "dr",
        lambda s: failing(link(s, "rs1", mac=NOBODY)),
    ),
    ("another source in the same network", "dr", lambda s: sends_from(s, "c1", "198.51.100.120")),
    ("a source that is answered", "dr", lambda s: replace(sends_from(s, "c1", "192.0.2.77"), trials=())),
    (
        "a filter of ports that nobody uses",
        "dr",
        lambda s: on(s, "r0", filters=(NO_DATA_CONNECTIONS,)),
    ),
    ("an answering filter that works", "dr", lambda s: on(s, "rs1", filters=(SYNPROXY,))),
    (
        "a mark by which no policy rule chooses",
        "nat",
        lambda s: failing(on(s, "rs1", filters=(MARKING,), rules=(POLICY,))),
    ),
    ("a macvlan's MAC address", "dr", lambda s: static(macvlan(s, "rs1"), "r0", "203.0.113.11", NOBODY, 1)),
    ("another server answers", "nat", lambda s: answers(s, "rs1", WRONG_SERVER, by="rs2")),
    ("a configuration that serves", "dr", lambda s: on(s, "rs1", site=DENIED)),
    ("a program that serves", "dr", lambda s: program(s, "rs1", "haproxy")),
    ("a filter of lo", "dr", lambda s: on(s, "rs1", filters=(rule("input", "drop", FROM_LO, HTTP_PORT),))),
    (
        "source NAT that the engine bypasses",
        "nat",
        lambda s: on(s, "d", filters=(rule("postrouting", "masquerade"),)),
    ),
    ("masquerading", "dr", lambda s: on(s, "r0", filters=(rule("postrouting", "masquerade"),))),
    ("a smaller MTU of an end", "dr", lambda s: link(s, "rs1", mtu=1400)),
    (
        "a smaller MTU of all",
        "nat",
        lambda s: link(link(link(s, "d", mtu=1400), "r0", mtu=1400, at=1), "rs1"),
    ),
    ("proxy ARP between two segments", "dr", lambda s: setting(s, "r0", all__proxy_arp=1)),
    ("proxy ARP without forwarding", "dr", lambda s: setting(s, "rs1", LAN__proxy_arp_pvlan=1)),
    ("the right static neighbour", "dr", lambda s: static(s, "r0", VIP, "02:00:cb:00:71:02", 1)),
    ("learnt, not static", "dr", lambda s: static(s, "r0", VIP, NOBODY, 1, state_of="STALE")),
    (
        "an ARP table of its own",
        "nat",
        lambda s: static(s, "d", "172.16.0.2", NOBODY, 1, state_of="NOARP"),
    ),
    ("one server quiesced", "nat", lambda s: http(s, targets=weighed(s, 1, 0, 1))),
    ("a lower MTU of nobody's concern", "nat", lambda s: link(s, "c1", mtu=1280)),
    ("no default route where none is needed", "dr", lambda s: next_hop(s, "d", CLIENT)),
    ("a netmask that leads the same way", "nat", lambda s: prefix(s, "rs1", 28)),
    ("the VIP with a network in VS-TUN", "tun", lambda s: with_vip(s, "rs1", prefix=24)),
    (
        "a rule for the packets of others",
        "dr",
        lambda s: ruled(s, "r0", "from 192.0.2.7 sport 22 prohibit", TO_FTP),
    ),
    (
        "a rule behind main",
        "dr",
        lambda s: ruled(s, "r0", "from all dport 21 prohibit", TO_FTP, priority=40000),
    ),
    ("a rule that changes nothing", "dr", lambda s: ruled(s, "r0", "from all dport 21 lookup main", TO_FTP)),
    (
        "a rule where nothing ends",
        "dr",
        lambda s: on(s, "r0", rules=(PolicyRule(9, "from all dport 21 lookup 7"),)),
    ),
    ("persistence for all ports", "dr", lambda s: http(s, persistent=60, port=0)),
    (
        "a program on each interface",
        "nat",
        lambda s: failing(attached(director(s, engine="ebpf"), "d-eth0", "d-eth1")),
    ),
    ("another address", "dr", lambda s: extra(s, "c2", "10.9.9.9", 24)),
    (
        "a program on lo of the director",
        "nat",
        lambda s: http(listening(s, "d", 8080), targets=(Target("127.0.0.1", 8080, 1),)),
    ),
    ("a distant client", "nat", lambda s: failing(link(s, "c1", qdisc="netem"))),
    ("the director's own httpd", "nat", lambda s: http(s, targets=(Target("203.0.113.2", 8080, 1),))),
    ("a defence that waits", "nat", lambda s: director(s, sysctls={"drop_packet": 1, "am_droprate": 10})),
    ("a table that is nearly full", "nat", lambda s: director(s, entries=99, limit=100)),
    ("an impaired client that is served", "nat", lambda s: link(s, "c1", qdisc="netem")),
    ("a TTL for every way", "nat", lambda s: setting(s, "c1", ip_default_ttl=3)),
    ("a director of which nothing is known", "nat", lambda s: director(s, error="no answer")),
]


def test_checks_that_remove_a_server_with_its_connections_are_named_beside_a_check_that_is_wrong() -> None:
    """As in e27: the page of the checks is gone, the server still serves, and its connections hang."""
    state = healthy("ha")
    targets = tuple(target for target in http_service(state).targets if target.address != "203.0.113.11")
    state = connected(http(state, targets=targets), "203.0.113.11:80")
    down = Down("203.0.113.11", 80, "status 404")
    found = {cause.cause: cause for cause in diagnose(paired(state, "d1", path="/index.html", down=(down,)))}
    assert list(found) == ["check_wrong", "server_deleted"]
    assert "deleted by the health checks" in found["server_deleted"].evidence
    repair = found["server_deleted"].repair
    assert "on d1" in repair
    assert "\\n    inhibit_on_failure/' keepalived.conf" in repair
    assert "pkill -HUP" in repair
    assert "-w 0" not in repair


@pytest.mark.parametrize("method", METHODS)
def test_a_healthy_lab_has_no_cause(method: str) -> None:
    assert diagnose(healthy(method)) == []


@pytest.mark.parametrize(("cause", "method", "place", "change"), BROKEN)
def test_each_cause_is_found_and_nothing_else(
    cause: str, method: str, place: str, change: Callable[[LabState], LabState]
) -> None:
    found = diagnose(change(healthy(method)))
    assert [(named.cause, named.host) for named in found] == [(cause, place)]
    assert all((found[0].evidence, found[0].why, found[0].repair))


@pytest.mark.parametrize(
    ("lab", "change"),
    [
        # The client of direct_route's state has no routes at all.
        *((method, change) for cause, method, _, change in BROKEN if cause != "direct_route"),
        *(("dr6", change) for _, _, change in IN_IPV6),
        *(("ha6", change) for _, _, change, _ in TWO_IN_IPV6),
    ],
)
def test_what_follows_from_a_cause_is_not_shown_as_another_fault(
    lab: str, change: Callable[[LabState], LabState]
) -> None:
    state = change(healthy(lab))
    explained = {host for cause in diagnose(state) for host in (cause.host, *cause.affects)}
    assert {difference.host for difference in differences(state)} <= explained


def test_an_interface_that_is_gone_has_no_link_local_address() -> None:
    router = HostState("r0", "router", (Plug("r0-eth1", "lan", "fd00::1", 64),))
    assert list(link_locals(router, router.plugs[0])) == []


@pytest.mark.parametrize(
    ("method", "change"), [entry[1:] for entry in HARMLESS], ids=[entry[0] for entry in HARMLESS]
)
def test_a_harmless_change_is_not_a_cause(method: str, change: Callable[[LabState], LabState]) -> None:
    assert diagnose(change(healthy(method))) == []


@pytest.mark.parametrize("change", [small_window, hops_limited])
def test_a_metric_is_removed_from_the_route_that_is_used(
    change: Callable[[LabState, str, Any], LabState],
) -> None:
    """Which is not always the default route."""
    state = change(healthy("dr"), "c1", 70 if change is small_window else VIP)
    more = Route("203.0.113.0/24", "198.51.100.254", "c1-eth0")
    (found,) = diagnose(on(state, "c1", routes=(*host(state, "c1").routes, more)))
    assert found.repair == f"ip route replace {more}"


@pytest.mark.parametrize(("lab", "command"), [("dr", "ip rule"), ("dr6", "ip -6 rule")])
def test_policy_rules_are_restored_before_others_are_deleted(lab: str, command: str) -> None:
    """Table local is consulted after two rules that somebody has added."""
    state = healthy(lab)
    moved = PolicyRule(30, "from all iif rs1-eth0 blackhole"), PolicyRule(40, "from all lookup local")
    (found,) = diagnose(not_local(state, "rs1", state.vip, *moved))
    assert (found.cause, found.host) == ("local_route", "rs1")
    assert found.repair.splitlines() == [
        f"{command} add priority 0 from all lookup local",
        f"{command} del priority 30",
        f"{command} del priority 40",
    ]


def test_local_routes_are_restored() -> None:
    assert [
        repair
        for lab in ("dr", "dr6")
        for cause in diagnose(not_local(healthy(lab), "rs1", healthy(lab).vip))
        for repair in cause.repair.splitlines()
        if "203.0.113.1 " in repair or "multicast" in repair
    ] == [
        "ip route replace local 203.0.113.1 dev lo table local proto kernel scope host src 203.0.113.1",
        "ip route replace multicast ff00::/8 dev rs1-eth0 table local",
    ]


def test_every_cause_is_tested() -> None:
    assert {broken[0] for broken in (*BROKEN, *IN_IPV6)} | {"packet_too_big_filtered"} == set(CAUSES)


def test_two_healthy_directors_have_no_cause() -> None:
    state = healthy("ha")
    assert diagnose(state) == []
    assert (state.active, state.vip_owners, state.director_host.name) == ("d1", ("d1",), "d1")
    assert [member.name for member in state.pair] == ["d1", "d2"]


def test_a_director_without_power_needs_its_cables_first() -> None:
    dead = paired(healthy("ha"), "d2", process=None, director=DirectorState(error="x"))
    state = link(link(dead, "d2", up=False), "d2", at=1, up=False)
    assert {(cause.cause, cause.host) for cause in diagnose(state)} == {("link_down", "d2")}
    assert {cause.cause for cause in diagnose(link(dead, "d2", up=False))} == {"link_down", "director_down"}


def test_the_filter_between_two_masters_is_deleted() -> None:
    (found,) = diagnose(on(both_own_the_vip(healthy("ha")), "d2", filters=(NO_VRRP,)))
    assert found.repair == "nft delete rule ip f c handle 5"


def test_two_masters_between_which_nothing_is_filtered() -> None:
    """The one to which the router does not send starts again, hears the other, and gives way."""
    (found,) = diagnose(both_own_the_vip(healthy("ha")))
    assert found.host == "d2"
    assert found.repair.splitlines()[-1] == START_TAKEOVER


def test_what_keeps_gratuitous_arp_out_is_removed() -> None:
    state = on(healthy("ha"), "r0", filters=(NOT_FOR_OTHERS,))
    (found,) = diagnose(set_on(state, "r0", "conf.r0-eth1.drop_gratuitous_arp"))
    assert found.repair.splitlines() == [
        "nft delete rule arp f c handle 5",
        "sysctl -w net.ipv4.conf.all.drop_gratuitous_arp=0",
        "sysctl -w net.ipv4.conf.r0-eth1.drop_gratuitous_arp=0",
        f"ip neigh flush to {VIP} dev r0-eth1",
    ]


def test_a_check_of_another_port_is_deleted() -> None:
    down = (Down("203.0.113.11", 80, "connection refused"),)
    (found,) = diagnose(paired(healthy("ha"), "d1", other_ports=(8080,), down=down))
    assert found.repair.splitlines()[0] == "sed -i '/^ *connect_port 8080$/d' keepalived.conf"
    assert "path" not in found.repair


def test_a_server_that_does_not_serve_is_taken_out_rightly() -> None:
    down = (Down("203.0.113.11", 80, "connection refused"),)
    state = replace(paired(healthy("ha"), "d1", down=down), trials=())
    assert diagnose(state) == []


def test_a_cause_explains_others_that_exist() -> None:
    for name in titles():
        explained = getattr(import_module(f"doctor.causes.{name}"), "EXPLAINS", ())
        assert set(explained) <= set(titles()) - {name}


def test_what_a_cause_explains_on_its_host_is_left_out_and_on_others_is_not() -> None:
    state = next_hop(next_hop(link(healthy("dr"), "rs1", up=False), "rs1", CLIENT), "rs2", CLIENT)
    assert [(cause.cause, cause.host) for cause in diagnose(state)] == [
        ("link_down", "rs1"),
        ("no_gateway", "rs2"),
    ]


def test_titles_match_the_diagnosis() -> None:
    assert titles() == CAUSES


def test_the_page_lists_all_causes_in_order() -> None:
    page = PAGE.read_text()
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", page, re.MULTILINE)
    assert rows == list(CAUSES.items())
    assert f"None of the {len(rows)} known causes applies." in page


def test_the_larger_value_counts_and_both_are_shown() -> None:
    found = diagnose(setting(healthy("tun"), "rs1", all__rp_filter=1))[0]
    assert "rp_filter is 1 for all, 0 for tunl0" in found.evidence
    assert found.repair == "sysctl -w net.ipv4.conf.all.rp_filter=0"


def test_a_counter_above_zero_is_evidence() -> None:
    state = on(without_vip(healthy("dr"), "rs1"), "rs1", counters={"IpInAddrErrors": 7})
    assert "IpInAddrErrors is 7" in diagnose(state)[0].evidence


def test_the_repair_of_a_script() -> None:
    found = diagnose(on(healthy("nat"), "d", scripts={"drain.sh": DRAIN + DELETES}))[0]
    assert found.repair == f"sed -i 's|^ *{DELETES.strip()}|{QUIETS.strip()}|' drain.sh"


def test_the_repair_of_a_script_that_sed_would_misread() -> None:
    found = diagnose(on(healthy("nat"), "d", scripts={"drain.sh": DRAIN + "ippfvsadm -D -t $1 -R $2\n"}))[0]
    assert found.repair.splitlines() == [
        "# in drain.sh, instead of: ippfvsadm -D -t $1 -R $2",
        "# ipvsadm -e -t $1 -r $2 -m -w 0",
    ]


def test_two_causes_on_two_hosts_are_two() -> None:
    state = without_vip(setting(healthy("dr"), "rs1", LAN__arp_ignore=0), "rs3")
    assert [(cause.cause, cause.host) for cause in diagnose(state)] == [
        ("arp_answered", "rs1"),
        ("vip_missing", "rs3"),
    ]


@pytest.mark.parametrize("method", METHODS)
def test_unreadable_hosts_have_no_cause(method: str) -> None:
    state = healthy(method)
    blind = tuple(HostState(known.name, known.role, known.plugs, error="gone") for known in state.hosts)
    dead = director(replace(state, hosts=blind), services=(), connections=(), timeouts={}, error="no answer")
    assert diagnose(dead) == []


@pytest.mark.parametrize(
    "site",
    [
        Site("/run/x", missing=("name",), covered=("/run/x",)),
        Site("/run/x", unwritable=("/run/x/upload: no space left",), covered=("/run/x", "/run/x/upload")),
    ],
)
def test_what_is_mounted_over_a_folder_is_unmounted_first(site: Site) -> None:
    """The innermost first; files for which it has no room are not written there."""
    (found,) = diagnose(on(healthy("dr"), "rs1", site=site))
    unmounted = [
        line.removeprefix("umount --lazy ") for line in found.repair.splitlines() if "umount" in line
    ]
    assert unmounted == sorted(site.covered, reverse=True)
    assert found.repair.startswith("umount")


@pytest.mark.parametrize(("changed", "told"), [("mark", "stay as they are"), ("ip ttl", "other packets")])
def test_a_mark_is_not_in_the_packet(changed: str, told: str) -> None:
    marking = replace(TTL_1, changes=(changed,))
    (found,) = diagnose(failing(on(healthy("dr"), "r0", filters=(marking,))))
    assert told in found.why


def test_a_route_of_another_metric_is_deleted_before_it_is_replaced() -> None:
    """In IPv6, `replace` would add a second route."""
    state = healthy("dr6")
    other = Route("default", "2001:db8:cb00:71::77", "rs1-eth0", metric=1)
    wrong = next_hop(state, "rs1", "2001:db8:c633:64::101", other.gateway, "rs1-eth0")
    planned = (replace(route, metric=1024) for route in host(state, "rs1").routes)
    (found,) = diagnose(on(wrong, "rs1", routes=(*planned, other)))
    assert found.repair == "ip route del default via 2001:db8:cb00:71::77 dev rs1-eth0 metric 1"


def test_a_multipath_route_is_deleted_with_all_its_paths() -> None:
    state = healthy("dr6")
    paths = ("via 2001:db8:cb00:71::254 dev rs1-eth0", "via 2001:db8:cb00:71::77 dev rs1-eth0")
    other = Route("default", "", "", metric=1, paths=paths)
    wrong = next_hop(state, "rs1", "2001:db8:c633:64::101", "2001:db8:cb00:71::77", "rs1-eth0")
    planned = (replace(route, metric=1024) for route in host(state, "rs1").routes)
    (found,) = diagnose(on(wrong, "rs1", routes=(*planned, other)))
    assert found.repair == f"ip route del default metric 1 nexthop {paths[0]} nexthop {paths[1]}"


def test_one_wrong_path_of_several_is_wrong() -> None:
    """Whichever of them the kernel chose when it was asked."""
    paths = ("via 203.0.113.254 dev rs1-eth0", "via 203.0.113.77 dev rs1-eth0")
    routes = (Route("default", "", "", paths=paths),)
    (found,) = diagnose(on(healthy("dr"), "rs1", routes=routes))
    assert (found.cause, found.host) == ("no_gateway", "rs1")
    assert found.repair.splitlines()[-1] == "ip route replace default via 203.0.113.254 dev rs1-eth0"


@pytest.mark.parametrize(
    ("ip", "port", "repairs"),
    [
        ("172.16.0.3", 8000, ["-d", "-a"]),  # ftp is planned there
        ("172.16.0.2", 80, ["-d"]),
    ],
)
def test_a_rule_of_ftp_gets_the_port_of_ftp(ip: str, port: int, repairs: list[str]) -> None:
    state = healthy("nat")
    services = tuple(
        replace(service, targets=(Target(ip, port, 1),)) if service.port == 21 else service
        for service in state.director.services
    )
    (found,) = diagnose(director(state, services=services))
    assert (found.cause, found.host) == ("wrong_rule", "d")
    assert [line.split()[1] for line in found.repair.splitlines()] == repairs
    assert all(f"{ip}:21 " in line for line in found.repair.splitlines()[1:])


def test_an_httpd_that_fails_unchanged_is_restarted() -> None:
    (found,) = diagnose(answers(healthy("dr"), "rs1", FAILED, "128 worker_connections are not enough"))
    assert "kill " in found.repair


def test_a_route_with_its_own_ttl_does_not_use_the_hosts() -> None:
    state = setting(healthy("dr"), "c1", ip_default_ttl=1)
    hops = tuple(replace(hop, hoplimit=64) for hop in host(state, "c1").next_hops)
    assert diagnose(on(state, "c1", next_hops=hops)) == []


@pytest.mark.parametrize(
    ("versions", "option"), [((4,), ""), ((6,), " --family 6"), ((4, 6), " --family 46")]
)
def test_ftpd_is_started_in_the_labs_ip_versions(versions: tuple[int, ...], option: str) -> None:
    state = listening(healthy("dr"), "rs1", 80)
    (found,) = diagnose(on(state, "rs1", site=Site("/run/lvs/rs1", versions=versions)))
    assert f"--root /run/lvs/rs1{option} >" in found.repair


def test_what_holds_ftps_port_elsewhere_is_ended_first() -> None:
    state = listening(healthy("dr"), "rs1", 80)
    elsewhere = Listener("TCP", "192.0.2.9", 21, pid=77)
    (found,) = diagnose(on(state, "rs1", listeners=(*host(state, "rs1").listeners, elsewhere)))
    assert found.repair.startswith("kill 77;")


def test_a_restored_mac_address_is_announced_and_the_other_one_asked() -> None:
    """The switch has learnt the other host's address at the wrong port."""
    state = healthy("dr")
    (found,) = diagnose(link(state, "rs1", mac=host(state, "rs2").main.mac))
    assert found.cause == "duplicate_mac"
    assert [line.split()[0] for line in found.repair.splitlines()] == ["sysctl", "ip", "sysctl", "ping"]
    assert host(state, "rs2").main.address in found.repair
