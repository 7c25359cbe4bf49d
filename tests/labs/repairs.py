"""What people try in each exercise: repairs that must pass, and others that certain checks must refuse.

Each is undone before the next, so that one lab serves all those of an exercise. Words in braces are facts of
the student's variant (`{flag}` is ipvsadm's option for the forwarding method); `{mac}` is the director's MAC
address.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from classroom import catalogue
from classroom.checks.capacity import LAB
from classroom.checks.predictions import SCHEDULERS
from classroom.checks.student_scheduler import FILE
from classroom.model import WORKDIR
from classroom.worksheet import NAME
from doctor.queries import RESTART_DIRECTOR, START_TAKEOVER
from labs.run.takeover import RELOAD_CHECKS


@dataclass(frozen=True, slots=True)
class Try:
    """`typed` and `undo`: commands by host or by a word for several; `fails`: checks that refuse it."""

    what: str
    typed: Mapping[str, str]
    undo: Mapping[str, str] = field(default_factory=dict)
    fails: tuple[str, ...] = ()


def setting(on: str, name: str, value: object, before: object = 0, *fails: str) -> Try:
    """A sysctl below net.ipv4.conf; afterwards the router asks again for the VIP."""
    key = f"net.ipv4.conf.{name}"
    return Try(
        f"{name}={value} on {on}",
        {on: f"sysctl -qw {key}={value}", **ASKS},
        {on: f"sysctl -qw {key}={before}"},
        fails,
    )


ASKS = {"r0": "ip neigh flush to {vip}; ip neigh del {vip} dev r0-eth1; true"}
_QUIET = (
    "nft add table arp quiet; nft 'add chain arp quiet in {{ type filter hook input priority 0; }}'; "
    "nft add rule arp quiet in arp daddr ip {vip} drop"
)
_DROP = {"servers": _QUIET, **ASKS}
_STATIC = {"r0": "ip neigh replace {vip} lladdr {mac} dev r0-eth1 nud permanent"}
_NOT_ONE = ("director_gets_all", "fair_for_every_answer")
_NOT_AFTER = ("director_gets_all_after_flush", "fair_after_flush")
_GONE = {"d": "ippfvsadm -D -t {vip}:80 -R {rip}:{port}"}
_BACK = {"d": "ippfvsadm -A -t {vip}:80 -R {rip}:{port}"}
_EACH = "for i in /proc/sys/net/ipv4/conf/rs*-eth0/arp_ignore; do echo {} > $i; done"


def drain(*lines: str) -> dict[str, str]:
    """drain.sh with these lines below `set -e`."""
    text = "\\n".join(lines).replace("'", "'\\''")
    return {"d": "cp drain.sh drain.old; sed -i '/^set -e/q' drain.sh; printf '" + text + "\\n' >> drain.sh"}


_DRAINED = {"d": "mv drain.old drain.sh"}
_KEY = "-t {vip}:80 -r {rip}:{port}"
_ZERO = f"ipvsadm -e {_KEY} -w 0 {{flag}}"

_PID = "../../servers/{server}/nginx.pid"
_HTTPD = f"$(cat {_PID})"
_WIDE = {
    "{server}": "ip addr del {vip}/32 dev lo; ip route replace default via 203.0.113.254; "
    "ifconfig lo:0 {vip} netmask 255.255.255.0 up"
}
# Twice: the first time the gateway is still an address of its own, and the default route leads to lo.
_NARROW = (
    "sed -i '/lo:0/s/255.255.255.0 .*/255.255.255.255 up/' 1999/realserver.sh; "
    "sh 1999/realserver.sh; sh 1999/realserver.sh"
)
_TWICE = {"{other}": "ifconfig {other}-eth0:1 {rip} netmask 255.255.255.0 up"}
_OLD = {"r0": "arp -s {vip} 02:00:cb:00:71:c8"}


def _mtu(size: int) -> str:
    """The MTU of the host's interface."""
    return f"ip link set $(ls /proc/sys/net/ipv4/conf | grep eth0) mtu {size}"


def restarted(edit: str, script: str = "start.sh") -> dict[str, str]:
    """The director with an edited start.sh, or an edited copy of it."""
    copy = f"sed '{edit}' start.sh > {script}" if script != "start.sh" else f"sed -i '{edit}' {script}"
    again = "; ".join(RESTART_DIRECTOR).replace("&;", "&").replace("start.sh", script)
    return {"d": f"{copy}; {again}"}


_HELPS = "s/ --no-ftp-helper//"
_HELPS_NOT = restarted("/^[^#]*lvs-director /s/$/ --no-ftp-helper/")
_LOCAL = {"d": "ippfvsadm -D -t {vip}:80 -R {dip}:80"}

# ---- building a virtual server ----

_SERVERS = ("rs1", "rs2", "rs3")
_QUIET_CARD = "sysctl -qw net.ipv4.conf.$i.arp_ignore=1 net.ipv4.conf.$i.arp_announce=2"
_HEARD_CARD = "sysctl -qw net.ipv4.conf.$i.arp_ignore=0 net.ipv4.conf.$i.arp_announce=0"
_BUILD = {  # on a real server, whose card is $i
    "nat": "ip addr add {rip}/24 dev $i; ip route add default via {inside}",
    "tun": "ip addr add {rip}/27 dev $i; ip route add default via {site}; "
    f"{_QUIET_CARD}; sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.tunl0.rp_filter=0; "
    "ip addr add {vip}/32 dev tunl0; ip link set tunl0 up",
    "dr": f"ip addr add {{rip}}/24 dev $i; ip route add default via 203.0.113.254; {_QUIET_CARD}; "
    "ip addr add {vip}/32 dev lo",
}
_SITES = {"rs1": "192.0.2.1", "rs2": "192.0.2.33", "rs3": "192.0.2.65"}
_VIP_UP = "ip addr add {vip}/32 dev d-eth0"
_PAIRS = {"nat": ("{rs1}:80", "{rs2}:8000 -w 2", "{rs3}:80"), "": ("{rs1}:80", "{rs2}:80", "{rs3}:80")}
_FTP_PAIRS = {"nat": ("{rs2}:21",), "": ("{rs1}:21", "{rs2}:21", "{rs3}:21")}
_BLANK = {
    "d": "ippfvsadm -C; ip addr del {vip}/32 dev d-eth0; true",
    **{
        name: f"i={name}-eth0; ip addr flush dev $i; ip route del default; {_HEARD_CARD}; "
        "ip addr del {vip}/32 dev lo; ip addr del {vip}/32 dev tunl0; true"
        for name in _SERVERS
    },
    **ASKS,
}


def rules_by(tool: str, method: str, http: int = 3) -> str:
    """The rules of a virtual server, with the first `http` real servers of its web service."""
    web = _PAIRS.get(method, _PAIRS[""])[:http]
    places = [("80", server) for server in web] + [
        ("21", server) for server in _FTP_PAIRS.get(method, _FTP_PAIRS[""])
    ]
    if tool == "ippfvsadm":
        return "; ".join(f"ippfvsadm -A -t {{vip}}:{port} -R {place}" for port, place in places)
    # Where the director does not see replies, nothing but persistence leads ftp's data connections aright.
    kinds = {"80": "-s wrr", "21": "-s wrr"} if method == "nat" else {"80": "-s rr", "21": "-s rr -p 300"}
    services = [f"ipvsadm -A -t {{vip}}:{port} {kind}" for port, kind in kinds.items()]
    targets = [f"ipvsadm -a -t {{vip}}:{port} -r {place} {{flag}}" for port, place in places]
    return "; ".join((*services, *targets))


