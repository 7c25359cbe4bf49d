"""The engine `ipvs`: the same rules in the kernel's own Linux Virtual Server, which carries the packets.

engine.py    the engine: hands the rules on, and reads back what the kernel has counted
rules.py     from the rules that there are to those that there should be, as lines of ipvsadm
kernel.py    the kernel's side: ipvsadm, /proc/net/ip_vs_conn, sysctls
prerequisites.py  whether this machine can do it
"""

from director.engines.ipvs.engine import IpvsEngine as Engine

__all__ = ["Engine"]
