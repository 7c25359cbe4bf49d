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

# IPv6, where it is switched off.
sysctl -q -w net.ipv6.conf.all.disable_ipv6=0

# rs1-eth0: a veth device leaves TCP checksums to hardware that does not exist; compute them in software.
ethtool -K rs1-eth0 tx off

# IPv6 off and on again removes the addresses and routes of an earlier run. From then on an address can be
# used at once: without a second of duplicate address detection (RFC 4862), in which the kernel neither
# answers for it nor sends from it, nor has its link-local address for neighbour discovery. The plan of the
# lab has no duplicates. Nor does it need what routers announce (accept_ra).
sysctl -q -w net.ipv6.conf.rs1-eth0.disable_ipv6=1
sysctl -q -w net.ipv6.conf.rs1-eth0.accept_dad=0 \
             net.ipv6.conf.rs1-eth0.accept_ra=0
sysctl -q -w net.ipv6.conf.rs1-eth0.disable_ipv6=0

# Its address, beside the link-local one that it has by itself.
ip link set rs1-eth0 up
ip addr replace 2001:db8:c000:200::2/64 dev rs1-eth0

# Replies go to the client through this network's own router, not through the director.
ip -6 route replace default via 2001:db8:c000:200::1

# Requests come out of ip6tnl0, but the route to their senders is through rs1-eth0. In IPv4 the
# reverse-path filter would have to be switched off for that; IPv6 has none. Nor are there routers to ask.
sysctl -q -w net.ipv6.conf.ip6tnl0.accept_ra=0

# This host will have the VIP, but only the director may answer for it. In IPv4 that takes two sysctls,
# arp_ignore and arp_announce. IPv6 has neither, because it needs neither: the kernel answers a neighbour
# solicitation only for addresses of the interface that receives it, and the VIP will be on another one. Nor
# is the VIP ever the source of a solicitation: that is an address of the interface which sends it. But on
# rs1-eth0 itself the VIP would be answered for, by every real server that has it there.

# The VIP on the tunnel device, as a network of one address. Nobody looks for duplicates there: nodad would be
# of no use.
ip link set ip6tnl0 up
ip addr replace 2001:db8:cb00:71::1/128 dev ip6tnl0
