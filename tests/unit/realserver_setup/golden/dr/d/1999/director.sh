#!/bin/sh
# d: the director of VS-DR, in the commands of 1999.
# It may be run twice; director-undo.sh takes it back. The rules are in rules.sh.
set -e

# The loopback device, by which a host talks to itself.
ifconfig lo 127.0.0.1 up

# No IPv6: its neighbour discovery would only clutter the captures.
if [ -e /proc/sys/net/ipv6 ]; then echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6; fi

# The director's own process forwards, so its kernel must not:
# it would send on, unchanged, the very packets that the process rewrites.
echo 0 > /proc/sys/net/ipv4/ip_forward

# Nor may it tell senders of a shorter way round the director (ICMP redirect).
echo 0 > /proc/sys/net/ipv4/conf/all/send_redirects
echo 0 > /proc/sys/net/ipv4/conf/d-eth0/send_redirects

# Nor judge senders by the interface they are seen on.
echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter
echo 0 > /proc/sys/net/ipv4/conf/d-eth0/rp_filter

# The VIP of an earlier run goes first: while it is there, the routes below would stay.
ifconfig d-eth0:0 0.0.0.0

# d-eth0: virtual Ethernet leaves TCP's checksums to hardware that is not there, so do them here.
ethtool -K d-eth0 tx off

# Its address, on a clean interface: 0.0.0.0 takes away what an earlier run has set.
ifconfig d-eth0 0.0.0.0
ifconfig d-eth0 203.0.113.2 netmask 255.255.255.0 broadcast 203.0.113.255 up

# The way to the clients.
route add default gw 203.0.113.254

# The VIP, on an alias of the outside interface: a network of one address.
ifconfig d-eth0:0 203.0.113.1 netmask 255.255.255.255 broadcast 203.0.113.1 up
route add -host 203.0.113.1 dev d-eth0:0
