#!/bin/sh
# c1: a client with IPv6, in the commands of iproute2. It knows its router, and nothing about virtual
# servers. May be run twice; client-undo.sh undoes it.
set -e

# The loopback device, through which a host talks to itself.
ip link set lo up

# Enable IPv6, in case it is disabled.
sysctl -q -w net.ipv6.conf.all.disable_ipv6=0

# c1-eth0: a veth device leaves TCP checksums to hardware that does not exist; compute them in software.
ethtool -K c1-eth0 tx off

# Disabling and enabling IPv6 removes the addresses and routes of an earlier run. Duplicate address detection
# (RFC 4862) is off: it would make new addresses tentative for about a second, the link-local one included,
# and the kernel would neither answer for them nor send from them. The lab's addresses are unique, and its
# routes are static, without router advertisements (accept_ra).
sysctl -q -w net.ipv6.conf.c1-eth0.disable_ipv6=1
sysctl -q -w net.ipv6.conf.c1-eth0.accept_dad=0 \
             net.ipv6.conf.c1-eth0.accept_ra=0
sysctl -q -w net.ipv6.conf.c1-eth0.disable_ipv6=0

# Its address, besides the link-local address that the kernel adds.
ip link set c1-eth0 up
ip addr replace 2001:db8:c633:64::101/64 dev c1-eth0

# Packets for all other networks go to the router.
ip -6 route replace default via 2001:db8:c633:64::254
