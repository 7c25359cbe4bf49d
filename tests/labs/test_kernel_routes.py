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
print(json.dumps(seen))
"""


def test_lookups_are_the_kernels_and_cost_little() -> None:
    command = sandboxed(sys.executable, "-c", TRIAL)
    done = subprocess.run(command, capture_output=True, text=True, timeout=patient(60), env=FROM_CHECKOUT)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen.pop("each") < 0.001  # seconds of processor time; reading the table takes 0.7 ms per route
    assert seen == {
        "no route": ["", "0.0.0.0", "0.0.0.0"],
        "gateway": ["x0", "203.0.113.2", "203.0.113.254"],
        "link": ["x0", "203.0.113.2", "0.0.0.0"],
        "source": ["x0", "203.0.113.1", "0.0.0.0"],
        "blackhole": ["", "0.0.0.0", "0.0.0.0"],
        "local": ["lo", "203.0.113.1", "0.0.0.0"],
        "one of many": ["x0", "203.0.113.2", "203.0.113.9"],
    }
