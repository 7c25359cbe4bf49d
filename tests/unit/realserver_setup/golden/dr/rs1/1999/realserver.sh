#!/bin/sh
# rs1: a real server of VS-DR (direct routing), in the commands of 1999.
# Requests arrive as the client sent them, to the VIP 203.0.113.1: the director changes
# nothing but the MAC address of the frame. This host has the VIP on lo:0.
# It may be run twice; realserver-undo.sh takes it back.
set -e

# The loopback device, by which a host talks to itself.
ifconfig lo 127.0.0.1 up

# No IPv6: its neighbour discovery would only clutter the captures.
if [ -e /proc/sys/net/ipv6 ]; then echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6; fi

# rs1-eth0: virtual Ethernet leaves TCP's checksums to hardware that is not there, so do them here.
ethtool -K rs1-eth0 tx off

# Its address, on a clean interface: 0.0.0.0 takes away what an earlier run has set.
ifconfig rs1-eth0 0.0.0.0
ifconfig rs1-eth0 203.0.113.11 netmask 255.255.255.0 broadcast 203.0.113.255 up

# Replies go to the client by the router, not through the director.
route add default gw 203.0.113.254

# This host will have the VIP, but only the director may answer ARP requests for it:
# answer only for addresses of the interface that was asked. It is the LAN's interface
# that this has to be said of, before the VIP is there; on lo it would change nothing.
echo 1 > /proc/sys/net/ipv4/conf/rs1-eth0/arp_ignore

# And never ask in the VIP's name: the asked would note it as this host's address.
echo 2 > /proc/sys/net/ipv4/conf/rs1-eth0/arp_announce

# The VIP, on an alias of the loopback device: a network of one address,
# or this host would take its neighbours' addresses for its own.
ifconfig lo:0 0.0.0.0
ifconfig lo:0 203.0.113.1 netmask 255.255.255.255 broadcast 203.0.113.1 up
route add -host 203.0.113.1 dev lo:0
