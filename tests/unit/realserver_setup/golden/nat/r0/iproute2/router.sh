#!/bin/sh
# r0: a router, in the commands of iproute2.
# May be run twice; router-undo.sh undoes it.
set -e

# The loopback device, through which a host talks to itself.
ip link set lo up

# No IPv6: its neighbour discovery would only clutter the captures.
if [ -e /proc/sys/net/ipv6 ]; then sysctl -q -w net.ipv6.conf.all.disable_ipv6=1; fi

# r0-eth0: a veth device leaves TCP checksums to hardware that does not exist; compute them in software.
ethtool -K r0-eth0 tx off

# Its address.
ip addr replace 198.51.100.254/24 broadcast 198.51.100.255 dev r0-eth0
ip link set r0-eth0 up

# r0-eth1: a veth device leaves TCP checksums to hardware that does not exist; compute them in software.
ethtool -K r0-eth1 tx off

# Its address.
ip addr replace 203.0.113.254/24 broadcast 203.0.113.255 dev r0-eth1
ip link set r0-eth1 up

# In VS-TUN the source of the replies is the VIP, an address of another network:
# a router that checks source addresses (rp_filter) would drop them.
sysctl -q -w net.ipv4.conf.all.rp_filter=0
sysctl -q -w net.ipv4.conf.r0-eth0.rp_filter=0
sysctl -q -w net.ipv4.conf.r0-eth1.rp_filter=0

# Forward packets.
sysctl -q -w net.ipv4.ip_forward=1
