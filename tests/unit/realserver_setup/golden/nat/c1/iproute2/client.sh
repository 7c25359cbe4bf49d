#!/bin/sh
# c1: a client, in the commands of iproute2. It knows its router, and nothing about virtual servers.
# May be run twice; client-undo.sh undoes it.
set -e

# The loopback device, through which a host talks to itself.
ip link set lo up

# No IPv6: its neighbour discovery would only clutter the captures.
if [ -e /proc/sys/net/ipv6 ]; then sysctl -q -w net.ipv6.conf.all.disable_ipv6=1; fi

# c1-eth0: a veth device leaves TCP checksums to hardware that does not exist; compute them in software.
ethtool -K c1-eth0 tx off

# Its address.
ip addr replace 198.51.100.101/24 broadcast 198.51.100.255 dev c1-eth0
ip link set c1-eth0 up

# Packets for all other networks go to the router.
ip route replace default via 198.51.100.254
