#!/bin/sh
# d: the director of VS-NAT, in the commands of iproute2.
# It may be run twice; director-undo.sh takes it back. The rules are in rules.sh.
set -e

# The loopback device, by which a host talks to itself.
ip link set lo up

# No IPv6: its neighbour discovery would only clutter the captures.
if [ -e /proc/sys/net/ipv6 ]; then sysctl -q -w net.ipv6.conf.all.disable_ipv6=1; fi

# The director's own process forwards, so its kernel must not:
# it would send on, unchanged, the very packets that the process rewrites.
sysctl -q -w net.ipv4.ip_forward=0

# Nor may it tell senders of a shorter way round the director (ICMP redirect),
# nor judge senders by the interface they are seen on.
sysctl -q -w net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.all.rp_filter=0
sysctl -q -w net.ipv4.conf.d-eth0.send_redirects=0 \
             net.ipv4.conf.d-eth0.rp_filter=0
sysctl -q -w net.ipv4.conf.d-eth1.send_redirects=0 \
             net.ipv4.conf.d-eth1.rp_filter=0

# d-eth0: virtual Ethernet leaves TCP's checksums to hardware that is not there, so do them here.
ethtool -K d-eth0 tx off

# Its address.
ip addr replace 203.0.113.2/24 broadcast 203.0.113.255 dev d-eth0
ip link set d-eth0 up

# d-eth1: virtual Ethernet leaves TCP's checksums to hardware that is not there, so do them here.
ethtool -K d-eth1 tx off

# Its address.
ip addr replace 172.16.0.1/24 broadcast 172.16.0.255 dev d-eth1
ip link set d-eth1 up

# The way to the clients.
ip route replace default via 203.0.113.254

# The VIP, on an alias of the outside interface: a network of one address.
ip addr replace 203.0.113.1/32 broadcast 203.0.113.1 dev d-eth0 label d-eth0:0
ip route replace 203.0.113.1/32 dev d-eth0 src 203.0.113.1