def built(method: str, tool: str = "ippfvsadm", *, without: str = "", http: int = 3) -> dict[str, str]:
    """All hosts set up with ip(8); on rs1 without the part of _BUILD that has this text."""
    typed = {"d": f"{_VIP_UP}; {rules_by(tool, method, http)}"}
    for name in _SERVERS:
        steps = _BUILD[method].split("; ")
        left = [step for step in steps if not (without and name == "rs1" and without in step)]
        line = "; ".join(left).replace("{rip}", f"{{{name}}}").replace("{site}", _SITES[name])
        typed[name] = f"i={name}-eth0; {line}"
    return {**typed, **ASKS}


def as_solved(name: str) -> dict[str, str]:
    """The commands of the exercise's own solution."""
    (solution,) = catalogue.solutions(name)
    return {repair.on: "; ".join(repair.commands) for repair in solution.repairs}


def building(method: str, *wrong: Try) -> tuple[Try, ...]:
    """Three ways to build it, and what is refused."""
    shares = "fair_after_flush" if method == "dr" else "fair_shares"
    return (
        Try("as in 1999", as_solved(f"build-{method}"), _BLANK),
        Try("with ip(8)", built(method), _BLANK),
        Try("with ipvsadm", built(method, "ipvsadm"), _BLANK),
        Try("one real server short", built(method, http=2), _BLANK, (shares,)),
        *wrong,
    )


_FEW = restarted("s/--conn-limit [0-9]*/--conn-limit 24/")
PYTHON = sys.executable


def every(command: str) -> str:
    """The command for each real server of VS-NAT, which is $rip:$port."""
    return (
        "for one in {rs1}:80 {rs2}:8000 {rs3}:80 $([ {count} -lt 4 ] || echo {rs4}:80); do "
        f"rip=${{one%:*}} port=${{one#*:}}; {command}; done"
    )


_RULES = {"d": "mv old rules.sh 2> /dev/null; sh rules.sh"}
_FIREWALL = {"r0": "nft -f fw"}
_FILTERED = {"r0": "nft delete table ip firewall; nft -f fw"}
_PERSISTENT = {"d": "ipvsadm -E -t {vip}:80 -s rr -p 300"}
_SHORT = {"d": "ipvsadm --set 2 2 2"}
_CARD = "for i in $(ip -o link | grep -o 'rs[0-9]*-eth0'); do ethtool -K $i {} > /dev/null 2>&1; done"
_DAMAGED = ("none_damaged",)

_SHOP = {"d": "sh rules.sh"}
_BOTH = "for port in 80 8080; do ipvsadm -E -t {{vip}}:$port {}; done"
_FOLDER = "../../servers/{server}"


def shop(service: str, *, marks: bool = False) -> str:
    """One persistent service for both ports of the shop."""
    mark = "fwmark -A -p tcp -d {vip} --dport $port --set-mark 1" if marks else "true"
    return (
        f"ipvsadm -C; fwmark -F; for port in 80 8080; do {mark}; done; ipvsadm -A {service} -s rr -p 300; "
        f"for rip in {{rs1}} {{rs2}} {{rs3}}; do ipvsadm -a {service} -r $rip {{flag}}; done"
    )


_AGAIN = (  # it has no master process that could reload its configuration
    f"nginx -p {_FOLDER}/ -c nginx.conf -s stop; while [ -e {_FOLDER}/nginx.pid ]; do sleep 0.1; done; "
    f"setsid nginx -p {_FOLDER}/ -c nginx.conf > /dev/null 2>&1 & "
    f"until [ -e {_FOLDER}/nginx.pid ]; do sleep 0.1; done"
)


def listening(lines: str) -> str:
    """The server's httpd with these lines in the place of `listen 8000;`."""
    return f"cp {_FOLDER}/nginx.conf old; sed -i 's/listen 8000;/{lines}/' {_FOLDER}/nginx.conf; {_AGAIN}"


_NGINX = {"{server}": f"cp old {_FOLDER}/nginx.conf; {_AGAIN}"}
_IN = {"d": "ippfvsadm -A -t {vip}:80 -R {rip}:80"}

_LOOSE = {**_BLANK, "rs1": f"sysctl -qw net.ipv4.conf.tunl0.rp_filter=0; {_BLANK['rs1']}"}


def _strict(typed: dict[str, str]) -> dict[str, str]:
    """With the reverse-path filter on where rs1 decapsulates."""
    return {**typed, "rs1": f"{typed['rs1']}; sysctl -qw net.ipv4.conf.tunl0.rp_filter=1"}


# ---- two directors ----

_CONF = "keepalived.conf"


def reloaded(edit: str, *directors: str) -> dict[str, str]:
    """An edited keepalived.conf, which the checks read again; by default on both."""
    return {
        director: f"cp {_CONF} old.conf; {edit}; {RELOAD_CHECKS.format(director=director)}"
        for director in directors or ("d1", "d2")
    }


_OLD_CONF = {
    director: f"cp old.conf {_CONF}; {RELOAD_CHECKS.format(director=director)}" for director in ("d1", "d2")
}


def taking_over(director: str, edit: str) -> dict[str, str]:
    """An edited keepalived.conf, with which the program that moves the VIP starts again."""
    pattern = f"'[r]esync --events .*events-{director}'"
    again = (
        f"pkill -f {pattern}; while pgrep -f {pattern} > /dev/null; do sleep 0.1; done; {START_TAKEOVER} "
        f"until pgrep -f {pattern} > /dev/null; do sleep 0.1; done"
    )
    return {director: f"{edit}; {again}"}


_CHECK = "real_server {rip} 80"  # two checks follow, the first of which is wrong: five lines
_NO_CHECKS = {  # and a rule by hand
    director: "pkill -f '[n]o-vrrp .*events-" + director + "'; "
    "while pgrep -f '[n]o-vrrp .*events-" + director + "' > /dev/null; do sleep 0.1; done; sh rules.sh"
    for director in ("d1", "d2")
}
_CHECKS = dict.fromkeys(("d1", "d2"), "setsid sh monitor.sh > /dev/null 2>&1 &")
_NO_ADVERTISEMENTS = (
    "nft add table ip firewall; nft flush table ip firewall; "
    "nft 'add chain ip firewall input {{ type filter hook input priority 0; policy accept; }}'; "
    "nft 'add rule ip firewall input ip protocol vrrp drop'"
)
_ALONE = {
    "d2": _NO_ADVERTISEMENTS + "; until ip -o addr show dev d2-eth0 | grep -q ' {vip}/'; do sleep 0.1; done"
}
_NOT_ONE_OWNER = ("one_owner",)
_ROUTER_15, _ROUTER_51 = "virtual_router_id 15", "virtual_router_id 51"


def _apart(edit: str) -> dict[str, str]:
    """d2 with a virtual router of its own, until it has the VIP."""
    has_vip = "until ip -o addr show dev d2-eth0 | grep -q ' {vip}/'; do sleep 0.1; done"
    return {"d2": f"{taking_over('d2', edit)['d2']}; {has_vip}"}


