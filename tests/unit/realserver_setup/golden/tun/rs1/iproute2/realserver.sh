#!/bin/sh
# rs1: a real server of VS-TUN (IP tunneling), in the commands of iproute2.
# Requests arrive inside packets from the director to 192.0.2.2 (IP in IP, protocol 4).
# Their own destination is the VIP 203.0.113.1, which this host has on tunl0.
# May be run twice; realserver-undo.sh undoes it.

# tunl0 comes from the kernel's ipip module or, without it, from the user-space tunl0.
if [ ! -e /proc/sys/net/ipv4/conf/tunl0 ]; then
    echo rs1: there is no device tunl0: load ipip, or start the user-space tunl0 first. >&2
    exit 1
fi
set -e

# The loopback device, through which a host talks to itself.
ip link set lo up

# No IPv6: its neighbour discovery would only clutter the captures.
if [ -e /proc/sys/net/ipv6 ]; then sysctl -q -w net.ipv6.conf.all.disable_ipv6=1; fi

# rs1-eth0: a veth device leaves TCP checksums to hardware that does not exist; compute them in software.
ethtool -K rs1-eth0 tx off

# Its address.
ip addr replace 192.0.2.2/27 broadcast 192.0.2.31 dev rs1-eth0
ip link set rs1-eth0 up

# Replies go to the client through this network's own router, not through the director.
ip route replace default via 192.0.2.1

# Requests come out of tunl0, but the route to their senders is through rs1-eth0:
# the reverse-path filter must not drop them (the larger of the two values counts).
sysctl -q -w net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.tunl0.rp_filter=0

# This host will have the VIP, but only the director may answer ARP requests for it: answer only for
# addresses of the interface that receives the request (arp_ignore), and never use the VIP as source of
# ARP requests, from which others would learn it as this host's address (arp_announce). Both must be
# set on the LAN's interface, before the VIP is added; on lo they would have no effect.
sysctl -q -w net.ipv4.conf.rs1-eth0.arp_ignore=1 \
             net.ipv4.conf.rs1-eth0.arp_announce=2

# The VIP on the tunnel device, as a network of one address.
ip addr replace 203.0.113.1/32 broadcast 203.0.113.1 dev tunl0
ip link set tunl0 up
ip route replace 203.0.113.1/32 dev tunl0
