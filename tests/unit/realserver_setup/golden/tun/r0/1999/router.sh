#!/bin/sh
# r0: a router, in the commands of 1999.
# May be run twice; router-undo.sh undoes it.
set -e

# The loopback device, through which a host talks to itself.
ifconfig lo 127.0.0.1 up

# No IPv6: its neighbour discovery would only clutter the captures.
if [ -e /proc/sys/net/ipv6 ]; then echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6; fi

# r0-eth0: a veth device leaves TCP checksums to hardware that does not exist; compute them in software.
ethtool -K r0-eth0 tx off

# Its address; 0.0.0.0 first removes what an earlier run has set.
ifconfig r0-eth0 0.0.0.0
ifconfig r0-eth0 198.51.100.254 netmask 255.255.255.0 broadcast 198.51.100.255 up

# r0-eth1: a veth device leaves TCP checksums to hardware that does not exist; compute them in software.
ethtool -K r0-eth1 tx off

# Its address; 0.0.0.0 first removes what an earlier run has set.
ifconfig r0-eth1 0.0.0.0
ifconfig r0-eth1 203.0.113.254 netmask 255.255.255.0 broadcast 203.0.113.255 up

# Remote networks, and the routers that lead to them.
route add -net 192.0.2.0 netmask 255.255.255.224 gw 198.51.100.11
route add -net 192.0.2.32 netmask 255.255.255.224 gw 198.51.100.12

# In VS-TUN the source of the replies is the VIP, an address of another network:
# a router that checks source addresses (rp_filter) would drop them.
echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter
echo 0 > /proc/sys/net/ipv4/conf/r0-eth0/rp_filter
echo 0 > /proc/sys/net/ipv4/conf/r0-eth1/rp_filter

# Forward packets.
echo 1 > /proc/sys/net/ipv4/ip_forward
