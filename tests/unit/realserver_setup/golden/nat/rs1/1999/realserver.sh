#!/bin/sh
# rs1: a real server of VS-NAT (network address translation), in the commands of 1999.
# Requests to the VIP 203.0.113.1 arrive rewritten to 172.16.0.2, http on port 80.
# May be run twice; realserver-undo.sh undoes it.
set -e

# The loopback device, through which a host talks to itself.
ifconfig lo 127.0.0.1 up

# No IPv6: its neighbour discovery would only clutter the captures.
if [ -e /proc/sys/net/ipv6 ]; then echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6; fi

# rs1-eth0: a veth device leaves TCP checksums to hardware that does not exist; compute them in software.
ethtool -K rs1-eth0 tx off

# Its address; 0.0.0.0 first removes what an earlier run has set.
ifconfig rs1-eth0 0.0.0.0
ifconfig rs1-eth0 172.16.0.2 netmask 255.255.255.0 broadcast 172.16.0.255 up

# Replies must go through the director, which makes the VIP their source again:
# the client has no connection to 172.16.0.2, and would answer with RST.
route add default gw 172.16.0.1
