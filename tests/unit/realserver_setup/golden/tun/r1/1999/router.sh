#!/bin/sh
# r1: a router, in the commands of 1999.
# It may be run twice; router-undo.sh takes it back.
set -e

# The loopback device, by which a host talks to itself.
ifconfig lo 127.0.0.1 up

# No IPv6: its neighbour discovery would only clutter the captures.
if [ -e /proc/sys/net/ipv6 ]; then echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6; fi

# r1-eth0: virtual Ethernet leaves TCP's checksums to hardware that is not there, so do them here.
ethtool -K r1-eth0 tx off

# Its address, on a clean interface: 0.0.0.0 takes away what an earlier run has set.
ifconfig r1-eth0 0.0.0.0
ifconfig r1-eth0 198.51.100.11 netmask 255.255.255.0 broadcast 198.51.100.255 up

# r1-eth1: virtual Ethernet leaves TCP's checksums to hardware that is not there, so do them here.
ethtool -K r1-eth1 tx off

# Its address, on a clean interface: 0.0.0.0 takes away what an earlier run has set.
ifconfig r1-eth1 0.0.0.0
ifconfig r1-eth1 192.0.2.1 netmask 255.255.255.224 broadcast 192.0.2.31 up

# Networks that are not its own, and the routers that lead there.
route add default gw 198.51.100.254

# In VS-TUN the replies carry the VIP, an address from elsewhere, as their source:
# a router that checks where a sender belongs (rp_filter) would drop them.
echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter
echo 0 > /proc/sys/net/ipv4/conf/r1-eth0/rp_filter
echo 0 > /proc/sys/net/ipv4/conf/r1-eth1/rp_filter

# Be a router.
echo 1 > /proc/sys/net/ipv4/ip_forward
