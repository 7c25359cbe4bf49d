#!/bin/sh
# rs1: a real server of VS-TUN (IP tunneling), in the commands of iproute2.
# Requests arrive inside packets from the director to 192.0.2.2 (IP in IP, protocol 4).
# Unpacked, they are addressed to the VIP 203.0.113.1, which this host has on tunl0.
# It may be run twice; realserver-undo.sh takes it back.

# tunl0 comes from the kernel's ipip module, or from the user-space tunl0 where there is none.
if [ ! -e /proc/sys/net/ipv4/conf/tunl0 ]; then
    echo rs1: there is no device tunl0: load ipip, or start the user-space tunl0 first. >&2
    exit 1
fi
set -e

# The loopback device, by which a host talks to itself.
ip link set lo up

# No IPv6: its neighbour discovery would only clutter the captures.
if [ -e /proc/sys/net/ipv6 ]; then sysctl -q -w net.ipv6.conf.all.disable_ipv6=1; fi

# rs1-eth0: virtual Ethernet leaves TCP's checksums to hardware that is not there, so do them here.
ethtool -K rs1-eth0 tx off

# Its address.
ip addr replace 192.0.2.2/27 broadcast 192.0.2.31 dev rs1-eth0
ip link set rs1-eth0 up

# Replies go to the client by this network's own router, not through the director.
ip route replace default via 192.0.2.1

# Unpacked requests come out of tunl0, but their senders are reached by rs1-eth0:
# the kernel must not drop them for that (the larger of the two values counts).
sysctl -q -w net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.tunl0.rp_filter=0

# This host will have the VIP, but only the director may answer ARP requests for it:
# answer only for addresses of the interface that was asked (arp_ignore), and never ask in the
# VIP's name, which the asked would note as this host's address (arp_announce). It is the LAN's
# interface that this has to be said of, before the VIP is there; on lo it would change nothing.
sysctl -q -w net.ipv4.conf.rs1-eth0.arp_ignore=1 \
             net.ipv4.conf.rs1-eth0.arp_announce=2

# The VIP, on the tunnel's device: a network of one address.
ip addr replace 203.0.113.1/32 broadcast 203.0.113.1 dev tunl0
ip link set tunl0 up
ip route replace 203.0.113.1/32 dev tunl0
