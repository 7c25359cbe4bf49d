"""A catalogue of faults to try the doctor on: what is typed on which host, what undoes it, the right cause.

A kind of fault has several variants. A kind without a cause hurts nothing: the doctor has to be silent.
fault_drawing.py picks faults at random and puts a lab's names and addresses into them.

In commands, <word> stands for a value of the host the fault is on, and a line that begins with `HOST: ` is
typed there instead. Each line is typed in that host's folder of scripts.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from typing import Any

from doctor.queries import RESTART_DIRECTOR, start_director, start_tunnel

METHODS = ("nat", "tun", "dr")


@dataclass(frozen=True, slots=True)
class Variant:
    """What is typed, and what undoes it; `methods` and `engines` where it has that effect.

    Neighbour entries are emptied afterwards, unless they are a part of the fault: `remembers`.
    """

    typed: str
    undo: str
    methods: str = "nat tun dr"
    engines: str = "scapy ebpf"
    remembers: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """`on` is a role (client, router, site, director, server) or several; `cause` is the doctor's word.

    Without a word it hurts nothing. `by_issue` says whether the requirements name it; the others were added
    to try the doctor on.
    """

    name: str
    on: str
    cause: str
    variants: tuple[Variant, ...]
    by_issue: bool = True


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of one lab, ready to be typed: lists of (host, command)."""

    name: str
    cause: str
    host: str
    typed: tuple[tuple[str, str], ...]
    undo: tuple[tuple[str, str], ...]
    remembers: bool = False

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def _kind(name: str, on: str, cause: str, *variants: Variant) -> Kind:
    return Kind(name, on, cause, variants)


def _extra(name: str, on: str, cause: str, *variants: Variant) -> Kind:
    return Kind(name, on, cause, variants, by_issue=False)


def _filter(hook: str, rule: str, methods: str = "nat tun dr", family: str = "ip") -> Variant:
    device = " device <lan>" if family == "netdev" else ""
    typed = (
        f"nft 'add table {family} f; "
        f"add chain {family} f c {{ type filter hook {hook}{device} priority 0; }}; "
        f"add rule {family} f c {rule}'"
    )
    return Variant(typed, f"nft delete table {family} f", methods)


def _nat(rule: str) -> Variant:
    typed = f"nft 'add table ip f; add chain ip f c {{ type nat hook postrouting priority 100; }}; {rule}'"
    return Variant(typed, "nft delete table ip f")


def _dest_nat(hook: str, rule: str, methods: str = "nat tun dr") -> Variant:
    chain = f"add chain ip f c {{ type nat hook {hook} priority -100; }}"
    return Variant(f"nft 'add table ip f; {chain}; add rule ip f c {rule}'", "nft delete table ip f", methods)


def _sysctl(name: str, value: int, before: int, methods: str = "nat tun dr") -> Variant:
    return Variant(f"sysctl -w net.ipv4.{name}={value}", f"sysctl -w net.ipv4.{name}={before}", methods)


def _another_mac(device: str, method: str) -> Variant:
    """Of a host that sends nothing unasked; the director uses its entry for an hour before it verifies it."""
    sysctl = f"d: sysctl -w net.ipv4.neigh.{device}.delay_first_probe_time"
    typed = (
        f"{sysctl}=3600",
        f"d: ip neigh replace <ip> dev {device} lladdr <mac> nud stale",
        "ip link set <lan> address 02:00:00:00:00:77",
    )
    return Variant(
        "\n".join(typed), f"ip link set <lan> address <mac>\n{sysctl}=5", method, "ebpf", remembers=True
    )


def _restart(edit: str, undo: str, methods: str = "nat tun dr") -> Variant:
    """The director restarted with an edited start.sh; its rules are loaded again."""
    again = f"; {_AGAIN}"
    return Variant(edit + again, undo + again, methods)


def _bpf(instructions: str, protocol: str = "ip") -> Variant:
    """A program of classic BPF as a filter at ingress."""
    return Variant(
        "tc qdisc add dev <lan> clsact; "
        f"tc filter add dev <lan> ingress protocol {protocol} bpf da bytecode '{instructions}'",
        "tc qdisc del dev <lan> clsact",
    )


_XDP = (
    '__attribute__((section("xdp"), used)) int drop(void *packet) { return 1; } '
    'char _license[] __attribute__((section("license"), used)) = "GPL";'
)
_SHOT = "1,6 0 0 2"  # return TC_ACT_SHOT
_SHOT_HALF = "4,32 0 0 4294963256,37 1 0 2147483647,6 0 0 0,6 0 0 2"  # by a random number
_SETUP = "sh 1999/<role>.sh"
_NGINX = "nginx -p ../../servers/<host>/ -c nginx.conf"
_PID = "../../servers/<host>/nginx.pid"
_START_NGINX = f"setsid {_NGINX} > /dev/null 2>&1 & until [ -e {_PID} ]; do sleep 0.1; done"
_STOP_NGINX = f"kill -CONT $(cat {_PID}); {_NGINX} -s stop; while [ -e {_PID} ]; do sleep 0.1; done"
_CONF = "../../servers/<host>/nginx.conf"
_LOCAL = "ip route replace local <ip> dev <lan> table local proto kernel scope host src <ip>"
_HAS_PORT = "ss -ltn 'sport = <port>' | grep -q LISTEN"
_LISTENS = f"until {_HAS_PORT}; do sleep 0.1; done"


def _configured(edit: str) -> Variant:
    """The httpd restarted with an edited configuration, and as it was at first."""
    again = f"{_STOP_NGINX}; {_START_NGINX}"
    return Variant(f"sed -i '{edit}' {_CONF}; {again}", f"cp {_CONF}.orig {_CONF}; {again}")


_START_DIRECTOR = "; ".join(start_director()).replace("&;", "&")
_DIRECTOR = "pgrep -f '[d]irector --method'"
_FILES = f"{sys.executable} -m realserver_setup.files /run/lvs/<host> <host>"
_RULES = "sh rules.sh"
_AGAIN = "; ".join(RESTART_DIRECTOR).replace("&;", "&")
_TUNNEL = (
    "here=$(readlink /proc/self/ns/net); for p in /proc/[0-9]*; do "
    '[ "$(readlink $p/ns/net)" = $here ] && ls -l $p/fd | grep -q /dev/net/tun && kill -{} ${{p#/proc/}}; '
    "done; true"
)
_START_TUNNEL = "; ".join(start_tunnel("tunl0")).replace("&;", "&")
_HOLD = (
    "c1: setsid bash -c 'for i in {}; do exec {{fd}}<>/dev/tcp/<vip>/80; done; exec sleep 60.25' "
    "> /dev/null 2>&1 &"
)


def _hold(count: int) -> str:
    """A client keeps so many connections open for a while; waits until it has them."""
    numbers = " ".join(map(str, range(count)))
    wait = f"until [ $(ipvsadm -Lnc | grep -c ESTABLISHED) -ge {count} ]; do sleep 0.1; done"
    return f"{_HOLD.format(numbers)}\nd: {wait}"


