#!/bin/sh
# rs1: a real server of VS-DR (direct routing), in the commands of iproute2.
# Requests arrive as the client sent them, to the VIP 203.0.113.1: the director changes
# only the MAC address of the frame. This host has the VIP on lo:0.
# May be run twice; realserver-undo.sh undoes it.
set -e

# The loopback device, through which a host talks to itself.
ip link set lo up

# rs1-eth0: a veth device leaves TCP checksums to hardware that does not exist; compute them in software.
ethtool -K rs1-eth0 tx off

# Its address.
ip addr replace 203.0.113.11/24 broadcast 203.0.113.255 dev rs1-eth0
ip link set rs1-eth0 up

# Replies go to the client through the router, not through the director.
ip route replace default via 203.0.113.254

# This host will have the VIP, but only the director may answer ARP requests for it: answer only for
# addresses of the interface that receives the request (arp_ignore), and never use the VIP as source of
# ARP requests, from which others would learn it as this host's address (arp_announce). Both must be
# set on the LAN's interface, before the VIP is added; on lo they would have no effect.
sysctl -q -w net.ipv4.conf.rs1-eth0.arp_ignore=1 \
             net.ipv4.conf.rs1-eth0.arp_announce=2

# The VIP on the loopback device (labelled lo:0), as a network of one address:
# with a wider mask this host would take its neighbours' addresses for its own.
ip addr replace 203.0.113.1/32 broadcast 203.0.113.1 dev lo label lo:0
ip route replace 203.0.113.1/32 dev lo src 203.0.113.1
