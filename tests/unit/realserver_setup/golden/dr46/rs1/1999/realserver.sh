#!/bin/sh
# rs1: a real server of VS-DR (direct routing), in the commands of 1999.
# Requests arrive as the client sent them, to the VIP 203.0.113.1: the director changes
# only the MAC address of the frame. This host has the VIP on lo:0.
# May be run twice; realserver-undo.sh undoes it.
set -e

# The loopback device, through which a host talks to itself.
ifconfig lo 127.0.0.1 up

# rs1-eth0: a veth device leaves TCP checksums to hardware that does not exist; compute them in software.
ethtool -K rs1-eth0 tx off

# Its address; 0.0.0.0 first removes what an earlier run has set.
ifconfig rs1-eth0 0.0.0.0
ifconfig rs1-eth0 203.0.113.11 netmask 255.255.255.0 broadcast 203.0.113.255 up

# Replies go to the client through the router, not through the director.
route add default gw 203.0.113.254

# This host will have the VIP, but only the director may answer ARP requests for it: answer
# only for addresses of the interface that receives the request. This must be set on the
# LAN's interface, before the VIP is added; on lo it would have no effect.
echo 1 > /proc/sys/net/ipv4/conf/rs1-eth0/arp_ignore

# And never use the VIP as source of ARP requests: others would learn it as this host's address.
echo 2 > /proc/sys/net/ipv4/conf/rs1-eth0/arp_announce

# The VIP on an alias of the loopback device, as a network of one address:
# with a wider mask this host would take its neighbours' addresses for its own.
ifconfig lo:0 0.0.0.0
ifconfig lo:0 203.0.113.1 netmask 255.255.255.255 broadcast 203.0.113.1 up
route add -host 203.0.113.1 dev lo:0
