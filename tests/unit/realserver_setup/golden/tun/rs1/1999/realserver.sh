#!/bin/sh
# rs1: a real server of VS-TUN (IP tunneling), in the commands of 1999.
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
ifconfig lo 127.0.0.1 up

# No IPv6: its neighbour discovery would only clutter the captures.
if [ -e /proc/sys/net/ipv6 ]; then echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6; fi

# rs1-eth0: a veth device leaves TCP checksums to hardware that does not exist; compute them in software.
ethtool -K rs1-eth0 tx off

# Its address; 0.0.0.0 first removes what an earlier run has set.
ifconfig rs1-eth0 0.0.0.0
ifconfig rs1-eth0 192.0.2.2 netmask 255.255.255.224 broadcast 192.0.2.31 up

# Replies go to the client through this network's own router, not through the director.
route add default gw 192.0.2.1

# Requests come out of tunl0, but the route to their senders is through rs1-eth0:
# the reverse-path filter must not drop them (the larger of the two values counts).
echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter
echo 0 > /proc/sys/net/ipv4/conf/tunl0/rp_filter

# This host will have the VIP, but only the director may answer ARP requests for it: answer
# only for addresses of the interface that receives the request. This must be set on the
# LAN's interface, before the VIP is added; on lo it would have no effect.
echo 1 > /proc/sys/net/ipv4/conf/rs1-eth0/arp_ignore

# And never use the VIP as source of ARP requests: others would learn it as this host's address.
echo 2 > /proc/sys/net/ipv4/conf/rs1-eth0/arp_announce

# The VIP on the tunnel device, as a network of one address.
ifconfig tunl0 0.0.0.0
ifconfig tunl0 203.0.113.1 netmask 255.255.255.255 broadcast 203.0.113.1 up
route add -host 203.0.113.1 dev tunl0
