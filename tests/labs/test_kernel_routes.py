"""The Scapy engine's next hops are the kernel's, and many routes cost the packet loop nothing.

Standard input of a Python in a network namespace of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys

from labs.wait import patient
from tests.labs.support import FROM_CHECKOUT, sandboxed

ROUTES = 5000
ADDRESSES = (
    *("203.0.113.11", "198.51.100.1", "198.51.100.129", "192.0.2.1", "192.0.2.9", "192.0.2.200", "10.1.2.3"),
    *("9.9.9.9", "198.18.0.1", "2001:db8:1::7", "2001:db8:2::7", "2001:db8:3::7", "2001:db8:9::1"),
)
TRIAL = f"""
import json, subprocess, time
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
network = Network(maps, SimpleNamespace(bump_generation=lambda: None), ["x0"], core.lookup)
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
print(json.dumps(seen))
"""


def test_lookups_are_the_kernels_and_cost_little() -> None:
    command = sandboxed(sys.executable, "-c", TRIAL)
    done = subprocess.run(command, capture_output=True, text=True, timeout=patient(60), env=FROM_CHECKOUT)
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    assert results.pop("copied") < 2  # seconds of processor time for all of them; 0.2 on an idle machine
    hops = results.pop("hops")
    assert [address for address, program, core in hops if program not in ("core", core)] == []
    assert [core for _, program, core in hops if program == "core"].count("none") == 5
    assert sum(program != "core" for _, program, _ in hops) == 7
    assert results.pop("each") < 0.001  # seconds of processor time; reading the table takes 0.7 ms per route
    assert results == {
        "no route": ["", "0.0.0.0", "0.0.0.0"],
        "gateway": ["x0", "203.0.113.2", "203.0.113.254"],
        "link": ["x0", "203.0.113.2", "0.0.0.0"],
        "source": ["x0", "203.0.113.1", "0.0.0.0"],
        "blackhole": ["", "0.0.0.0", "0.0.0.0"],
        "local": ["lo", "203.0.113.1", "0.0.0.0"],
        "one of many": ["x0", "203.0.113.2", "203.0.113.9"],
    }
