#!/bin/sh
# rs1: a real server of VS-DR (direct routing) with IPv6, in the commands of iproute2.
# Requests arrive as the client sent them, to the VIP 2001:db8:cb00:71::1: the director changes
# only the MAC address of the frame. This host has the VIP on lo.
# May be run twice; realserver6-undo.sh undoes it.
set -e

# The loopback device, through which a host talks to itself.
ip link set lo up

# IPv6, where it is switched off.
sysctl -q -w net.ipv6.conf.all.disable_ipv6=0

# rs1-eth0: a veth device leaves TCP checksums to hardware that does not exist; compute them in software.
ethtool -K rs1-eth0 tx off

# IPv6 off and on again removes the addresses and routes of an earlier run. From then on an address can be
# used at once: without a second of duplicate address detection (RFC 4862), in which the kernel neither
# answers for it nor sends from it, nor has its link-local address for neighbour discovery. The plan of the
# lab has no duplicates. Nor does it need what routers announce (accept_ra).
sysctl -q -w net.ipv6.conf.rs1-eth0.disable_ipv6=1
sysctl -q -w net.ipv6.conf.rs1-eth0.accept_dad=0 \
             net.ipv6.conf.rs1-eth0.accept_ra=0
sysctl -q -w net.ipv6.conf.rs1-eth0.disable_ipv6=0

# Its address, beside the link-local one that it has by itself.
ip link set rs1-eth0 up
ip addr replace 2001:db8:cb00:71::11/64 dev rs1-eth0

# Replies go to the client through the router, not through the director.
ip -6 route replace default via 2001:db8:cb00:71::254

# This host will have the VIP, but only the director may answer for it. In IPv4 that takes two sysctls,
# arp_ignore and arp_announce. IPv6 has neither, because it needs neither: the kernel answers a neighbour
# solicitation only for addresses of the interface that receives it, and the VIP will be on another one. Nor
# is the VIP ever the source of a solicitation: that is an address of the interface which sends it. But on
# rs1-eth0 itself the VIP would be answered for, by every real server that has it there.

# The VIP on the loopback device, as a network of one address. Nobody looks for duplicates there: nodad would
# be of no use.
ip addr replace 2001:db8:cb00:71::1/128 dev lo
