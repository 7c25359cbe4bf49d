#!/bin/sh
# rs1: a real server of VS-DR (direct routing), in the commands of iproute2.
# Requests arrive as the client sent them, to the VIP 203.0.113.1: the director changes
# nothing but the MAC address of the frame. This host has the VIP on lo:0.
# It may be run twice; realserver-undo.sh takes it back.
set -e

# The loopback device, by which a host talks to itself.
ip link set lo up

# No IPv6: its neighbour discovery would only clutter the captures.
if [ -e /proc/sys/net/ipv6 ]; then sysctl -q -w net.ipv6.conf.all.disable_ipv6=1; fi

# rs1-eth0: virtual Ethernet leaves TCP's checksums to hardware that is not there, so do them here.
ethtool -K rs1-eth0 tx off

# Its address.
ip addr replace 203.0.113.11/24 broadcast 203.0.113.255 dev rs1-eth0
ip link set rs1-eth0 up

# Replies go to the client by the router, not through the director.
ip route replace default via 203.0.113.254

# This host will have the VIP, but only the director may answer ARP requests for it:
# answer only for addresses of the interface that was asked (arp_ignore), and never ask in the
# VIP's name, which the asked would note as this host's address (arp_announce). It is the LAN's
# interface that this has to be said of, before the VIP is there; on lo it would change nothing.
sysctl -q -w net.ipv4.conf.rs1-eth0.arp_ignore=1 \
             net.ipv4.conf.rs1-eth0.arp_announce=2

# The VIP, on the loopback device (labelled lo:0): a network of one address,
# or this host would take its neighbours' addresses for its own.
ip addr replace 203.0.113.1/32 broadcast 203.0.113.1 dev lo label lo:0
ip route replace 203.0.113.1/32 dev lo src 203.0.113.1
