#!/bin/sh
# rs2: a real server of VS-NAT (network address translation) with IPv6, in the commands of iproute2.
# Requests to the VIP 2001:db8:cb00:71::1 arrive rewritten to fd00:ac10::3, http on port 8000.
# May be run twice; realserver-undo.sh undoes it.
set -e

# The loopback device, through which a host talks to itself.
ip link set lo up

# IPv6, where it is switched off.
sysctl -q -w net.ipv6.conf.all.disable_ipv6=0

# rs2-eth0: a veth device leaves TCP checksums to hardware that does not exist; compute them in software.
ethtool -K rs2-eth0 tx off

# IPv6 off and on again removes the addresses and routes of an earlier run. From then on an address can be
# used at once: without a second of duplicate address detection (RFC 4862), in which the kernel neither
# answers for it nor sends from it, nor has its link-local address for neighbour discovery. The plan of the
# lab has no duplicates. Nor does it need what routers announce (accept_ra).
sysctl -q -w net.ipv6.conf.rs2-eth0.disable_ipv6=1
sysctl -q -w net.ipv6.conf.rs2-eth0.accept_dad=0 \
             net.ipv6.conf.rs2-eth0.accept_ra=0
sysctl -q -w net.ipv6.conf.rs2-eth0.disable_ipv6=0

# Its address, beside the link-local one that it has by itself.
ip link set rs2-eth0 up
ip addr replace fd00:ac10::3/64 dev rs2-eth0

# Replies must go through the director, which makes the VIP their source again:
# the client has no connection to fd00:ac10::3, and would reject them.
ip -6 route replace default via fd00:ac10::1
