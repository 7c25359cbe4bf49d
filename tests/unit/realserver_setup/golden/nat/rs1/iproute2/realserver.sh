#!/bin/sh
# rs1: a real server of VS-NAT (network address translation), in the commands of iproute2.
# Requests to the VIP 203.0.113.1 arrive rewritten to 172.16.0.2, http on port 80.
# May be run twice; realserver-undo.sh undoes it.
set -e

# The loopback device, through which a host talks to itself.
ip link set lo up

# No IPv6: its neighbour discovery would only clutter the captures.
if [ -e /proc/sys/net/ipv6 ]; then sysctl -q -w net.ipv6.conf.all.disable_ipv6=1; fi

# rs1-eth0: a veth device leaves TCP checksums to hardware that does not exist; compute them in software.
ethtool -K rs1-eth0 tx off

# Its address.
ip addr replace 172.16.0.2/24 broadcast 172.16.0.255 dev rs1-eth0
ip link set rs1-eth0 up

# Replies must go through the director, which makes the VIP their source again:
# the client has no connection to 172.16.0.2, and would answer with RST.
ip route replace default via 172.16.0.1