_LET_GO = "c1: pkill -f '[s]leep 60.25' || true"

KINDS: tuple[Kind, ...] = (
    # ---- the seventeen causes that exercises are about ----
    _kind(
        "no default route",
        "server",
        "no_gateway",
        Variant("ip route del default", "ip route add default via <gw>"),
        Variant("ip route replace default via <peer_ip>", "ip route replace default via <gw>", "nat dr"),
        Variant("ip route replace default via <dip>", "ip route replace default via <gw>", "dr"),
    ),
    _kind(
        "no service",
        "director",
        "no_service",
        Variant("ippfvsadm -D -t <vip>:80", _RULES),
        Variant("ipvsadm -C", _RULES),
    ),
    _kind("kernel forwards, too", "director", "ip_forward", _sysctl("ip_forward", 1, 0, "nat")),
    _kind(
        "VIP missing on a server",
        "server",
        "vip_missing",
        Variant("ip address del <vip>/32 dev <vipdev>", _SETUP, "tun dr"),
        Variant("ip link set tunl0 down", _SETUP, "tun"),
    ),
    _kind(
        "reverse-path filter on a server",
        "server",
        "rp_filter",
        _sysctl("conf.all.rp_filter", 1, 0, "tun"),
        _sysctl("conf.tunl0.rp_filter", 1, 0, "tun"),
    ),
    _kind(
        "reverse-path filter on a site's router",
        "site",
        "rp_filter",
        _sysctl("conf.<inner>.rp_filter", 1, 0, "tun"),
    ),
    _kind(
        "fragmentation needed is filtered",
        "router",
        "icmp_filtered",
        _filter("forward", "icmp type destination-unreachable drop", "tun"),
    ),
    _kind("answers ARP for the VIP", "server", "arp_answered", _sysctl("conf.<lan>.arp_ignore", 0, 1, "dr")),
    _kind(
        "silenced on lo only",
        "server",
        "arp_ignore_on_lo",
        Variant(
            "sysctl -w net.ipv4.conf.<lan>.arp_ignore=0 net.ipv4.conf.lo.arp_ignore=1",
            "sysctl -w net.ipv4.conf.<lan>.arp_ignore=1 net.ipv4.conf.lo.arp_ignore=0",
            "dr",
        ),
    ),
    _kind(
        "announces the VIP",
        "server",
        "arp_announced",
        _sysctl("conf.<lan>.arp_announce", 0, 2, "dr"),
        _sysctl("conf.<lan>.arp_announce", 1, 2, "dr"),
    ),
    _kind(
        "checksum offload",
        "server client",
        "checksum_offload",
        Variant("ethtool -K <lan> tx on", "ethtool -K <lan> tx off"),
    ),
    _kind(
        "short timeout",
        "director",
        "short_timeout",
        Variant("ipvsadm --set 2 0 0", "ipvsadm --set 900 120 300"),
    ),
    _kind(
        "persistence",
        "director",
        "persistence",
        Variant("ipvsadm -E -t <vip>:80 -s rr -p 300", "ipvsadm -E -t <vip>:80 -s rr"),
    ),
    _kind(
        "two ports, two services",
        "director",
        "ports_apart",
        Variant(
            "ipvsadm -A -t <vip>:8080 -s rr; ipvsadm -a -t <vip>:8080 -r <rip1>:80 -m; "
            "ipvsadm -a -t <vip>:8080 -r <rip2>:8000 -m",
            "ipvsadm -C; fwmark -F; sh rules.sh",
            "nat",
        ),
    ),
    _kind(
        "a server deleted with connections",
        "director",
        "server_deleted",
        Variant(
            f"{_hold(3)}\nipvsadm -d -t <vip>:80 -r <rip1>:80",
            f"{_LET_GO}\n{_RULES}",
        ),
        Variant("echo 'ipvsadm -d -t <vip>:80 -r <rip1>:80' > drain.sh", "rm -f drain.sh"),
    ),
    _kind(
        "no ftp helper",
        "director",
        "no_ftp_helper",
        _restart(
            "sed -i '/lvs-director /s/$/ --no-ftp-helper/' start.sh",
            "sed -i 's/ --no-ftp-helper//' start.sh",
            "nat",
        ),
    ),
    _kind(
        "httpd on another port",
        "server",
        "port_remapped",
        Variant(
            f"sed -i 's/listen 80;/listen 8000;/' {_CONF}; {_STOP_NGINX}; {_START_NGINX}",
            f"sed -i 's/listen 8000;/listen 80;/' {_CONF}; {_STOP_NGINX}; {_START_NGINX}",
            "tun dr",
        ),
    ),
    # ---- everyday faults ----
    _kind(
        "httpd killed",
        "server",
        "not_listening",
        Variant(f"kill $(cat {_PID}); while [ -e {_PID} ]; do sleep 0.1; done", _START_NGINX),
        Variant(f"{_NGINX} -s stop; while [ -e {_PID} ]; do sleep 0.1; done", _START_NGINX),
        Variant(f"fuser -s -k -KILL <port>/tcp; rm -f {_PID}", _START_NGINX),
    ),
    _kind(
        "httpd bound to one address",
        "server",
        "not_listening",
        Variant(
            f"sed -i 's/listen <port>;/listen 127.0.0.1:<port>;/' {_CONF}; {_STOP_NGINX}; {_START_NGINX}",
            f"sed -i 's/listen 127.0.0.1:/listen /' {_CONF}; {_STOP_NGINX}; {_START_NGINX}",
        ),
        Variant(
            f"sed -i 's/listen <port>;/listen <ip>:<port>;/' {_CONF}; {_STOP_NGINX}; {_START_NGINX}",
            f"sed -i 's/listen <ip>:/listen /' {_CONF}; {_STOP_NGINX}; {_START_NGINX}",
            "tun dr",
        ),
    ),
    _kind(
        "httpd stopped",
        "server",
        "frozen",
        Variant(f"kill -STOP $(cat {_PID})", f"kill -CONT $(cat {_PID})"),
        Variant("fuser -s -k -STOP <port>/tcp", "fuser -s -k -CONT <port>/tcp"),
    ),
    _extra(
        "program of the tunnel stopped",
        "server",
        "frozen",
        Variant(_TUNNEL.format("STOP"), _TUNNEL.format("CONT"), "tun"),
    ),
    _extra(
        "program of the tunnel killed",
        "server",
        "vip_missing",
        Variant(
            _TUNNEL.format("KILL"), f"[ -e /sys/class/net/tunl0 ] || {{ {_START_TUNNEL}; }}; {_SETUP}", "tun"
        ),
    ),
    _kind(
        "director stopped",
        "director",
        "frozen",
        Variant(f"kill -STOP $({_DIRECTOR})", f"kill -CONT $({_DIRECTOR})"),
    ),
    _kind(
        "director ended",
        "director",
        "director_down",
        Variant(
            f"kill $({_DIRECTOR}); while {_DIRECTOR} > /dev/null; do sleep 0.1; done",
            _START_DIRECTOR,
        ),
        Variant(
            f"kill -KILL $({_DIRECTOR}); while {_DIRECTOR} > /dev/null; do sleep 0.1; done",
            _START_DIRECTOR,
        ),
    ),
    _kind(
        "requests filtered on a server",
        "server",
        "port_filtered",
        _filter("input", "tcp dport <port> drop"),
        _filter("input", "tcp dport <port> reject"),
        _filter("prerouting", "ip daddr <dest> drop"),
        _filter("input", "ip saddr <clients> tcp dport { 80, 443, 8000 } drop", family="inet"),
    ),
    _kind(
        "replies filtered on a server", "server", "port_filtered", _filter("output", "tcp sport <port> drop")
    ),
    _kind(
        "filtered on the router",
        "router",
        "port_filtered",
        _filter("forward", "tcp dport 80 drop"),
        _filter("forward", "ip daddr <vip> reject"),
        _filter("prerouting", "tcp dport 1-1023 drop"),
    ),
    _kind(
        "filtered on a client",
        "client",
        "port_filtered",
        _filter("output", "ip daddr <vip> drop"),
        _filter("input", "tcp sport 80 drop"),
    ),
    _kind(
        "tunnel filtered on a server",
        "server",
        "port_filtered",
        _filter("input", "ip protocol 4 drop", "tun"),
        _filter("input", "ip saddr <dip> drop", "tun"),
    ),
    _kind(
        "link down",
        "server client director router",
        "link_down",
        Variant("ip link set <lan> down", f"ip link set <lan> up; {_SETUP}"),
        Variant("ifconfig <lan> down", f"ip link set <lan> up; {_SETUP}"),
    ),
    _kind(
        "link of the private net down",
        "director",
        "link_down",
        Variant("ip link set d-eth1 down", f"ip link set d-eth1 up; {_SETUP}", "nat"),
    ),
    _kind(
        "wrong netmask on a client",
        "client",
        "wrong_netmask",
        Variant("ifconfig <lan> netmask 240.0.0.0", _SETUP),
        Variant("ifconfig <lan> netmask 255.255.255.240", _SETUP),
    ),
    _kind(
        "wrong netmask on a server",
        "server",
        "wrong_netmask",
        Variant("ip address add <ip>/4 dev <lan>", "ip address del <ip>/4 dev <lan>", "tun dr"),
        Variant("ifconfig <lan> netmask 255.255.255.254", _SETUP, "dr"),
    ),
    _kind(
        "wrong netmask of the VIP",
        "server",
        "wrong_netmask",
        Variant("ifconfig lo:0 <vip> netmask 255.255.255.0", _SETUP, "dr"),
        Variant("ip address add <vip>/24 dev lo", "ip address del <vip>/24 dev lo", "dr"),
    ),
    _kind(
        "wrong netmask on the router",
        "router",
        "wrong_netmask",
        Variant("ifconfig r0-eth1 netmask 255.255.255.128", _SETUP),
    ),
    _kind(
        "RIP twice",
        "server",
        "duplicate_address",
        Variant(
            "ip address add <peer_ip>/<prefix> dev <lan>",
            "ip address del <peer_ip>/<prefix> dev <lan>",
            "nat dr",
        ),
        Variant("ip address add <peer_ip>/32 dev lo", "ip address del <peer_ip>/32 dev lo", "nat dr"),
    ),
    _extra(
        "gateway's address on a server",
        "server",
        "duplicate_address",
        Variant("ip address add <gw>/<prefix> dev <lan>", "ip address del <gw>/<prefix> dev <lan>"),
    ),
    _extra(
        "client's address twice",
        "client",
        "duplicate_address",
        Variant("ip address add <peer_ip>/24 dev <lan>", "ip address del <peer_ip>/24 dev <lan>"),
    ),
    _extra(
        "VIP on the router",
        "router",
        "duplicate_address",
        Variant("ip address add <vip>/32 dev lo", "ip address del <vip>/32 dev lo"),
    ),
    _kind(
        "wrong static neighbour of the router",
        "router",
        "wrong_neighbour",
        Variant(
            "ip neigh replace <vip> lladdr <mac_of_nobody> dev r0-eth1 nud permanent",
            "ip neigh del <vip> dev r0-eth1",
        ),
        Variant(
            "ip neigh replace <vip> lladdr <rs1_mac> dev r0-eth1 nud permanent",
            "ip neigh del <vip> dev r0-eth1",
            "dr",
        ),
        Variant("arp -s <vip> <mac_of_nobody>", "arp -d <vip>"),
    ),
    _kind(
        "wrong static neighbour of an end",
        "client server",
        "wrong_neighbour",
        Variant(
            "ip neigh replace <gw> lladdr <mac_of_nobody> dev <lan> nud permanent",
            "ip neigh del <gw> dev <lan>",
        ),
        Variant("arp -s <gw> <mac_of_nobody>", "arp -d <gw>"),
    ),
    _extra(
        "wrong static neighbour of the director",
        "director",
        "wrong_neighbour",
        Variant(
            "ip neigh replace <rip1> lladdr <mac_of_nobody> dev <inner> nud permanent",
            "ip neigh del <rip1> dev <inner>",
            "nat",
        ),
    ),
    _kind(
        "VIP missing on the director",
        "director",
        "director_vip",
        Variant("ip address del <vip>/32 dev d-eth0", _SETUP),
        Variant("ifconfig d-eth0:0 down", _SETUP),
    ),
    _kind(
        "VIP silenced on the director",
        "director",
        "director_vip",
        _sysctl("conf.d-eth0.arp_ignore", 8, 0),
        _sysctl("conf.all.arp_ignore", 8, 0),
        _filter("input", "arp daddr ip <vip> drop", family="arp"),
    ),
    _kind(
        "no route on the director",
        "director",
        "no_route",
        Variant("ip route del default", "ip route add default via <gw>", "nat tun"),
        Variant("ip route replace default via 203.0.113.77", "ip route replace default via <gw>", "nat tun"),
    ),
    _kind(
        "no route on the router",
        "router",
        "no_route",
        Variant("ip route del 192.0.2.0/27", _SETUP, "tun"),
        Variant("ip route add blackhole <vip>", "ip route del blackhole <vip>"),
        Variant("ip route add unreachable <clients27>", "ip route del unreachable <clients27>", "nat dr"),
    ),
    _extra(
        "no route on a client",
        "client",
        "no_route",
        Variant("ip route del default", "ip route add default via <gw>"),
        Variant("ip route add prohibit <vip>", "ip route del prohibit <vip>"),
    ),
    _kind(
        "rule for a wrong port",
        "director",
        "wrong_rule",
        Variant(
            "ipvsadm -d -t <vip>:80 -r <rip2>:8000; ipvsadm -a -t <vip>:80 -r <rip2>:80 -m", _RULES, "nat"
        ),
        Variant(
            "ippfvsadm -D -t <vip>:80 -R <rip1>:80; ippfvsadm -A -t <vip>:80 -R <rip1>:8080", _RULES, "nat"
        ),
    ),
    _kind(
        "rule for an address that nobody has",
        "director",
        "wrong_rule",
        Variant("ippfvsadm -A -t <vip>:80 -R <free_ip>:80", _RULES),
        Variant("ipvsadm -a -t <vip>:80 -r <free_ip>:80 <flag>", _RULES),
        Variant("ipvsadm -a -t <vip>:80 -r <gw>:80 <flag>", _RULES),
    ),
    _kind(
        "all servers quiesced",
        "director",
        "quiesced",
        Variant(
            "for r in $(ipvsadm -Sn | sed -n 's/.*<vip>:80 -r \\([^ ]*\\).*/\\1/p'); do "
            "ipvsadm -e -t <vip>:80 -r $r <flag> -w 0; done",
            _RULES,
        ),
    ),
    _kind(
        "all servers over their thresholds",
        "director",
        "quiesced",
        Variant(
            f"{_hold(3)}\n"
            "for r in $(ipvsadm -Sn | sed -n 's/.*<vip>:80 -r \\([^ ]*\\).*/\\1/p'); do "
            "ipvsadm -e -t <vip>:80 -r $r <flag> -w 1 -x 1; done",
            f"{_LET_GO}\nipvsadm -C; {_RULES}",
        ),
    ),
    _kind(
        "connection table full",
        "director",
        "table_full",
        Variant(
            _restart("sed -i '/lvs-director /s/$/ --conn-limit 4/' start.sh", "").typed + f"\n{_hold(4)}",
            _LET_GO + "\n" + _restart("", "sed -i 's/ --conn-limit 4//' start.sh").undo,
        ),
    ),
    _kind(
        "smaller MTU on the router's cable",
        "router",
        "small_mtu",
        Variant("ip link set r0-eth1 mtu 1400", "ip link set r0-eth1 mtu 1500"),
        Variant("ifconfig r0-eth1 mtu 1000", "ifconfig r0-eth1 mtu 1500"),
    ),
    _kind(
        "smaller MTU on the director's cable",
        "director",
        "small_mtu",
        Variant("ip link set d-eth1 mtu 1400", "ip link set d-eth1 mtu 1500", "nat"),
        Variant("ip link set d-eth0 mtu 1400", "ip link set d-eth0 mtu 1500", "dr tun"),
    ),
    _extra(
        "source NAT to an address that nobody has",
        "router",
        "source_nat",
        _nat("add rule ip f c oifname r0-eth1 snat to 203.0.113.200"),
    ),
    _kind(
        "proxy ARP for the whole segment",
        "server",
        "proxy_arp",
        Variant(
            "sysctl -w net.ipv4.conf.<lan>.forwarding=1 net.ipv4.conf.<lan>.proxy_arp_pvlan=1",
            "sysctl -w net.ipv4.conf.<lan>.forwarding=0 net.ipv4.conf.<lan>.proxy_arp_pvlan=0",
            "nat dr",
        ),
    ),
    # ---- kinds that nobody asked for ----
    _extra(
        "router does not forward",
        "router site",
        "router_forwarding",
        Variant(
            "sysctl -w net.ipv4.ip_forward=0",
            f"sysctl -w net.ipv4.ip_forward=1; {_SETUP}",
        ),
        Variant(
            "echo 0 > /proc/sys/net/ipv4/conf/<lan>/forwarding",
            "echo 1 > /proc/sys/net/ipv4/conf/<lan>/forwarding",
        ),
    ),
    _extra(
        "packets born too old",
        "server client",
        "short_ttl",
        Variant(
            "ip route replace default via <gw> hoplimit 1",
            "ip route replace default via <gw>",
            "nat dr",
        ),
        _sysctl("ip_default_ttl", 1, 64),
        _sysctl("ip_default_ttl", 2, 64, "nat"),
    ),
    _extra(
        "ARP switched off",
        "server client director",
        "arp_off",
        Variant("ip link set <lan> arp off", "ip link set <lan> arp on"),
        Variant("ifconfig <lan> -arp", "ifconfig <lan> arp"),
    ),
    _extra(
        "another address than planned",
        "server",
        "address_missing",
        Variant(
            "ip address del <ip>/<prefix> dev <lan>; ip address add <free_ip>/<prefix> dev <lan>; "
            "ip route replace default via <gw>",
            f"ip address flush dev <lan>; {_SETUP}",
        ),
    ),
    _extra(
        "policy routing on a client",
        "client",
        "no_route",
        Variant("ip rule add to <vip> prohibit", "ip rule del to <vip> prohibit"),
    ),
    _extra(
        "policy routing on a server",
        "server",
        "no_gateway",
        Variant("ip rule add to <clients> blackhole", "ip rule del to <clients> blackhole"),
    ),
    _extra(
        "ftp filtered",
        "server",
        "port_filtered",
        _filter("input", "tcp dport 21 drop", "dr tun"),
    ),
    _extra(
        "every new connection dropped",
        "director",
        "drop_packet",
        Variant(
            "ipvs-sysctl drop_packet=3 am_droprate=1",
            "ipvs-sysctl drop_packet=0 am_droprate=10",
        ),
    ),
    _extra(
        "a cable that is far too slow",
        "server director",
        "slow_link",
        Variant(
            "tc qdisc replace dev <lan> root tbf rate 200bit burst 100 limit 200",
            "tc qdisc del dev <lan> root",
        ),
        Variant("tc qdisc add dev <lan> root pfifo limit 0", "tc qdisc del dev <lan> root"),
    ),
    _extra(
        "filtered before the kernel",
        "server",
        "port_filtered",
        _filter("ingress", "tcp dport <port> drop", family="netdev", methods="nat dr"),
    ),
    _extra("a filter of traffic control", "server", "tc_filter", _bpf(_SHOT), _bpf(_SHOT_HALF)),
    _extra(
        "half of the connections dropped",
        "server",
        "port_filtered",
        _filter("input", "tcp dport <port> tcp flags syn numgen random mod 2 0 drop"),
        _filter("output", "tcp sport <port> numgen inc mod 3 0 drop"),
    ),
    _extra(
        "connections beyond a rate dropped",
        "server",
        "port_filtered",
        _filter("input", "tcp dport <port> limit rate over 1/hour burst 1 packets drop"),
        _filter("input", "tcp dport <port> ct count over 0 drop"),
        _filter("input", "tcp dport <port> ct original packets gt 6 drop"),
        _filter(
            "input",
            "tcp dport <port> ct state new limit rate over 1/hour burst 1 packets reject with tcp reset",
        ),
        _filter("input", "tcp dport <port> quota over 1 mbytes drop"),
    ),
    _extra(
        "asks nobody for a MAC address",
        "server",
        "arp_off",
        Variant(
            "sysctl -w net.ipv4.neigh.<lan>.mcast_solicit=0 net.ipv4.neigh.<lan>.ucast_solicit=0",
            "sysctl -w net.ipv4.neigh.<lan>.mcast_solicit=3 net.ipv4.neigh.<lan>.ucast_solicit=3",
            "dr",
        ),
        Variant(
            "ip link set <lan> broadcast 02:00:00:00:00:01",
            "ip link set <lan> broadcast ff:ff:ff:ff:ff:ff",
            "dr",
        ),
    ),
    _extra(
        "a set that packets fill",
        "server",
        "port_filtered",
        Variant(
            "nft 'add table ip f; add set ip f s { type ipv4_addr; flags dynamic,timeout; timeout 2m; }; "
            "add chain ip f c { type filter hook input priority 0; }; add rule ip f c ip saddr @s drop; "
            "add rule ip f c tcp dport <port> tcp flags syn add @s { ip saddr }'",
            "nft delete table ip f",
        ),
    ),
    _extra(
        "handed to another interface",
        "server",
        "port_filtered",
        _filter("ingress", "ip protocol tcp fwd to lo", family="netdev", methods="nat dr"),
    ),
    _extra(
        "dropped by a field that tells little",
        "server",
        "port_filtered",
        _filter("input", "meta length gt 60 drop"),
        _filter("input", "tcp dport <port> ip ttl lt 65 drop"),
        _filter("input", "tcp flags & (syn | ack) == syn drop"),
        _filter("output", "tcp flags & (syn | ack) == (syn | ack) drop"),
    ),
    _extra(
        "dropped by a set or a map",
        "server",
        "port_filtered",
        Variant(
            "nft 'add table ip f; add set ip f bad { type ipv4_addr; flags interval; "
            "elements = { <clients> }; }; "
            "add chain ip f c { type filter hook input priority 0; }; "
            "add rule ip f c ip saddr @bad drop'",
            "nft delete table ip f",
        ),
        _filter("input", "tcp dport vmap { <port> : drop, 22 : accept }"),
    ),
    _extra(
        "ftpd killed",
        "server",
        "not_listening",
        Variant(
            "fuser -s -k 21/tcp; while ss -ltn 'sport = 21' | grep -q LISTEN; do sleep 0.1; done",
            f"setsid {sys.executable} -m realserver_setup.ftpd --root /run/lvs/<host> > /dev/null 2>&1 & "
            "until ss -ltn 'sport = 21' | grep -q LISTEN; do sleep 0.1; done",
            "tun dr",  # in VS-NAT one real server has it
        ),
    ),
    _extra(
        "redirected to where nobody listens",
        "server",
        "not_listening",
        Variant(
            "nft 'add table ip f; add chain ip f c { type nat hook prerouting priority -100; }; "
            "add rule ip f c tcp dport <port> redirect to :81'",
            "nft delete table ip f",
        ),
    ),
    _extra(
        "blocked by an IPsec policy",
        "server",
        "ipsec_policy",
        Variant(
            "ip xfrm policy add src <clients> dst <dest> dir in action block",
            "ip xfrm policy del src <clients> dst <dest> dir in",
            "nat dr",
        ),
    ),
    _extra(
        "another one's MAC address",
        "server",
        "duplicate_mac",
        Variant("ip link set <lan> address <peer_mac>", "ip link set <lan> address <mac>", "nat dr"),
    ),
    _extra(
        "another forwarding method",
        "director",
        "wrong_method",
        Variant("ipvsadm -e -t <vip>:80 -r <rip1>:80 -g -w 1", _RULES, "nat tun"),
        Variant("ipvsadm -e -t <vip>:80 -r <rip1>:80 -m -w 1", _RULES, "tun dr"),
        Variant("ipvsadm -e -t <vip>:80 -r <rip2>:80 -i -w 1", _RULES, "dr"),
    ),
    _extra(
        "ARP filtered",
        "server client",
        "arp_filtered",
        Variant(
            "nft 'add table arp f; add chain arp f c { type filter hook input priority 0; policy drop; }'",
            "nft delete table arp f",
        ),
        Variant(
            "nft 'add table arp f; add chain arp f c { type filter hook output priority 0; }; "
            "add rule arp f c counter drop'",
            "nft delete table arp f",
        ),
    ),
    _extra(
        "no file descriptors left",
        "server",
        "no_files",
        Variant(
            f"pid=$(cat {_PID}); prlimit --pid $pid --nofile=$(ls /proc/$pid/fd | wc -l):",
            f"{_STOP_NGINX}; {_START_NGINX}",
        ),
    ),
    _extra(
        "an interface under another name",
        "server client",
        "link_down",
        Variant(
            "ip link set <lan> down; ip link set <lan> name eth9; ip link set eth9 up",
            f"ip link set eth9 down; ip link set eth9 name <lan>; ip link set <lan> up; {_SETUP}",
        ),
    ),
    _extra(
        "an MTU below every segment",
        "server client",
        "small_mtu",
        Variant("ip link set <lan> mtu 68", "ip link set <lan> mtu 1500"),
    ),
    _extra(
        "policy routing of replies",
        "server",
        "no_gateway",
        Variant(
            "ip rule add from <dest> blackhole priority 100",
            "ip rule del from <dest> blackhole priority 100",
        ),
    ),
    # ---- programs and files of a real server ----
    _extra(
        "httpd answers with an error",
        "server",
        "http_error",
        _configured("s/root /deny all; root /"),
        _configured("s/root /return 503; root /"),
        _configured("s/root /deny <client_ip>; root /"),
        _configured(
            "s/server {/server { listen <port> default_server; return 444; } server {/; "
            "s/root /server_name www.example.com; root /"
        ),
        Variant(
            "mv /run/lvs/<host> /run/lvs/away", "rm -rf /run/lvs/<host>; mv /run/lvs/away /run/lvs/<host>"
        ),
        Variant("echo hello > /run/lvs/<host>/name", "echo <host> > /run/lvs/<host>/name"),
    ),
    _extra(
        "httpd for IPv6 only, or with an error in its configuration",
        "server",
        "not_listening",
        _configured("s/listen <port>;/listen [::]:<port> ipv6only=on;/"),
        Variant(
            f"{_STOP_NGINX}; sed -i 's/sendfile on;/sendfile on/' {_CONF}; {_NGINX} 2> /dev/null || true",
            f"cp {_CONF}.orig {_CONF}; [ -e {_PID} ] || {{ {_START_NGINX}; }}",
        ),
    ),
    _extra(
        "another program has httpd's port",
        "server",
        "wrong_program",
        Variant(
            f"{_STOP_NGINX}; setsid {sys.executable} -m http.server <port> > /dev/null 2>&1 & {_LISTENS}",
            f"pkill -f '[h]ttp.server <port>'; while {_HAS_PORT}; do sleep 0.1; done; {_START_NGINX}",
        ),
    ),
    _extra(
        "no space left",
        "server",
        "no_space",
        Variant(
            "mount -t tmpfs -o size=8k tmpfs /run/lvs/<host>/upload; "
            "cat /dev/zero > /run/lvs/<host>/upload/zero 2> /dev/null || true",
            "umount /run/lvs/<host>/upload",
        ),
        Variant(
            "mount -t tmpfs tmpfs /run/lvs/<host>/upload; mount -o remount,ro /run/lvs/<host>/upload",
            "umount /run/lvs/<host>/upload",
        ),
    ),
    # ---- what no packet filter lists ----
    _extra(
        "an XDP program",
        "server",
        "xdp_program",
        Variant(
            f"echo '{_XDP}' > xdp.c; clang -O2 -target bpf -c xdp.c -o xdp.o && "
            "ip link set dev <lan> xdpgeneric obj xdp.o sec xdp",
            "ip link set dev <lan> xdpgeneric off",
            engines="ebpf",  # which needs clang, too
        ),
    ),
    _extra(
        "the director's hold on its kernel",
        "director",
        "engine_detached",
        Variant("nft flush ruleset", _AGAIN, engines="scapy"),
        Variant("tc qdisc del dev <lan> clsact", _AGAIN, engines="ebpf"),
        Variant("tc filter del dev <inner> ingress", _AGAIN, engines="ebpf"),
        Variant("ip link set lvs-upcall down", "ip link set lvs-upcall up", "nat", "ebpf"),
    ),
    _extra(
        "ordinary source ports filtered",
        "server router",
        "port_filtered",
        _filter("prerouting", "tcp sport 32768-60999 drop"),
    ),
    _extra(
        "long packets filtered",
        "router",
        "port_filtered",
        _filter("forward", "meta length > 1000 drop"),
    ),
    _extra(
        "an error for a client's program",
        "server",
        "http_error",
        _configured("s/listen <port>;/listen <port>; if ($http_user_agent ~ curl) { return 503; }/"),
    ),
    _extra(
        "a file is gone",
        "server",
        "http_error",
        Variant("rm /run/lvs/<host>/index.html", _FILES),
    ),
    _extra(
        "no ephemeral ports",
        "client",
        "no_ports",
        Variant(
            "sysctl -w net.ipv4.ip_local_port_range='40000 40000'",
            "sysctl -w net.ipv4.ip_local_port_range='32768 60999'",
        ),
        Variant(
            "sysctl -w net.ipv4.ip_local_reserved_ports=32768-60999",
            "sysctl -w net.ipv4.ip_local_reserved_ports=''",
        ),
    ),
    _extra(
        "a small window",
        "client",
        "small_window",
        Variant("ip route replace default via <gw> window 70", "ip route replace default via <gw>"),
    ),
    _extra(
        "no local routes",
        "server",
        "local_route",
        Variant("ip route flush table local", _LOCAL, "nat"),
        Variant(
            "ip route flush table local",
            f"{_LOCAL}; {_LOCAL.replace('<ip>', '<vip>').replace('<lan>', '<vipdev>')}",
            "tun dr",
        ),
    ),
    _extra(
        "no local route",
        "client",
        "local_route",
        Variant("ip route del local <ip> table local", _LOCAL),
    ),
    _extra(
        "a policy rule before table local",
        "server",
        "local_route",
        Variant(
            "ip rule add priority 40 lookup local; ip rule del priority 0; "
            "ip rule add iif tunl0 priority 30 blackhole",
            "ip rule add priority 0 lookup local; ip rule del priority 40; ip rule del priority 30",
            "tun",
        ),
    ),
    _extra(
        "no policy rule for table main",
        "client",
        "no_route",
        Variant("ip rule del priority 32766", "ip rule add priority 32766 lookup main"),
    ),
    _extra(
        "every packet dropped before ARP",
        "server",
        "tc_filter",
        _bpf(_SHOT, "all"),
    ),
    # ---- further everyday faults of the network ----
    _extra(
        "port of a bridge",
        "server client",
        "bridge_port",
        Variant(
            "ip link add br0 type bridge; ip link set br0 up; ip link set <lan> master br0",
            "ip link del br0",
        ),
    ),
    _extra(
        "destination NAT",
        "router client",
        "dest_nat",
        Variant(
            "nft 'add table ip f; add chain ip f c { type nat hook prerouting priority -100; }; "
            "add chain ip f o { type nat hook output priority -100; }; "
            "add rule ip f c ip daddr <vip> dnat to 203.0.113.200; "
            "add rule ip f o ip daddr <vip> dnat to 203.0.113.200'",
            "nft delete table ip f",
        ),
    ),
    _extra(
        "destination NAT at a rate",
        "router",
        "dest_nat",
        _dest_nat(
            "prerouting", "ip daddr <vip> limit rate over 1/hour burst 1 packets dnat to 203.0.113.200"
        ),
    ),
    _extra(
        "destination NAT on a server",
        "server",
        "dest_nat",
        _dest_nat("prerouting", "tcp dport <port> dnat to 203.0.113.200"),
        _dest_nat("prerouting", "tcp dport <port> numgen inc mod 2 0 dnat to 203.0.113.200"),
    ),
    _extra(
        "destination NAT to a port without a listener",
        "server",
        "not_listening",
        _dest_nat("prerouting", "tcp dport <port> dnat to :81"),
    ),
    _extra(
        "a router's rule for replies",
        "router",
        "no_route",
        Variant(
            "ip rule add iif r0-eth1 to <clients> priority 40 prohibit", "ip rule del priority 40", "nat dr"
        ),
    ),
    _extra(
        "a site router's rule for replies",
        "site",
        "no_route",
        Variant(
            "ip rule add iif <inner> to <clients> priority 40 blackhole", "ip rule del priority 40", "tun"
        ),
    ),
    _extra(
        "a client's rule for a port",
        "client",
        "no_route",
        Variant(
            "ip route add default via <free_ip> table 77; "
            "ip rule add ipproto tcp dport 80 priority 40 lookup 77",
            "ip rule del priority 40; ip route flush table 77",
        ),
    ),
    _extra(
        "a client's rule for ports of its own",
        "client",
        "no_route",
        Variant(
            "ip route add default via <free_ip> table 77; "
            "ip rule add ipproto tcp sport 32768-60999 priority 40 lookup 77",
            "ip rule del priority 40; ip route flush table 77",
        ),
        Variant("ip rule add ipproto tcp sport 32768-60999 priority 40 blackhole", "ip rule del priority 40"),
    ),
    _extra(
        "a local route for a client",
        "server",
        "no_gateway",
        Variant("ip route add local <client_ip> dev lo", "ip route del local <client_ip> table local"),
    ),
    _extra(
        "a local route for the VIP",
        "router client",
        "no_route",
        Variant("ip route add local <vip> dev lo", "ip route del local <vip> table local"),
    ),
    _extra(
        "a mark whose service has no server",
        "director",
        "no_service",
        Variant(
            "ipvsadm -A -f 7 -s rr; fwmark -A -p tcp -d <vip> --dport 1:1000 --set-mark 7",
            "fwmark -F; ipvsadm -D -f 7",
        ),
    ),
    _extra(
        "the director without file descriptors",
        "director",
        "no_files",
        Variant(
            f"pid=$({_DIRECTOR} | head -n 1); prlimit --pid $pid --nofile=$(ls /proc/$pid/fd | wc -l):",
            _AGAIN,
        ),
    ),
    _extra(
        "the director's control socket removed",
        "director",
        "director_down",
        Variant(
            "mv /run/lvs-director.sock /run/away.sock",
            "if [ -e /run/lvs-director.sock ]; then rm /run/away.sock; "
            "else mv /run/away.sock /run/lvs-director.sock; fi",
        ),
    ),
    _extra(
        "a hasty httpd",
        "server",
        "http_error",
        _configured("s/sendfile on;/sendfile on; client_header_timeout 1ms;/"),
        _configured("s/sendfile on;/sendfile on; send_timeout 1ms;/"),
    ),
    _extra(
        "an empty file system where the files were",
        "server",
        "http_error",
        Variant("mount -t tmpfs none /run/lvs/<host>", "umount /run/lvs/<host>"),
        Variant("mount -t tmpfs -o size=8k none /run/lvs/<host>", "umount /run/lvs/<host>"),
    ),
    _extra(
        "another MAC address, which the director does not know",
        "server",
        "mac_changed",
        *(_another_mac(device, method) for method, device in (("nat", "d-eth1"), ("dr", "d-eth0"))),
    ),
    _extra(
        "a source address that no router knows",
        "client",
        "wrong_source",
        Variant(
            "ip address add 192.0.2.77/32 dev lo; ip route replace default via <gw> src 192.0.2.77",
            "ip address del 192.0.2.77/32 dev lo; ip route replace default via <gw>",
        ),
        Variant(
            "ip address add 192.0.2.77/32 dev <lan>; ip route add <vip> via <gw> src 192.0.2.77",
            "ip route del <vip>; ip address del 192.0.2.77/32 dev <lan>",
        ),
    ),
    _extra(
        "an address on a macvlan",
        "client server",
        "",
        Variant(
            "ip link add mv0 link <lan> type macvlan mode bridge; ip link set mv0 up; "
            "ip address add <ip>/<prefix> dev mv0",
            "ip link del mv0",
        ),
    ),
    _extra(
        "half of a file",
        "server",
        "http_error",
        Variant(
            "cp /run/lvs/<host>/100k.bin /run/lvs/<host>/half; truncate -s 50000 /run/lvs/<host>/half; "
            "mv /run/lvs/<host>/half /run/lvs/<host>/100k.bin",
            "ln -f /run/lvs/shared/100k.bin /run/lvs/<host>/100k.bin",
        ),
    ),
    _extra(
        "an httpd that was told to reload, which it cannot",
        "server",
        "http_error",
        Variant(f"{_NGINX} -s reload", f"{_STOP_NGINX}; {_START_NGINX}"),
    ),
    _extra(
        "a filter that answers for the server",
        "server",
        "port_filtered",
        _filter("input", "tcp dport <port> synproxy mss 1460 wscale 7"),
    ),
    _extra(
        "a filter that knows nothing of ftp's data connections",
        "router",
        "port_filtered",
        _filter("forward", "tcp dport 1024-65535 ct state new drop", "nat dr"),
    ),
    _extra(
        "a filter of ftp's data connections",
        "client",
        "port_filtered",
        _filter("input", "tcp sport 30000-65535 drop"),
    ),
    _extra(
        "a second gateway, which does not exist",
        "server",
        "no_gateway",
        Variant(
            "ip route replace default nexthop via <gw> nexthop via <free_ip>; "
            "sysctl -w net.ipv4.fib_multipath_hash_policy=1",
            "ip route replace default via <gw>; sysctl -w net.ipv4.fib_multipath_hash_policy=0",
        ),
    ),
    _extra(
        "an ftp service without persistence",
        "director",
        "ftp_apart",
        Variant("ipvsadm -E -t <vip>:21 -s rr", "ipvsadm -E -t <vip>:21 -s rr -p 300", "tun dr"),
    ),
    _extra(
        "a program of the director's that does not exist",
        "director",
        "wrong_rule",
        Variant(
            "ipvsadm -a -t <vip>:80 -r 127.0.0.1:80 <flag> -w 1", "ipvsadm -d -t <vip>:80 -r 127.0.0.1:80"
        ),
    ),
    _extra(
        "a filter of active ftp",
        "client",
        "port_filtered",
        _filter("prerouting", "tcp sport 20 drop"),
        _filter("output", "tcp dport 20 drop"),
        _filter("input", "ct state new drop"),
    ),
    _extra(
        "a server's filter of active ftp",
        "server",
        "port_filtered",
        _filter("postrouting", "tcp sport 20 drop", "tun dr"),
    ),
    _extra(
        "a client that is refused",
        "server",
        "http_error",
        _configured("s/sendfile on;/sendfile on; deny <client_ip>;/"),
    ),
    _extra(
        "another page",
        "server",
        "http_error",
        Variant(
            "cp --remove-destination /run/lvs/<host>/name /run/lvs/<host>/index.html",
            _FILES,
        ),
    ),
    _extra(
        "a small rate of answers",
        "server",
        "port_filtered",
        _filter("output", "tcp sport <port> limit rate over 10 kbytes/second drop"),
    ),
    _extra(
        "a file with other bytes",
        "server",
        "http_error",
        Variant(
            "cd /run/lvs/<host>; head -c 100000 /dev/zero > other; mv other 100k.bin",
            "ln -f /run/lvs/shared/100k.bin /run/lvs/<host>/100k.bin",
        ),
    ),
    _extra(
        "a policy rule for ftp only",
        "router",
        "policy_rule",
        Variant(
            "ip rule add to <vip> ipproto tcp dport 21 blackhole",
            "ip rule del to <vip> ipproto tcp dport 21 blackhole",
        ),
    ),
    _extra(
        "a policy rule for a client's ftp only",
        "client",
        "policy_rule",
        Variant(
            "ip route add default via <free_ip> table 77; ip rule add ipproto tcp dport 21 lookup 77",
            "ip rule del ipproto tcp dport 21 lookup 77; ip route flush table 77",
        ),
    ),
    _extra(
        "a policy rule for the tunnel on a site's router",
        "site",
        "policy_rule",
        Variant("ip rule add ipproto ipencap unreachable", "ip rule del ipproto ipencap unreachable", "tun"),
    ),
    _extra(
        "the name of another server",
        "server",
        "http_error",
        Variant("echo rs9 > /run/lvs/<host>/name", "echo <host> > /run/lvs/<host>/name"),
        Variant("echo <peer> > /run/lvs/<host>/name", "echo <host> > /run/lvs/<host>/name"),
    ),
    _extra(
        "an httpd that hardly sends after 50 kB",
        "server",
        "http_error",
        _configured("s/sendfile on;/sendfile on; limit_rate_after 50k; limit_rate 1;/"),
    ),
    _extra(
        "a filter of some of the clients' ports",
        "router",
        "port_filtered",
        _filter("forward", "tcp sport & 31 == 3 drop", "nat dr"),
    ),
    _extra(
        "a filter of long packets",
        "server",
        "port_filtered",
        _filter("output", "tcp sport <port> meta length > 1000 drop"),
        _filter("output", "tcp sport <port> meta length 1000-65535 drop"),
    ),
    _extra(
        "a filter of ftp",
        "client router",
        "port_filtered",
        _filter("postrouting", "tcp dport { 21, 990 } drop", "nat dr"),
    ),
    _extra(
        "a filter of data, but not of handshakes",
        "router",
        "port_filtered",
        _filter("forward", "tcp flags & psh == psh drop", "nat dr"),
        _filter("forward", "tcp flags & fin == fin drop", "nat dr"),
    ),
    _extra(
        "the VIP taken from what the engine keeps from the kernel",
        "director",
        "engine_detached",
        Variant(
            "nft delete element ip lvs vips { <vip> }",
            "nft add element ip lvs vips { <vip> }",
            engines="scapy",
        ),
    ),
    _extra(
        "a rule for the port of another service",
        "director",
        "wrong_rule",
        Variant(
            "ipvsadm -d -t <vip>:21 -r <rip2>:21; ipvsadm -a -t <vip>:21 -r <rip2>:8000 -m",
            "ipvsadm -d -t <vip>:21 -r <rip2>:8000; ipvsadm -a -t <vip>:21 -r <rip2>:21 -m",
            "nat",
        ),
        Variant("ipvsadm -a -t <vip>:21 -r <rip1>:80 -m", "ipvsadm -d -t <vip>:21 -r <rip1>:80", "nat"),
    ),
    _extra(
        "a mark for long packets, and a policy rule that drops them",
        "server",
        "packet_mangled",
        Variant(
            "ip rule add fwmark 9 blackhole; nft 'add table ip f; "
            "add chain ip f c { type route hook output priority -150; }; "
            "add rule ip f c tcp sport <port> meta length > 600 meta mark set 9'",
            "nft delete table ip f; ip rule del fwmark 9 blackhole",
        ),
    ),
    _extra(
        "a small TTL, and a route with another",
        "server",
        "",
        Variant(
            "sysctl -w net.ipv4.ip_default_ttl=1; ip route replace default via <gw> hoplimit 64",
            "sysctl -w net.ipv4.ip_default_ttl=64; ip route replace default via <gw>",
        ),
    ),
    _extra(
        "a TTL that a router sets",
        "router",
        "packet_mangled",
        _filter("forward", "ip ttl set 1", "nat dr"),
        _filter("forward", "tcp dport 80 tcp dport set 81"),
    ),
    _extra(
        "a policy with exceptions",
        "server",
        "port_filtered",
        Variant(
            "nft 'add table inet f; add chain inet f c { type filter hook input priority 0; policy drop; }; "
            "add rule inet f c ct state established,related accept; add rule inet f c iif lo accept; "
            "add rule inet f c tcp dport { 22, 443 } accept'",
            "nft delete table inet f",
        ),
    ),
    _extra(
        "filtered behind the engine",
        "director",
        "port_filtered",
        Variant(
            "nft 'add table netdev f; "
            "add chain netdev f c { type filter hook egress device <inner> priority 0; }; "
            "add rule netdev f c ip daddr != <dip> drop'",
            "nft delete table netdev f",
            engines="scapy",
        ),
    ),
    _extra(
        "half of all addresses by a peer",
        "server",
        "no_gateway",
        Variant(
            "ip route add 128.0.0.0/1 via <peer_ip>",
            "ip route del 128.0.0.0/1 via <peer_ip>",
            "nat dr",
        ),
    ),
    # ---- what hurts nothing ----
    _kind(
        "a filter that the engine bypasses",
        "director",
        "",
        _filter("input", "tcp dport 80 drop"),
        _filter("prerouting", "tcp dport 80 drop"),
        _filter("forward", "ip daddr <vip> drop"),
    ),
    _kind(
        "source NAT that the engine bypasses",
        "director",
        "",
        _nat("add rule ip f c oifname d-eth0 masquerade"),
    ),
    _kind(
        "smaller MTU of an end",
        "client server",
        "",
        Variant("ip link set <lan> mtu 1400", "ip link set <lan> mtu 1500", "nat dr"),
    ),
    _kind("proxy ARP on the router", "router director", "", _sysctl("conf.all.proxy_arp", 1, 0)),
    _kind(
        "ARP filter",
        "director server",
        "",
        _sysctl("conf.<lan>.arp_filter", 1, 0),
    ),
    _extra(
        "the right static neighbour",
        "router",
        "",
        Variant(
            "ip neigh replace <vip> lladdr <dip_mac> dev r0-eth1 nud permanent",
            "ip neigh del <vip> dev r0-eth1",
        ),
    ),
    _extra(
        "one server quiesced",
        "director",
        "",
        Variant(
            "ipvsadm -e -t <vip>:80 -r <rip1>:80 <flag> -w 0",
            "ipvsadm -e -t <vip>:80 -r <rip1>:80 <flag> -w 1",
        ),
    ),
    _extra(
        "one server less",
        "director",
        "",
        Variant("ipvsadm -d -t <vip>:80 -r <rip1>:80", f"ipvsadm -C; {_RULES}"),
    ),
    _extra(
        "a second address",
        "server client",
        "",
        Variant("ip address add <free_ip>/<prefix> dev <lan>", "ip address del <free_ip>/<prefix> dev <lan>"),
        Variant("ip address add 10.9.9.9/24 dev <lan>", "ip address del 10.9.9.9/24 dev <lan>"),
    ),
    _extra(
        "a router's rule for packets of its own",
        "router",
        "",
        Variant("ip rule add iif lo priority 40 prohibit", "ip rule del priority 40"),
    ),
    _extra(
        "a local route instead of the VIP",
        "server",
        "",
        Variant(
            "ip address del <vip>/32 dev lo; ip route add local <vip> dev lo",
            "ip route del local <vip> table local; ip address add <vip>/32 dev lo",
            "dr",
        ),
    ),
    _extra("lo down", "server", "", Variant("ip link set lo down", "ip link set lo up", "nat dr")),
    _extra(
        "the VIP on the LAN's interface",
        "server",
        "",
        Variant(
            "ip address del <vip>/32 dev tunl0; ip address add <vip>/32 dev <lan>",
            "ip address del <vip>/32 dev <lan>; ip address add <vip>/32 dev tunl0",
            "tun",
        ),
    ),
    _extra("loose reverse-path filter", "server router", "", _sysctl("conf.all.rp_filter", 2, 0)),
    _extra("no answer to ping", "server director", "", _sysctl("icmp_echo_ignore_all", 1, 0)),
    _extra(
        "another filter",
        "server router",
        "",
        _filter("input", "tcp dport 22 drop"),
        _filter("input", "udp dport 53 reject"),
    ),
    _extra(
        "no default route where none is needed",
        "director",
        "",
        Variant("ip route del default", "ip route add default via <gw>", "dr"),
    ),
    _extra(
        "another scheduler",
        "director",
        "",
        Variant("ipvsadm -E -t <vip>:80 -s wlc", "ipvsadm -E -t <vip>:80 -s rr"),
        Variant("ipvsadm -E -t <vip>:80 -s sh", "ipvsadm -E -t <vip>:80 -s rr"),
    ),
    _extra(
        "netmask that leads the same way",
        "server",
        "",
        Variant("ip address add <ip>/28 dev <lan>", "ip address del <ip>/28 dev <lan>", "nat"),
    ),
)
