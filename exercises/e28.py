"""Two directors: the VIP moves at once, but the router does not hear of it, and sends to the old director."""

from __future__ import annotations

from classroom.checks.service import all_served
from classroom.checks.two_directors import one_owner, takeover_heard
from classroom.model import Edit, Exercise, Fault, Repair, Solution

EXERCISE = Exercise(methods=("ha",), checks=(takeover_heard, one_owner, all_served))

# ---- Faults ----
# Gratuitous ARP does not arrive: a setting of the router, its ARP filter, or its port drops it.

_LAN = "r0-eth1"
_SETTING = f"""\

# Unsolicited ARP is how neighbours are deceived.
sysctl -qw net.ipv4.conf.{_LAN}.drop_gratuitous_arp=1"""
_FILTER = f"""\

# Questions for other hosts are none of our business.
nft add table arp firewall
nft flush table arp firewall
nft 'add chain arp firewall input {{ type filter hook input priority 0; policy accept; }}'
nft 'add rule arp firewall input iifname {_LAN} arp operation request arp daddr ip != 203.0.113.254 drop'"""
_PORT = f"""\

# The port on the servers' switch: no broadcasts in the name of {{vip}}.
nft add table netdev port
nft flush table netdev port
nft 'add chain netdev port input {{ type filter hook ingress device {_LAN} priority 0; policy accept; }}'
nft 'add rule netdev port input ether daddr ff:ff:ff:ff:ff:ff arp saddr ip {{vip}} drop'"""
FAULTS = tuple(Fault((Edit("r0", "router.sh", put=put),)) for put in (_SETTING, _FILTER, _PORT))

# ---- Solutions ----
# The router hears it again.

SOLUTIONS = tuple(
    Solution(
        cause="garp_lost",
        host="r0",
        evidence=(evidence, "neighbours", "capture"),
        fails=("takeover_heard",),
        repairs=(Repair("r0", (command,)),),
    )
    for evidence, command in (
        ("settings", f"sysctl -qw net.ipv4.conf.{_LAN}.drop_gratuitous_arp=0"),
        ("packet_filter", "nft delete table arp firewall"),
        ("packet_filter", "nft delete table netdev port"),
    )
)
