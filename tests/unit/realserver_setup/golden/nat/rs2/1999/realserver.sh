#!/bin/sh
# rs2: a real server of VS-NAT (network address translation), in the commands of 1999.
# Requests to the VIP 203.0.113.1 arrive rewritten to 172.16.0.3, http on port 8000.
# It may be run twice; realserver-undo.sh takes it back.
set -e

# The loopback device, by which a host talks to itself.
ifconfig lo 127.0.0.1 up

# No IPv6: its neighbour discovery would only clutter the captures.
if [ -e /proc/sys/net/ipv6 ]; then echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6; fi

# rs2-eth0: virtual Ethernet leaves TCP's checksums to hardware that is not there, so do them here.
ethtool -K rs2-eth0 tx off

# Its address, on a clean interface: 0.0.0.0 takes away what an earlier run has set.
ifconfig rs2-eth0 0.0.0.0
ifconfig rs2-eth0 172.16.0.3 netmask 255.255.255.0 broadcast 172.16.0.255 up

# Replies must pass the director, which puts the VIP back as their source:
# from 172.16.0.3 the client expects nothing, and would refuse them.
route add default gw 172.16.0.1
