#!/bin/sh
# d: the director of VS-NAT, in the commands of iproute2.
# May be run twice; director-undo.sh undoes it. The rules are in rules.sh.
set -e

# The loopback device, through which a host talks to itself.
ip link set lo up

# No IPv6: its neighbour discovery would only clutter the captures.
if [ -e /proc/sys/net/ipv6 ]; then sysctl -q -w net.ipv6.conf.all.disable_ipv6=1; fi

# The director's process forwards, so the kernel must not:
# it would forward, unchanged, the same packets that the process rewrites.
sysctl -q -w net.ipv4.ip_forward=0

# Nor may it send ICMP redirects, which show senders a shorter path past the director,
# nor drop packets because their source belongs to another interface (reverse-path filter).
sysctl -q -w net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.all.rp_filter=0
sysctl -q -w net.ipv4.conf.d-eth0.send_redirects=0 \
             net.ipv4.conf.d-eth0.rp_filter=0
sysctl -q -w net.ipv4.conf.d-eth1.send_redirects=0 \
             net.ipv4.conf.d-eth1.rp_filter=0

# d-eth0: a veth device leaves TCP checksums to hardware that does not exist; compute them in software.
ethtool -K d-eth0 tx off

# Its address.
ip addr replace 203.0.113.2/24 broadcast 203.0.113.255 dev d-eth0
ip link set d-eth0 up

# d-eth1: a veth device leaves TCP checksums to hardware that does not exist; compute them in software.
ethtool -K d-eth1 tx off

# Its address.
ip addr replace 172.16.0.1/24 broadcast 172.16.0.255 dev d-eth1
ip link set d-eth1 up

# The route to the clients.
ip route replace default via 203.0.113.254

# The VIP on an alias of the outside interface, as a network of one address.
ip addr replace 203.0.113.1/32 broadcast 203.0.113.1 dev d-eth0 label d-eth0:0
ip route replace 203.0.113.1/32 dev d-eth0 src 203.0.113.1
