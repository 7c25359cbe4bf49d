#!/bin/sh
# c1: a client with IPv6, in the commands of iproute2. It knows its router, and nothing about virtual
# servers. May be run twice; client-undo.sh undoes it.
set -e

# The loopback device, through which a host talks to itself.
ip link set lo up

# IPv6, where it is switched off.
sysctl -q -w net.ipv6.conf.all.disable_ipv6=0

# c1-eth0: a veth device leaves TCP checksums to hardware that does not exist; compute them in software.
ethtool -K c1-eth0 tx off

# IPv6 off and on again removes the addresses and routes of an earlier run. From then on an address can be
# used at once: without a second of duplicate address detection (RFC 4862), in which the kernel neither
# answers for it nor sends from it, nor has its link-local address for neighbour discovery. The plan of the
# lab has no duplicates. Nor does it need what routers announce (accept_ra).
sysctl -q -w net.ipv6.conf.c1-eth0.disable_ipv6=1
sysctl -q -w net.ipv6.conf.c1-eth0.accept_dad=0 \
             net.ipv6.conf.c1-eth0.accept_ra=0
sysctl -q -w net.ipv6.conf.c1-eth0.disable_ipv6=0

# Its address, beside the link-local one that it has by itself.
ip link set c1-eth0 up
ip addr replace 2001:db8:c633:64::101/64 dev c1-eth0

# Everything outside of its own network goes to the router.
ip -6 route replace default via 2001:db8:c633:64::254
