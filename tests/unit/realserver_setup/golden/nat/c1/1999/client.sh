#!/bin/sh
# c1: a client, in the commands of 1999. It knows its router, and nothing about virtual servers.
# May be run twice; client-undo.sh undoes it.
set -e

# The loopback device, through which a host talks to itself.
ifconfig lo 127.0.0.1 up

# No IPv6: its neighbour discovery would only clutter the captures.
if [ -e /proc/sys/net/ipv6 ]; then echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6; fi

# c1-eth0: a veth device leaves TCP checksums to hardware that does not exist; compute them in software.
ethtool -K c1-eth0 tx off

# Its address; 0.0.0.0 first removes what an earlier run has set.
ifconfig c1-eth0 0.0.0.0
ifconfig c1-eth0 198.51.100.101 netmask 255.255.255.0 broadcast 198.51.100.255 up

# Packets for all other networks go to the router.
route add default gw 198.51.100.254