_WRONG_ID, _RIGHT_ID = "inst VIP id 15", "inst VIP id 51"  # not virtual_router_id


def _backup(interface: str, syncid: int) -> dict[str, str]:
    """Another backup daemon on d2; lvs-vrrp starts its own again within a second, perhaps in between."""
    start = f"ipvsadm --start-daemon backup --mcast-interface {interface} --syncid {syncid}"
    return {"d2": f"until ipvsadm --stop-daemon backup; {start}; do sleep 0.1; done"}


_OTHER_ID = _backup("d2-eth1", 15)
_UNTOLD = ("standby_knows",)
_INHIBIT = "sed -i 's/lvs_method DR/lvs_method DR\\n    inhibit_on_failure/' " + _CONF
_HEARS = "sysctl -qw net.ipv4.conf.r0-eth1.drop_gratuitous_arp={}"
_DEAF = {"r0": _HEARS.format(1)}
_UNHEARD = ("takeover_heard",)

# ---- IPv6 ----

_ON_LO = "ip addr add {vip}/128 dev lo"
_OFF_LO = "ip addr del {vip}/128 dev lo 2> /dev/null; "
_OFF_CARD = "ip addr del {vip}/128 dev {interface}"
_DETECTED = {  # on the card, where its kernel asks
    "{server}": _OFF_LO + "ip addr del {vip}/128 dev {interface} 2> /dev/null; "
    "sysctl -qw net.ipv6.conf.{interface}.accept_dad=1; ip addr add {vip}/128 dev {interface}"
}
_UNDETECTED = "sysctl -qw net.ipv6.conf.{interface}.accept_dad=0"
_EACH_CARD = "i=$(ip -o link | grep -o 'rs[0-9]*-eth0'); "
_OFF_CARDS = _EACH_CARD + "ip addr del {vip}/128 dev $i"
_ON_CARDS = {
    "servers": _EACH_CARD + _OFF_LO + "ip addr replace {vip}/128 dev $i nodad",
    "r0": "ip neigh flush to {vip}; true",
}
_ASK6 = {"r0": "ip neigh flush to {vip}; ip neigh del {vip} dev r0-eth1; true"}
_UNLEARNT = {"r0": "sed -i 's/^flags=.*/flags=O/' announce.sh; sh announce.sh"}
_LEARN_AGAIN = "sh advertise.sh"
_DEFAULT6 = "ip -6 route {} default via 2001:db8:cb00:71::254 dev $(ip -o link | grep -o 'rs[0-9]*-eth0')"
_KEEP6 = "nft list table ip6 firewall > fw; "
_FILTERED6 = {"r0": "nft delete table ip6 firewall 2> /dev/null; nft -f fw"}
_MTUS = {one: f"ip link set {one}-eth0 mtu 1400" for one in ("c1", "c2")}
_MTUS_BACK = {one: f"ip link set {one}-eth0 mtu 1500" for one in ("c1", "c2")}

# ---- worksheets, and a scheduler ----

_SHEET, _SOURCE = f"../../{WORKDIR}/{NAME}", f"../../{WORKDIR}/{FILE}"


def handed_in(on: str, file: str, program: str, edit: str = "cat") -> dict[str, str]:
    """The right answers as a program of the exercise prints them, changed by a filter."""
    return {on: f"cp {file} {file}.old; {sys.executable} -m exercises.{program} | {edit} > {file}"}


def worksheet(exercise: str, last: str, judge: str) -> tuple[Try, ...]:
    """Of a worksheet, whose `last` section is for that judge."""
    program, fails = f"{exercise.replace('-', '_')} {{student}}", catalogue.solutions(exercise)[0].fails
    tries = (
        ("filled in", "cat", ()),
        ("with remarks", "sed '/=/s/$/   # I think/'", ()),
        ("with the line ends of Windows", "sed 's/$/\\r/'", ()),
        ("left blank", f"cat {_SHEET}.old", fails),
        ("wrong everywhere", "sed 's/=.*/= rs9/'", fails),
        ("the last section forgotten", f"sed '/^\\[{last}\\]/,$d'", (judge,)),
    )
    undo = {"c1": f"mv {_SHEET}.old {_SHEET}"}
    return tuple(Try(what, handed_in("c1", _SHEET, program, edit), undo, why) for what, edit, why in tries)


def scheduler() -> tuple[Try, ...]:
    """Of a scheduler in a file."""
    tries = (
        ("as in the solution", "cat", ()),
        ("in other words", "sed 's/credit/balance/g'", ()),
        ("with the line ends of Windows", "sed 's/$/\\r/'", ()),
        ("left as it was", f"cat {_SOURCE}.old", catalogue.solutions("write-scheduler")[0].fails),
        ("with quiesced servers", "sed 's/ if server.available//'", ("quiesced_left_out",)),
        ("the heaviest one gets all", "sed '/-= sum/d'", ("spread_smoothly",)),
        ("with a syntax error", "sed 's/def pick/def pick a/'", ("own_tests", "spread_smoothly")),
    )
    undo = {"d": f"mv {_SOURCE}.old {_SOURCE}"}
    return tuple(
        Try(what, handed_in("d", _SOURCE, "write_scheduler", edit), undo, why) for what, edit, why in tries
    )


