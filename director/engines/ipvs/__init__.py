"""The engine `ipvs`: the same rules in the kernel's own Linux Virtual Server, which forwards the packets.

engine.py         hands the rules on, and reads back what the kernel has counted
kernel.py         the kernel's side: ipvsadm, nft, sysctls, /proc/net/ip_vs*
prerequisites.py  whether this machine can run it
"""

from director.engines.ipvs.engine import IpvsEngine as Engine

__all__ = ["Engine"]
