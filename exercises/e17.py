"""VS-TUN, VS-DR: some connections are refused at once, and all servers are running."""

from __future__ import annotations

from dataclasses import replace

from classroom.checks.arp import one_answer
from classroom.checks.service import all_served, fair_shares
from classroom.model import SERVER, Edit, Exercise, Fault, Repair, Solution, Variant
from labs.plan import Plan

EXERCISE = Exercise(
    methods=("dr", "tun"),
    checks=(all_served, fair_shares, one_answer),
)

# ---- Faults ----
# An httpd listens on another port than the VIP's; naming it in the rule has no effect.

_PORT = 8000


def _move_httpd(plan: Plan, variant: Variant) -> Plan:
    """Make the httpd of the drawn server listen on that port only."""
    servers = tuple(
        replace(server, http_port=_PORT) if server.name == variant.server else server
        for server in plan.servers
    )
    return replace(plan, servers=servers)


def _with_rule(method: str) -> Fault:
    """A rule with that port: today's ipvsadm accepts it silently, and nothing changes the port."""
    put = (
        "ipvsadm -A -t {vip}:80 -s rr 2> /dev/null || true  # unless the service exists already\n"
        f"ipvsadm -a -t {{vip}}:80 -r {{rip}}:{_PORT} {{flag}}"
    )
    return Fault((Edit("d", "rules.sh", ":80 -R {rip}:80", put),), (method,), _move_httpd)


FAULTS = (Fault(change=_move_httpd), _with_rule("dr"), _with_rule("tun"))

# ---- Solutions ----
# Its httpd listens on port 80 again, or its kernel redirects port 80.

_FOLDER = "../../servers/{server}"
_LISTEN = (
    f"sed -i 's/listen 8000;/listen 80;/' {_FOLDER}/nginx.conf",
    f"nginx -p {_FOLDER}/ -c nginx.conf -s stop",
    f"while [ -e {_FOLDER}/nginx.pid ]; do sleep 0.1; done",
    f"setsid nginx -p {_FOLDER}/ -c nginx.conf > /dev/null 2>&1 &",
    f"until [ -e {_FOLDER}/nginx.pid ]; do sleep 0.1; done",
)
_REDIRECT = (
    "nft add table ip nat",
    "nft add chain ip nat prerouting '{ type nat hook prerouting priority -100; }'",
    "nft add rule ip nat prerouting ip daddr {vip} tcp dport 80 redirect to :8000",
)

SOLUTIONS = tuple(
    Solution(
        cause="port_remapped",
        host=SERVER,
        evidence=("listening", "capture"),
        fails=("all_served", "fair_shares"),
        repairs=(Repair(SERVER, commands),),
    )
    for commands in (_LISTEN, _REDIRECT, _LISTEN)
)