TRIES: dict[str, tuple[Try, ...]] = {
    "e29": (
        Try("on lo", {"{server}": f"{_OFF_CARD}; {_ON_LO}"}, _DETECTED),
        Try("on lo, too", {"{server}": "ifconfig lo add {vip}/128"}, _DETECTED),
        Try(
            "in the script",
            {
                "{server}": "sed -i 's/^ifconfig {interface} add {vip}/ifconfig lo add {vip}/' "
                "1999/realserver.sh; sh 1999/realserver.sh"
            },
            _DETECTED,
        ),
        Try(
            "nodad",
            {"{server}": f"{_OFF_CARD}; ip addr add {{vip}}/128 dev {{interface}} nodad"},
            _DETECTED,
            ("one_answer",),
        ),
        Try(
            "accept_dad=0",
            {"{server}": f"{_UNDETECTED}; {_OFF_CARD}; ip addr add {{vip}}/128 dev {{interface}}"},
            _DETECTED,
            ("one_answer",),
        ),
        Try("the address is deleted", {"{server}": _OFF_CARD}, _DETECTED, ("all_served", "fair_shares")),
        Try(
            "the server is deleted",
            {"d": "ippfvsadm -D -t [{vip}]:80 -R [{rip}]:{port}"},
            {"d": "ippfvsadm -A -t [{vip}]:80 -R [{rip}]:{port}"},
            ("fair_shares",),
        ),
    ),
    "e30": (
        Try("on lo", {"servers": f"{_OFF_CARDS}; {_ON_LO}", **_ASK6}, _ON_CARDS),
        Try(
            "on lo, too, then", {"servers": f"ifconfig lo add {{vip}}/128; {_OFF_CARDS}", **_ASK6}, _ON_CARDS
        ),
        Try(
            "in the scripts",
            {
                "servers": "sed -i 's,^ip addr replace {vip}.*,ifconfig lo add {vip}/128,' "
                "1999/realserver.sh; sh 1999/realserver.sh",
                **_ASK6,
            },
            _ON_CARDS,
        ),
        Try("the router asks again", _ASK6, {}, _NOT_ONE),
        Try(
            "a static entry on the router",
            {"r0": "ip neigh replace {vip} lladdr {mac} dev r0-eth1 nud permanent"},
            _ASK6,
            _NOT_ONE,
        ),
        Try(
            "one server only",
            {"{server}": f"{_OFF_CARD}; {_ON_LO}", **_ASK6},
            _ON_CARDS,
            _NOT_ONE,
        ),
        Try(
            "duplicates detected again",
            {
                "servers": _EACH_CARD
                + "sysctl -qw net.ipv6.conf.$i.accept_dad=1 net.ipv6.conf.$i.dad_transmits=10; "
                "ip addr del {vip}/128 dev $i; ip addr add {vip}/128 dev $i"
            },
            _ON_CARDS,
            ("all_served",),
        ),
    ),
    "e31": (
        Try("the flag", {"r0": f"sed -i 's/^flags=.*/flags=RO/' announce.sh; {_LEARN_AGAIN}"}, _UNLEARNT),
        Try("both ways round", {"r0": "sed -i 's/^flags=.*/flags=OR/' announce.sh"}, _UNLEARNT),
        Try(
            "another line",
            {"r0": "sed -i 's/[$]flags/RO/' announce.sh"},
            {"r0": "sed -i 's/ RO$/ $flags/' announce.sh"},
        ),
        Try("advertised again", {"r0": _LEARN_AGAIN}, {}, ("route_kept",)),
        Try(
            "static routes",
            {"servers": _DEFAULT6.format("replace")},
            {"servers": _DEFAULT6.format("del")},
            ("route_kept",),
        ),
        Try(
            "no announcement",
            {"r0": "cp announce.sh old; echo : > announce.sh"},
            {"r0": "mv old announce.sh"},
            ("takeover_noticed",),
        ),
        Try(
            "unsolicited advertisements dropped",
            {"servers": _EACH_CARD + "sysctl -qw net.ipv6.conf.$i.drop_unsolicited_na=1"},
            {"servers": _EACH_CARD + "sysctl -qw net.ipv6.conf.$i.drop_unsolicited_na=0"},
            ("takeover_noticed",),
        ),
        Try(
            "no override",
            {"r0": "sed -i 's/^flags=.*/flags=R/' announce.sh"},
            _UNLEARNT,
            ("takeover_noticed",),
        ),
    ),
    "e32": (
        Try("no filter", {"r0": _KEEP6 + "nft delete table ip6 firewall"}, _FILTERED6),
        Try(
            "let it pass",
            {"r0": _KEEP6 + "nft insert rule ip6 firewall guard icmpv6 type packet-too-big accept"},
            _FILTERED6,
        ),
        Try(
            "all errors pass",
            {
                "r0": _KEEP6 + "nft insert rule ip6 firewall guard icmpv6 type "
                "'{{ destination-unreachable, packet-too-big, time-exceeded, parameter-problem }}' accept"
            },
            _FILTERED6,
        ),
        Try("clients send less", _MTUS, _MTUS_BACK, ("path_mtu_learnt",)),
        Try(
            "clamped on the router",
            {
                "r0": "nft add table ip6 clamp; "
                "nft 'add chain ip6 clamp f {{ type filter hook forward priority -10; }}'; "
                "nft add rule ip6 clamp f tcp flags syn tcp option maxseg size set 1200"
            },
            {"r0": "nft delete table ip6 clamp"},
            ("path_mtu_learnt",),
        ),
        Try(
            "errors of IPv4 pass",
            {"r0": _KEEP6 + "nft insert rule ip6 firewall guard icmpv6 type destination-unreachable accept"},
            _FILTERED6,
            ("uploads_arrive", "path_mtu_learnt"),
        ),
    ),
    "e24": (
        Try("another page", reloaded(f"sed -i 's,path /health,path /index.html,' {_CONF}"), _OLD_CONF),
        Try("what users need", reloaded(f"sed -i 's,path /health,path /name,' {_CONF}"), _OLD_CONF),
        Try(
            "the check deleted",
            reloaded("sed -i '/" + _CHECK + " {{/{{n;N;N;N;N;d}}' " + _CONF),
            _OLD_CONF,
        ),
        Try(
            "on one director only",
            reloaded(f"sed -i 's,path /health,path /name,' {_CONF}", "d1"),
            {"d1": _OLD_CONF["d1"]},
            ("both_use_all",),
        ),
        Try("no checks", _NO_CHECKS, _CHECKS, ("dead_taken_out",)),
        Try(
            "more patience",
            reloaded(f"sed -i 's,retry 1,retry 3,' {_CONF}"),
            _OLD_CONF,
            ("fair_shares", "both_use_all"),
        ),
    ),
    "e25": (
        Try("the table deleted", {"d2": "nft delete table ip firewall"}, _ALONE),
        Try("its rules deleted", {"d2": "nft flush chain ip firewall input"}, _ALONE),
        Try(
            "advertisements let pass",
            {"d2": "nft insert rule ip firewall input ip daddr 224.0.0.18 accept"},
            _ALONE,
        ),
        Try(
            "a lower priority",
            taking_over("d2", f"sed -i 's/priority 100/priority 50/' {_CONF}"),
            taking_over("d2", f"sed -i 's/priority 50/priority 100/' {_CONF}"),
            _NOT_ONE_OWNER,
        ),
        Try("the router asks again", ASKS, {}, _NOT_ONE_OWNER),
        Try(
            "a static entry on the router",
            {"r0": "ip neigh replace {vip} lladdr 02:00:cb:00:71:02 dev r0-eth1 nud permanent"},
            ASKS,
            _NOT_ONE_OWNER,
        ),
    ),
    "e26": (
        Try(
            "in the file",
            taking_over("d2", f"sed -i 's/{_WRONG_ID}/{_RIGHT_ID}/' {_CONF}"),
            taking_over("d2", f"sed -i 's/{_RIGHT_ID}/{_WRONG_ID}/' {_CONF}"),
        ),
        Try("by hand", _backup("d2-eth1", 51), _OTHER_ID),
        Try("every number", _backup("d2-eth1", 0), _OTHER_ID),
        Try(
            "the file alone",
            {"d2": f"sed -i 's/{_WRONG_ID}/{_RIGHT_ID}/' {_CONF}"},
            {"d2": f"sed -i 's/{_RIGHT_ID}/{_WRONG_ID}/' {_CONF}"},
            _UNTOLD,
        ),
        Try("on the other network", _backup("d2-eth0", 51), _OTHER_ID, _UNTOLD),
        Try(
            "a master as well",
            {"d2": "ipvsadm --start-daemon master --mcast-interface d2-eth1 --syncid 51"},
            {"d2": "ipvsadm --stop-daemon master || true"},  # lvs-vrrp stops it as well
            _UNTOLD,
        ),
    ),
    "e27": (
        Try("for the service", reloaded(_INHIBIT), _OLD_CONF),
        Try(
            "for each server",
            reloaded(f"sed -i 's/^        weight .*/&\\n        inhibit_on_failure/' {_CONF}"),
            _OLD_CONF,
        ),
        Try(
            "with on",
            reloaded(f"sed -i 's/lvs_method DR/&\\n    inhibit_on_failure on/' {_CONF}"),
            _OLD_CONF,
        ),
        Try("on one director only", reloaded(_INHIBIT, "d1"), {"d1": _OLD_CONF["d1"]}, ("both_keep_it",)),
        Try(
            "a page that stays",
            reloaded(f"sed -i 's,path /index.html,path /name,' {_CONF}"),
            _OLD_CONF,
            ("no_new_users",),
        ),
        Try("no checks", _NO_CHECKS, _CHECKS, ("no_new_users",)),
    ),
    "e28": (
        Try("the setting", {"r0": _HEARS.format(0)}, _DEAF),
        Try(
            "below /proc",
            {"r0": "echo 0 > /proc/sys/net/ipv4/conf/r0-eth1/drop_gratuitous_arp"},
            _DEAF,
        ),
        Try(
            "all interfaces",
            {"r0": "for i in /proc/sys/net/ipv4/conf/*/drop_gratuitous_arp; do echo 0 > $i; done"},
            _DEAF,
        ),
        Try(
            "for all, but not for this",
            {"r0": "sysctl -qw net.ipv4.conf.all.drop_gratuitous_arp=0"},
            {},
            _UNHEARD,
        ),
        Try("the router asks once", ASKS, {}, _UNHEARD),
        Try(
            "the router accepts more",
            {"r0": "sysctl -qw net.ipv4.conf.r0-eth1.arp_accept=1"},
            {"r0": "sysctl -qw net.ipv4.conf.r0-eth1.arp_accept=0"},
            _UNHEARD,
        ),
    ),
    "e33": (
        Try(
            "in the file",
            taking_over("d2", f"sed -i 's/{_ROUTER_15}/{_ROUTER_51}/' {_CONF}"),
            _apart(f"sed -i 's/{_ROUTER_51}/{_ROUTER_15}/' {_CONF}"),
        ),
        Try(
            "written out",
            taking_over("d2", f"sed -i 's/^ *{_ROUTER_15}$/virtual_router_id    51   # as d1/' {_CONF}"),
            _apart(f"sed -i 's/virtual_router_id  .*/{_ROUTER_15}/' {_CONF}"),
        ),
        Try(
            "the file of d1",
            taking_over(
                "d2",
                f"cp {_CONF} old.conf; sed 's/d1/d2/g; s/priority 150/priority 100/' ../d1/{_CONF} > {_CONF}",
            ),
            _apart(f"cp old.conf {_CONF}"),
        ),
        Try(
            "the file alone",
            {"d2": f"sed -i 's/{_ROUTER_15}/{_ROUTER_51}/' {_CONF}"},
            {"d2": f"sed -i 's/{_ROUTER_51}/{_ROUTER_15}/' {_CONF}"},
            _NOT_ONE_OWNER,
        ),
        Try(
            "a lower priority",
            taking_over("d2", f"sed -i 's/priority 100/priority 50/' {_CONF}"),
            taking_over("d2", f"sed -i 's/priority 50/priority 100/' {_CONF}"),
            _NOT_ONE_OWNER,
        ),
        Try("the router asks again", ASKS, {}, _NOT_ONE_OWNER),
    ),
    "e13": (
        Try("the option removed", restarted(_HELPS), _HELPS_NOT),
        Try(
            "another option",
            restarted("s/--no-ftp-helper/--conn-tab-bits 12/"),
            restarted("s/--conn-tab-bits 12/--no-ftp-helper/"),
        ),
        Try(
            "started by another script",
            restarted(_HELPS, "right.sh"),
            restarted("", "start.sh"),
        ),
        Try("the rules again", {"d": "sh rules.sh"}, {}, ("ftp_passive", "ftp_active")),
        Try(
            "persistence",
            {"d": "ipvsadm -E -t {vip}:21 -s rr -p 300"},
            {"d": "sh rules.sh"},
            ("ftp_passive", "ftp_active"),
        ),
        Try(
            "a service for the data port",
            {"d": "ipvsadm -A -t {vip}:20 -s rr; ipvsadm -a -t {vip}:20 -r {rs2}:20 -m"},
            {"d": "ipvsadm -D -t {vip}:20"},
            ("ftp_passive",),
        ),
    ),
    "local-node": (
        Try("by its own address", {"d": "ippfvsadm -A -t {vip}:80 -R {dip}:80"}, _LOCAL),
        Try(
            "by its loopback address",
            {"d": "ippfvsadm -A -t {vip}:80 -R 127.0.0.1:80"},
            {"d": "ippfvsadm -D -t {vip}:80 -R 127.0.0.1:80"},
        ),
        Try("by ipvsadm", {"d": "ipvsadm -a -t {vip}:80 -r {dip}:80 {flag}"}, _LOCAL),
        Try("weight 0", {"d": "ipvsadm -a -t {vip}:80 -r {dip}:80 {flag} -w 0"}, _LOCAL, ("fair_shares",)),
        Try(
            "another port",
            {"d": "ippfvsadm -A -t {vip}:80 -R {dip}:8080"},
            {"d": "ippfvsadm -D -t {vip}:80 -R {dip}:8080"},
            ("all_served",),
        ),
        Try(
            "a service on its own address",
            {"d": "ippfvsadm -A -t {dip}:80 -R 127.0.0.1:80"},
            {"d": "ipvsadm -D -t {dip}:80"},
            ("fair_shares",),
        ),
    ),
    "build-nat": building(
        "nat",
        Try("rs1 without a gateway", built("nat", without="default"), _BLANK, ("all_served",)),
        Try(
            "weights forgotten",
            {**built("nat"), "d": f"{_VIP_UP}; {rules_by('ippfvsadm', 'nat').replace(' -w 2', '')}"},
            _BLANK,
            ("fair_shares",),
        ),
    ),
    "build-tun": building(
        "tun",
        Try("rs1 without the VIP", built("tun", without="{vip}"), _BLANK, ("all_served",)),
        Try("rs1 with rp_filter", _strict(built("tun")), _LOOSE, ("all_served",)),
    ),
    "build-dr": building(
        "dr",
        Try("rs1 without the VIP", built("dr", without="{vip}"), _BLANK, ("fair_after_flush",)),
        Try("rs1 answers ARP", built("dr", without="arp_ignore"), _BLANK, ("one_answer",)),
    ),
    "e01": (
        setting("{server}", "{interface}.arp_ignore", 1),
        setting("{server}", "all.arp_ignore", 2),
        Try("a filter for ARP", _DROP, {"servers": "nft delete table arp quiet"}),
        setting("{server}", "{interface}.arp_ignore", 8, 0, "own_addresses_answered"),
        setting("{server}", "lo.arp_ignore", 1, 0, *_NOT_ONE),
        Try("a static entry on the router", _STATIC, ASKS, _NOT_ONE),
        Try(
            "the server loses the VIP",
            {"{server}": "ip addr del {vip}/32 dev lo", **ASKS},
            {"{server}": "ip addr add {vip}/32 dev lo"},
            ("all_served", "fair_for_every_answer"),
        ),
    ),
    "e02": (
        setting("servers", "all.arp_ignore", 1),
        Try("each interface", {"servers": _EACH.format(1), **ASKS}, {"servers": _EACH.format(0)}),
        Try("a filter for ARP", _DROP, {"servers": "nft delete table arp quiet"}),
        setting("servers", "all.arp_ignore", 8, 0, "own_addresses_answered"),
        setting("servers", "default.arp_ignore", 1, 0, *_NOT_ONE),
        setting("{server}", "all.arp_ignore", 1, 0, *_NOT_ONE),
        Try("a static entry on the router", _STATIC, ASKS, _NOT_ONE),
    ),
    "e03": (
        setting("{server}", "{interface}.arp_announce", 2),
        setting("servers", "all.arp_announce", 2),
        Try(
            "a static entry for the router",
            {
                "{server}": "ping -c1 203.0.113.254 > /dev/null; "
                "mac=$(ip neigh show 203.0.113.254 | sed 's/.*lladdr \\([^ ]*\\).*/\\1/'); "
                "ip neigh replace 203.0.113.254 lladdr $mac dev {interface} nud permanent",
                **ASKS,
            },
            {"{server}": "ip neigh del 203.0.113.254 dev {interface}"},
        ),
        setting("{server}", "{interface}.arp_announce", 1, 0, *_NOT_AFTER),
        Try("the router asks again", ASKS, {}, _NOT_AFTER),
        Try("a static entry on the router", _STATIC, ASKS, _NOT_AFTER),
    ),
    "e04": (
        Try(
            "VIP on lo",
            {"{server}": "ip addr add {vip}/32 dev lo"},
            {"{server}": "ip addr del {vip}/32 dev lo"},
        ),
        Try(
            "a local route",
            {"{server}": "ip route add local {vip} dev lo"},
            {"{server}": "ip route del local {vip} dev lo"},
        ),
        Try(
            "redirected by nft",
            {
                "{server}": "nft add table ip nat; "
                "nft 'add chain ip nat pre {{ type nat hook prerouting priority -100; }}'; "
                "nft add rule ip nat pre ip daddr {vip} tcp dport 80 redirect"
            },
            {"{server}": "nft delete table ip nat"},
        ),
        Try(
            "VIP on the network card",
            {"{server}": "ip addr add {vip}/32 dev {interface}"},
            {"{server}": "ip addr del {vip}/32 dev {interface}"},
            ("one_answer",),
        ),
        Try("the server is deleted", _GONE, _BACK, ("fair_shares",)),
        Try(
            "weight 0",
            {"d": f"ipvsadm -e {_KEY} -w 0 {{flag}}"},
            {"d": f"ipvsadm -e {_KEY} -w 1 {{flag}}"},
            ("fair_shares",),
        ),
    ),
    "e05": (
        setting("{server}", "tunl0.rp_filter", 0, 1),
        setting("{server}", "tunl0.rp_filter", 2, 1),
        setting("{server}", "all.rp_filter", 2),
        setting("{server}", "{interface}.rp_filter", 0, 0, "all_served", "fair_shares"),
        Try("the server is deleted", _GONE, _BACK, ("fair_shares",)),
        setting("{server}", "tunl0.accept_local", 1, 0, "all_served", "fair_shares"),
    ),
    "e06": (
        Try(
            "the default route",
            {"{server}": "ip route replace default via {inside}"},
            {"{server}": "ip route del default"},
        ),
        Try(
            "two halves",
            {"{server}": "ip route add 0.0.0.0/1 via {inside}; ip route add 128.0.0.0/1 via {inside}"},
            {"{server}": "ip route del 0.0.0.0/1; ip route del 128.0.0.0/1"},
        ),
        Try(
            "a rule for its own packets",
            {"{server}": "ip route add default via {inside} table 100; ip rule add from {rip} table 100"},
            {"{server}": "ip route flush table 100; ip rule del from {rip} table 100"},
        ),
        Try(
            "a route for these clients",
            {"{server}": "ip route add 198.51.100.0/24 via {inside}"},
            {"{server}": "ip route del 198.51.100.0/24"},
            ("every_client_answered",),
        ),
        Try(
            "another real server as gateway",
            {"{server}": "ip route replace default via {other_rip}"},
            {"{server}": "ip route del default"},
            ("all_served", "fair_shares", "others_served"),
        ),
        Try("the server is deleted", _GONE, _BACK, ("fair_shares",)),
    ),
    "e07": (
        Try(
            "the route is deleted",
            {"{server}": "ip route del 172.16.0.0/24"},
            {"{server}": "ip route add 172.16.0.0/24 dev {interface}"},
        ),
        Try(
            "by the director",
            {"{server}": "ip route replace 172.16.0.0/24 via {inside}"},
            {"{server}": "ip route replace 172.16.0.0/24 dev {interface}"},
        ),
        Try(
            "a route to c3",
            {"{server}": "ip route add {c3} via {inside}"},
            {"{server}": "ip route del {c3}"},
        ),
        Try("the server is deleted", _GONE, _BACK, ("fair_shares",)),
        Try(
            "c3 resets nothing",
            {
                "c3": "nft add table ip f; "
                "nft 'add chain ip f out {{ type filter hook output priority 0; }}'; "
                "nft add rule ip f out tcp flags rst drop"
            },
            {"c3": "nft delete table ip f"},
            ("others_served",),
        ),
        Try(
            "c3 has an address elsewhere",
            {"{server}": "ip route add blackhole {c3}"},
            {"{server}": "ip route del blackhole {c3}"},
            ("others_served",),
        ),
    ),
    "e12": (
        Try("quiesced", drain(_ZERO), _DRAINED),
        Try(
            "deleted, and added with weight 0",
            drain(f"ipvsadm -d {_KEY}", f"ipvsadm -a {_KEY} -w 0 {{flag}}"),
            _DRAINED,
        ),
        Try("by ipvsadm -R", drain(f"echo '-e {_KEY} -w 0 {{flag}}' | ipvsadm -R"), _DRAINED),
        Try(
            "a threshold", drain(f"ipvsadm -e {_KEY} -x 1 {{flag}}"), _DRAINED, ("new_connections_elsewhere",)
        ),
        Try(
            "deleted a minute later",
            drain(_ZERO, f"(sleep 60; ipvsadm -d {_KEY}) > /dev/null 2>&1 &"),
            _DRAINED,
            ("drain_script_succeeds",),
        ),
        Try(
            "deleted a minute later, in another session",
            drain(_ZERO, f"setsid env -i sh -c 'sleep 60; ipvsadm -d {_KEY}' &"),
            _DRAINED,
            ("drain_script_succeeds",),
        ),
        Try("deleted at once", drain(_ZERO, f"ipvsadm -d {_KEY}"), _DRAINED, ("open_connections_continue",)),
        Try(
            "deleted a second later",
            drain(_ZERO, "sleep 1", f"ipvsadm -d {_KEY}"),
            _DRAINED,
            ("open_connections_continue",),
        ),
        Try("nothing", drain("true"), _DRAINED, ("new_connections_elsewhere",)),
    ),
    "e18": (
        Try("continued", {"{server}": f"kill -CONT {_HTTPD}"}, {"{server}": f"kill -STOP {_HTTPD}"}),
        Try("all continued", {"{server}": "pkill -CONT nginx"}, {"{server}": f"kill -STOP {_HTTPD}"}),
        Try(
            "started again",
            {
                "{server}": f"kill -KILL {_HTTPD}; rm -f {_PID}; "
                "setsid nginx -p ../../servers/{server}/ -c nginx.conf > /dev/null 2>&1 & "
                f"until [ -s {_PID} ]; do sleep 0.1; done"
            },
            {"{server}": f"kill -STOP {_HTTPD}"},
        ),
        Try("weight 0", {"d": _ZERO}, {"d": f"ipvsadm -e {_KEY} -w 1 {{flag}}"}, ("fair_shares",)),
        Try("the server is deleted", _GONE, _BACK, ("fair_shares",)),
        Try(
            "another scheduler",
            {"d": "ipvsadm -E -t {vip}:80 -s wlc"},
            {"d": "ipvsadm -E -t {vip}:80 -s rr"},
            ("fair_shares",),
        ),
    ),
    "e19": (
        Try("netmask", {"{server}": "ifconfig lo:0 {vip} netmask 255.255.255.255 up"}, _WIDE),
        Try("by ip", {"{server}": "ip addr del {vip}/24 dev lo; ip addr add {vip}/32 dev lo"}, _WIDE),
        Try("in the script", {"{server}": _NARROW}, _WIDE),
        Try("the server loses the VIP", {"{server}": "ip addr del {vip}/24 dev lo"}, _WIDE, ("all_served",)),
        Try(
            "a route to the director",
            {"{server}": "ip route add {dip} dev {interface}"},
            {"{server}": "ip route del {dip} dev {interface}"},
            ("all_healthy",),
        ),
        setting("{server}", "{interface}.accept_local", 1, 0, "all_healthy"),
        Try("the server is deleted", _GONE, _BACK, ("fair_shares", "all_healthy")),
    ),
    "e20": (
        Try("address deleted", {"{other}": "ip addr del {rip}/24 dev {other}-eth0"}, _TWICE),
        Try("alias down", {"{other}": "ifconfig {other}-eth0:1 down"}, _TWICE),
        Try("alias without address", {"{other}": "ifconfig {other}-eth0:1 0.0.0.0"}, _TWICE),
        setting("{other}", "{other}-eth0.arp_ignore", 8, 1, "one_owner_each"),
        Try(
            "a static entry on the director",
            {"d": "ip neigh replace {rip} lladdr {server_mac} dev d-eth0 nud permanent"},
            {"d": "ip neigh del {rip} dev d-eth0"},
            ("one_owner_each",),
        ),
        Try(
            "the server shows itself",
            {"{server}": "ping -c1 -W1 {dip} > /dev/null; true"},
            {},
            ("one_owner_each",),
        ),
    ),
    "e21": (
        Try("by arp", {"r0": "arp -d {vip}"}, _OLD),
        Try("by ip", {"r0": "ip neigh del {vip} dev r0-eth1"}, _OLD),
        Try("all permanent entries", {"r0": "ip neigh flush dev r0-eth1 nud permanent"}, _OLD),
        Try("the new address, by hand", _STATIC, _OLD, ("neighbours_learnt",)),
        Try("flushed", {"r0": "ip neigh flush all"}, {}, ("all_served", "neighbours_learnt")),
        Try(
            "the director shows itself",
            {"d": "ping -c1 -W1 -I {vip} 203.0.113.254 > /dev/null; true"},
            {},
            ("all_served", "neighbours_learnt"),
        ),
    ),
    "e22": (
        Try("the director's MTU", {"d": "ip link set d-eth1 mtu 1500"}, {"d": "ip link set d-eth1 mtu 1400"}),
        Try("all servers' MTU", {"servers": _mtu(1400)}, {"servers": _mtu(1500)}),
        Try(
            "all servers' routes",
            {"servers": "ip route replace default via {inside} mtu 1400"},
            {"servers": "ip route replace default via {inside}"},
        ),
        Try("one server's MTU", {"{server}": _mtu(1400)}, {"{server}": _mtu(1500)}, ("downloads_arrive",)),
        Try(
            "the director's other MTU",
            {"d": "ip link set d-eth0 mtu 1400"},
            {"d": "ip link set d-eth0 mtu 1500"},
            ("downloads_arrive",),
        ),
        Try(
            "the clients' MTU",
            {"c1": _mtu(1400), "c2": _mtu(1400)},
            {"c1": _mtu(1500), "c2": _mtu(1500)},
            ("clients_untouched",),
        ),
        Try(
            "the clients' segments",
            dict.fromkeys(("c1", "c2"), "ip route replace default via 198.51.100.254 advmss 1200"),
            dict.fromkeys(("c1", "c2"), "ip route replace default via 198.51.100.254"),
            ("clients_untouched",),
        ),
    ),
    "e23": (
        Try("65536", restarted("s/--conn-limit 24/--conn-limit 65536/"), _FEW),
        Try(
            "the default",
            restarted("s/--conn-limit 24//"),
            restarted("s/$/ --conn-limit 24/;/^#/s/ --conn-limit 24//"),
        ),
        Try("1000", restarted("s/--conn-limit 24/--conn-limit 1000/"), _FEW),
        Try("a few more", restarted("s/--conn-limit 24/--conn-limit 60/"), _FEW, ("rush_served",)),
        Try(
            "more buckets",
            restarted("s/--conn-limit 24/--conn-limit 24 --conn-tab-bits 16/"),
            restarted("s/ --conn-tab-bits 16//"),
            ("rush_served",),
        ),
        Try(
            "shorter timeouts",
            {"d": "ipvsadm --set 0 1 0"},
            {"d": "ipvsadm --set 0 120 0"},
            ("rush_served",),
        ),
    ),
    "e08": (
        Try(
            "the commented rules again",
            {"d": "cp rules.sh old; sed -i '/:80 /s/^# //' rules.sh; sh rules.sh"},
            _RULES,
        ),
        Try("by ippfvsadm", {"d": every("ippfvsadm -A -t {vip}:80 -R $rip:$port")}, _RULES),
        Try(
            "by ipvsadm",
            {"d": "ipvsadm -A -t {vip}:80 -s rr; " + every("ipvsadm -a -t {vip}:80 -r $rip:$port -m")},
            _RULES,
        ),
        Try("one server", {"d": "ippfvsadm -A -t {vip}:80 -R {rip}:{port}"}, _RULES, ("fair_shares",)),
        Try(
            "http instead of ftp",
            {"d": "ipvsadm -C; " + every("ippfvsadm -A -t {vip}:80 -R $rip:$port")},
            _RULES,
            ("ftp_connects",),
        ),
        Try(
            "an httpd on the director",
            {"d": f"setsid {PYTHON} -m http.server 80 > /dev/null 2>&1 & echo $! > pid"},
            {"d": "kill $(cat pid)"},
            ("all_served", "fair_shares"),
        ),
    ),
    "e09": (
        Try("no filter", {"r0": "nft list table ip firewall > fw; nft delete table ip firewall"}, _FIREWALL),
        Try(
            "let it pass",
            {
                "r0": "nft list table ip firewall > fw; nft insert rule ip firewall guard icmp type "
                "destination-unreachable icmp code frag-needed accept"
            },
            {"r0": "nft delete table ip firewall; nft -f fw"},
        ),
        Try(
            "no rules",
            {"r0": "nft list table ip firewall > fw; nft flush chain ip firewall guard"},
            _FILTERED,
        ),
        Try(
            "clients send less",
            {"c1": "ip link set c1-eth0 mtu 1400", "c2": "ip link set c2-eth0 mtu 1400"},
            {"c1": "ip link set c1-eth0 mtu 1500", "c2": "ip link set c2-eth0 mtu 1500"},
            ("path_mtu_learnt",),
        ),
        Try(
            "clamped on the router",
            {
                "r0": "nft add table ip clamp; "
                "nft 'add chain ip clamp f {{ type filter hook forward priority -10; }}'; "
                "nft add rule ip clamp f tcp flags syn tcp option maxseg size set 1200"
            },
            {"r0": "nft delete table ip clamp"},
            ("path_mtu_learnt",),
        ),
        Try(
            "pings pass",
            {
                "r0": "nft list table ip firewall > fw; "
                "nft insert rule ip firewall guard icmp type echo-request accept"
            },
            {"r0": "nft delete table ip firewall; nft -f fw"},
            ("uploads_arrive", "path_mtu_learnt"),
        ),
    ),
    "e10": (
        Try("not persistent", {"d": "ipvsadm -E -t {vip}:80 -s rr"}, _PERSISTENT),
        Try(
            "a new service",
            {
                "d": "ipvsadm -D -t {vip}:80; ipvsadm -A -t {vip}:80 -s rr; "
                + every("ipvsadm -a -t {vip}:80 -r $rip:$port -m")
            },
            _PERSISTENT,
        ),
        Try("the script", {"d": "cp rules.sh old; sed -i '/ -p 300/d' rules.sh; sh rules.sh"}, _RULES),
        Try(
            "another scheduler", {"d": "ipvsadm -E -t {vip}:80 -s wlc -p 300"}, _PERSISTENT, ("fair_shares",)
        ),
        Try("for a second", {"d": "ipvsadm -E -t {vip}:80 -s rr -p 5"}, _PERSISTENT, ("fair_shares",)),
        Try(
            "for a network",
            {"d": "ipvsadm -E -t {vip}:80 -s rr -p 300 -M 255.0.0.0"},
            _PERSISTENT,
            ("fair_shares",),
        ),
    ),
    "e11": (
        Try("15 minutes", {"d": "ipvsadm --set 900 120 300"}, _SHORT),
        Try("30 seconds", {"d": "ipvsadm --set 30 120 300"}, _SHORT),
        Try(
            "the script",
            {"d": "cp rules.sh old; sed -i 's/--set 2 2 2/--set 60 60 60/' rules.sh; sh rules.sh"},
            _RULES,
        ),
        Try("29 seconds", {"d": "ipvsadm --set 29 120 300"}, _SHORT, ("idle_timeout",)),
        Try("4 seconds", {"d": "ipvsadm --set 4 120 300"}, _SHORT, ("idle_timeout",)),
        Try(
            "other timeouts",
            {"d": "ipvsadm --set 0 900 900"},
            _SHORT,
            ("idle_timeout", "idle_connections_survive"),
        ),
    ),
    "e15": (
        Try("tx off", {"servers": _CARD.format("tx off")}, {"servers": _CARD.format("tx on")}),
        Try(
            "tx and all that needs it off",
            {"servers": _CARD.format("tx off sg off tso off gso off")},
            {"servers": _CARD.format("tx on sg on tso on gso on")},
        ),
        Try(
            "by the name of the feature",
            {"servers": _CARD.format("tx-checksum-ip-generic off")},
            {"servers": _CARD.format("tx-checksum-ip-generic on")},
        ),
        Try(
            "rx off at a client",
            {"c1": "ethtool -K c1-eth0 rx off"},
            {"c1": "ethtool -K c1-eth0 rx on"},
            _DAMAGED,
        ),
        Try("one server", {"rs1": _CARD.format("tx off")}, {"rs1": _CARD.format("tx on")}, _DAMAGED),
        Try(
            "shorter packets", {"servers": "ip link set rs*-eth0 mtu 1400 2> /dev/null || true"}, {}, _DAMAGED
        ),
    ),
    "e16": (
        Try(
            "ip_forward=0",
            {"d": "sysctl -qw net.ipv4.ip_forward=0"},
            {"d": "sysctl -qw net.ipv4.ip_forward=1"},
        ),
        Try(
            "a filter",
            {
                "d": "nft add table ip f; "
                "nft 'add chain ip f through {{ type filter hook forward priority 0; policy drop; }}'"
            },
            {"d": "nft delete table ip f"},
        ),
        Try(
            "per interface",
            {"d": "sysctl -qw net.ipv4.conf.d-eth1.forwarding=0"},
            {"d": "sysctl -qw net.ipv4.conf.d-eth1.forwarding=1"},
        ),
        Try("no redirects", {"d": "sysctl -qw net.ipv4.conf.all.send_redirects=0"}, {}, ("only_the_vip",)),
        Try(
            "the router has no way",
            {"r0": "ip route del 172.16.0.0/24"},
            {"r0": "ip route add 172.16.0.0/24 via {dip}"},
            ("only_the_vip",),
        ),
        Try(
            "the client resets nothing",
            {
                "c1": "nft add table ip f; nft 'add chain ip f in {{ type filter hook input priority 0; }}'; "
                "nft add rule ip f in ip saddr 172.16.0.0/24 drop"
            },
            {"c1": "nft delete table ip f"},
            ("only_the_vip",),
        ),
    ),
    "e14": (
        Try("by a mark", {"d": shop("-f 1", marks=True)}, _SHOP),
        Try("by port 0", {"d": shop("-t {vip}:0")}, _SHOP),
        Try("by the customer's address", {"d": _BOTH.format("-s sh")}, _SHOP),
        Try("for longer", {"d": _BOTH.format("-s rr -p 3000")}, _SHOP, ("one_server_each",)),
        Try("by another scheduler", {"d": _BOTH.format("-s wlc -p 300")}, _SHOP, ("one_server_each",)),
        Try(
            "one server",
            {
                "d": "for rip in {rs2} {rs3}; do "
                "for port in 80 8080; do ipvsadm -d -t {vip}:$port -r $rip; done; done"
            },
            _SHOP,
            ("customers_shared",),
        ),
    ),
    "e17": (
        Try("on port 80", {"{server}": listening("listen 80;")}, _NGINX),
        Try("on both", {"{server}": listening("listen 8000; listen 80;")}, _NGINX),
        Try(
            "redirected",
            {
                "{server}": "nft add table ip nat; "
                "nft 'add chain ip nat pre {{ type nat hook prerouting priority -100; }}'; "
                "nft add rule ip nat pre ip daddr {vip} tcp dport 80 redirect to :8000"
            },
            {"{server}": "nft delete table ip nat"},
        ),
        Try("the server is deleted", {"d": "ippfvsadm -D -t {vip}:80 -R {rip}:80"}, _IN, ("fair_shares",)),
        Try(
            "a rule with its port",
            {"d": "ippfvsadm -D -t {vip}:80 -R {rip}:80; ipvsadm -a -t {vip}:80 -r {rip}:8000 {flag}"},
            {},  # VS-DR ignores the port
            ("all_served", "fair_shares"),
        ),
        Try(
            "another httpd on port 80",
            {"{server}": f"setsid {PYTHON} -m http.server 80 > /dev/null 2>&1 & echo $! > pid; sleep 2"},
            {"{server}": "kill $(cat pid)"},
            ("fair_shares",),
        ),
    ),
    "packet-table": worksheet("packet-table", "outbound rewriting", "last_packet"),
    "predict": worksheet("predict", SCHEDULERS[-1], f"predicted_{SCHEDULERS[-1]}"),
    "capacity": worksheet("capacity", LAB, "growth_predicted"),
    "write-scheduler": scheduler(),
}
