#!/bin/sh
# rs2: a real server of VS-NAT (network address translation), in the commands of iproute2.
# Requests to the VIP 203.0.113.1 arrive rewritten to 172.16.0.3, http on port 8000.
# It may be run twice; realserver-undo.sh takes it back.
set -e

# The loopback device, by which a host talks to itself.
ip link set lo up

# No IPv6: its neighbour discovery would only clutter the captures.
if [ -e /proc/sys/net/ipv6 ]; then sysctl -q -w net.ipv6.conf.all.disable_ipv6=1; fi

# rs2-eth0: virtual Ethernet leaves TCP's checksums to hardware that is not there, so do them here.
ethtool -K rs2-eth0 tx off

# Its address.
ip addr replace 172.16.0.3/24 broadcast 172.16.0.255 dev rs2-eth0
ip link set rs2-eth0 up

# Replies must pass the director, which puts the VIP back as their source:
# from 172.16.0.3 the client expects nothing, and would refuse them.
ip route replace default via 172.16.0.1
