"""The Scapy engine's next hops are the kernel's, and many routes cost the packet loop nothing.

Standard input of a Python in a network namespace of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from labs.wait import patient
from tests.labs.support import FROM_CHECKOUT, sandboxed

ROUTES = 5000
MANY = 2000  # addresses: more notifications than a socket holds
ADDRESSES = (
    *("203.0.113.11", "198.51.100.1", "198.51.100.129", "192.0.2.1", "192.0.2.9", "192.0.2.200", "10.1.2.3"),
    *("9.9.9.9", "198.18.0.1", "2001:db8:1::7", "2001:db8:2::7", "2001:db8:3::7", "2001:db8:9::1"),
)
MINE = ("192.0.2.1", "192.0.2.3", "203.0.113.1", "203.0.113.2", "203.0.113.255")
TRIAL = f"""
import json, select, socket, subprocess, time
from director.engines.scapy.next_hops import KernelRoutes

def ip(*lines):
    subprocess.run(["ip", "-batch", "-"], input="\\n".join(lines) + "\\n", text=True, check=True)

ip("link set lo up", "link add x0 type veth peer name y0", "link set x0 up", "link set y0 up",
   "addr add 203.0.113.2/24 dev x0", "addr add 203.0.113.1/32 dev x0")
table = KernelRoutes()
seen = {{}}
def look(name, address):
    seen[name] = list(table.lookup(address))

look("no route", "198.51.100.1")
ip("route add 198.51.100.0/24 via 203.0.113.254", "route add blackhole 192.0.2.0/25",
   "route add 192.0.2.128/25 dev x0 src 203.0.113.1",
   *(f"route add 10.{{n // 256}}.{{n % 256}}.0/24 via 203.0.113.9" for n in range({ROUTES})))
table.refresh()
look("gateway", "198.51.100.1")
look("link", "203.0.113.11")
look("source", "192.0.2.200")
look("blackhole", "192.0.2.1")
look("local", "203.0.113.1")
look("one of many", "10.1.2.3")
began = time.process_time()
for _ in range(100):
    table.refresh()
    table.lookup("10.1.2.3")
seen["each"] = (time.process_time() - began) / 100

# The program of the ebpf engine has a copy of the table, in which it looks for the longest prefix.
from director.core.family import IPV4, IPV6, family_of
from director.engines.ebpf import layouts
from director.engines.ebpf.network import Network
from director.engines.scapy.next_hops import Routes
from tests.unit.director.engines.ebpf.support import FakeMap
from types import SimpleNamespace

ip("link add z0 type veth peer name w0", "link set z0 up", "link set w0 up", "addr add 192.0.2.1/30 dev z0",
   "route add 198.51.100.128/25 dev z0", "route add default via 203.0.113.9 metric 5",
   "route add default dev z0 metric 9", "addr add 2001:db8:1::2/64 dev x0 nodad",
   "route add default via 2001:db8:1::9", "route add 2001:db8:2::/48 dev z0",
   "route add unreachable 2001:db8:3::/48", "route add 198.18.0.0/15 nexthop dev x0 nexthop dev z0")
wire = SimpleNamespace(interface="x0", refresh=lambda: None, address="203.0.113.2", mtu=1500)
core = Routes([wire], table)
core.refresh()
maps = {{"routes": FakeMap(20000), "neighbours": FakeMap(20000)}}
settings = SimpleNamespace(bump_generation=lambda: None, set_neighbours_valid_until=lambda _when: None)
network = Network(maps, settings, ["x0"], core.lookup)
began = time.process_time()
network.use(IPV6)
seen["copied"] = time.process_time() - began

def by_the_program(address):
    family, packed = family_of(address), layouts.address(address)
    for length in range(family.bits, -1, -1):
        bits = int.from_bytes(packed, "big") >> family.bits - length << family.bits - length
        value = maps["routes"].get(layouts.prefix_key(length, bits.to_bytes(len(packed), "big")))
        if value is not None:
            index, gateway = int.from_bytes(value[:4], "little"), value[4:4 + len(packed)]
            return "core" if not index else str(layouts.text(gateway) if any(gateway) else address)
    return "core"

def by_the_core(address):
    hop = core.lookup(address)
    return hop.address if hop else "none"

for address in {ADDRESSES}:
    seen.setdefault("hops", []).append([address, by_the_program(address), by_the_core(address)])

# Rules that choose among tables, neighbours and MTUs that an administrator has given, own addresses.
changes = select.epoll()
def noticed():
    table.refresh()
    changes.register(table.fileno(), select.EPOLLIN)
    yield
    seen.setdefault("noticed", []).append(bool(changes.poll(0)))
    changes.unregister(table.fileno())
    core.refresh()
    network.refresh()

