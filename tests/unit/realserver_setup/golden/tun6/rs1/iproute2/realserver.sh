#!/bin/sh
# rs1: a real server of VS-TUN (IP tunneling) with IPv6, in the commands of iproute2.
# Requests arrive inside packets from the director to 2001:db8:c000:200::2 (IPv6 in IPv6, protocol 41).
# Their own destination is the VIP 2001:db8:cb00:71::1, which this host has on ip6tnl0.
# May be run twice; realserver-undo.sh undoes it.

# ip6tnl0 comes from the kernel's ip6_tunnel module or, without it, from the user-space ip6tnl0.
if [ ! -e /proc/sys/net/ipv6/conf/ip6tnl0 ]; then
    echo rs1: there is no device ip6tnl0: load ip6_tunnel, or start the user-space ip6tnl0 first. >&2
    exit 1
fi
set -e

# The loopback device, through which a host talks to itself.
ip link set lo up

# Enable IPv6, in case it is disabled.
sysctl -q -w net.ipv6.conf.all.disable_ipv6=0

# rs1-eth0: a veth device leaves TCP checksums to hardware that does not exist; compute them in software.
ethtool -K rs1-eth0 tx off

# Disabling and enabling IPv6 removes the addresses and routes of an earlier run. Duplicate address detection
# (RFC 4862) is off: it would make new addresses tentative for about a second, the link-local one included,
# and the kernel would neither answer for them nor send from them. The lab's addresses are unique, and its
# routes are static, without router advertisements (accept_ra).
sysctl -q -w net.ipv6.conf.rs1-eth0.disable_ipv6=1
sysctl -q -w net.ipv6.conf.rs1-eth0.accept_dad=0 \
             net.ipv6.conf.rs1-eth0.accept_ra=0
sysctl -q -w net.ipv6.conf.rs1-eth0.disable_ipv6=0

# Its address, besides the link-local address that the kernel adds.
ip link set rs1-eth0 up
ip addr replace 2001:db8:c000:200::2/64 dev rs1-eth0

# Replies go to the client through this network's own router, not through the director.
ip -6 route replace default via 2001:db8:c000:200::1

# Requests come out of ip6tnl0, but the route to their senders is through rs1-eth0. IPv4 would
# need the reverse-path filter off for that; IPv6 has none. No router sends advertisements on this device.
sysctl -q -w net.ipv6.conf.ip6tnl0.accept_ra=0

# This host will have the VIP, but only the director may answer for it. IPv4 needs two sysctls for that,
# arp_ignore and arp_announce. IPv6 has neither, because it needs neither: the kernel answers a neighbour
# solicitation only for addresses of the receiving interface, and the VIP will be on another one. Nor is the
# VIP ever the source of a solicitation: that is an address of the sending interface. With the VIP on
# rs1-eth0 itself, however, every real server would answer for it.

# The VIP on the tunnel device, as a network of one address. Without nodad: the kernel does no duplicate
# address detection on a device without neighbour discovery.
ip link set ip6tnl0 up
ip addr replace 2001:db8:cb00:71::1/128 dev ip6tnl0
