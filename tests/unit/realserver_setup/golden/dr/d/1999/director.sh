#!/bin/sh
# d: the director of VS-DR, in the commands of 1999.
# May be run twice; director-undo.sh undoes it. The rules are in rules.sh.
set -e

# The loopback device, through which a host talks to itself.
ifconfig lo 127.0.0.1 up

# No IPv6: its neighbour discovery would only clutter the captures.
if [ -e /proc/sys/net/ipv6 ]; then echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6; fi

# The director's process forwards, so the kernel must not:
# it would forward, unchanged, the same packets that the process rewrites.
echo 0 > /proc/sys/net/ipv4/ip_forward

# Nor may it send ICMP redirects, which show senders a shorter path past the director.
echo 0 > /proc/sys/net/ipv4/conf/all/send_redirects
echo 0 > /proc/sys/net/ipv4/conf/d-eth0/send_redirects

# Nor drop packets because their source belongs to another interface (reverse-path filter).
echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter
echo 0 > /proc/sys/net/ipv4/conf/d-eth0/rp_filter

# Remove the VIP of an earlier run first: it would keep the routes below alive.
ifconfig d-eth0:0 0.0.0.0

# d-eth0: a veth device leaves TCP checksums to hardware that does not exist; compute them in software.
ethtool -K d-eth0 tx off

# Its address; 0.0.0.0 first removes what an earlier run has set.
ifconfig d-eth0 0.0.0.0
ifconfig d-eth0 203.0.113.2 netmask 255.255.255.0 broadcast 203.0.113.255 up

# The route to the clients.
route add default gw 203.0.113.254

# The VIP on an alias of the outside interface, as a network of one address.
ifconfig d-eth0:0 203.0.113.1 netmask 255.255.255.255 broadcast 203.0.113.1 up
route add -host 203.0.113.1 dev d-eth0:0
