"""The engine `ipvs`: the same rules in the kernel's own Linux Virtual Server, which forwards the packets.

engine.py         passes the rules on, and reads the kernel's counters
kernel.py         the kernel's side: ipvsadm, nft, sysctls, /proc/net/ip_vs*
prerequisites.py  whether this machine can run it
"""

from director.engines.ipvs.engine import IpvsEngine as Engine

__all__ = ["Engine"]