def hops(name, *addresses):
    network.tick(core)
    seen[name] = [[by_the_core(address), by_the_program(address)] for address in addresses]

for line in ("route add default via 203.0.113.77 mtu 1300 table 9", "rule add to 198.51.100.0/24 lookup 9"):
    step = noticed()
    next(step)
    ip(line)
    next(step, None)
core.lookup("198.51.100.1")
hops("rule", "198.51.100.1", "9.9.9.9", "2001:db8:1::7")
seen["mtu"] = core.mtu_of("198.51.100.1"), core.mtu_of("9.9.9.9")
hops("rule, later", "198.51.100.1", "9.9.9.9")
step = noticed()
next(step)
ip("rule del to 198.51.100.0/24 lookup 9", "route add 198.18.9.0/24 via inet6 fe80::9 dev x0")
next(step, None)
hops("rule gone", "198.51.100.1", "9.9.9.9", "198.18.9.1")
ip("neigh add 203.0.113.9 lladdr 02:00:00:00:00:99 dev x0 nud permanent",
   "neigh add 203.0.113.8 lladdr 02:00:00:00:00:98 dev x0 nud stale",
   "neigh add 2001:db8:1::9 lladdr 02:00:00:00:00:97 dev x0 nud permanent")
seen["permanent"] = [
    table.permanent_neighbour(socket.if_nametoindex("x0"), address)
    for address in ("203.0.113.9", "203.0.113.8", "203.0.113.7", "2001:db8:1::9")
]

def own():
    core.refresh()
    seen.setdefault("own", []).append(sorted(core.own))

own()
ip("addr add 203.0.113.1/24 dev z0", "addr add 203.0.113.7/31 dev z0")
own()
ip("addr del 203.0.113.1/24 dev z0", "addr del 203.0.113.2/24 dev x0")
own()
ip("link del z0", *(f"addr add 10.9.{{n // 256}}.{{n % 256}}/32 dev x0" for n in range({MANY})))
own()
print(json.dumps(seen))
"""


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    command = sandboxed(sys.executable, "-c", TRIAL)
    done = subprocess.run(command, capture_output=True, text=True, timeout=patient(60), env=FROM_CHECKOUT)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_lookups_are_the_kernels_and_cost_little(results: dict[str, Any]) -> None:
    assert results["copied"] < 2  # seconds of processor time for all of them; 0.2 on an idle machine
    hops = results["hops"]
    assert [address for address, program, core in hops if program not in ("core", core)] == []
    assert [core for _, program, core in hops if program == "core"].count("none") == 5
    assert sum(program != "core" for _, program, _ in hops) == 7
    assert results["each"] < 0.001  # seconds of processor time; reading the table takes 0.7 ms per route
    expected = {
        "no route": ["", "0.0.0.0", "0.0.0.0"],
        "gateway": ["x0", "203.0.113.2", "203.0.113.254"],
        "link": ["x0", "203.0.113.2", "0.0.0.0"],
        "source": ["x0", "203.0.113.1", "0.0.0.0"],
        "blackhole": ["", "0.0.0.0", "0.0.0.0"],
        "local": ["lo", "203.0.113.1", "0.0.0.0"],
        "one of many": ["x0", "203.0.113.2", "203.0.113.9"],
    }
    assert {name: results[name][:3] for name in expected} == expected


def test_rules_choose_the_table(results: dict[str, Any]) -> None:
    """What the core has found, the program finds from then on."""
    assert results["noticed"] == [True] * 3
    assert results["rule"] == [["203.0.113.77"] * 2, ["203.0.113.9", "core"], ["2001:db8:1::7"] * 2]
    assert results["rule, later"] == [["203.0.113.77"] * 2, ["203.0.113.9"] * 2]
    assert results["rule gone"] == [["203.0.113.254"] * 2, ["203.0.113.9"] * 2, ["none", "core"]]
    assert results["mtu"] == [1300, 1500]


def test_own_addresses_and_permanent_neighbours_are_the_kernels(results: dict[str, Any]) -> None:
    first, more, less, many = results["own"]
    assert first == ["127.0.0.1", "127.255.255.255", *MINE]
    assert more == sorted([*first, "203.0.113.7"])
    assert less == sorted({*more} - {"203.0.113.2", "203.0.113.255"})
    assert (len(many), "203.0.113.1" in many, "192.0.2.1" in many) == (3 + MANY, True, False)
    assert results["permanent"] == ["02:00:00:00:00:99", "", "", "02:00:00:00:00:97"]
