#!/bin/sh
# r0: a router with IPv6, in the commands of iproute2.
# May be run twice; router-undo.sh undoes it.
set -e

# The loopback device, through which a host talks to itself.
ip link set lo up

# IPv6, where it is switched off.
sysctl -q -w net.ipv6.conf.all.disable_ipv6=0

# r0-eth0: a veth device leaves TCP checksums to hardware that does not exist; compute them in software.
ethtool -K r0-eth0 tx off

# IPv6 off and on again removes the addresses and routes of an earlier run. From then on an address can be
# used at once: without a second of duplicate address detection (RFC 4862), in which the kernel neither
# answers for it nor sends from it, nor has its link-local address for neighbour discovery. The plan of the
# lab has no duplicates. Nor does it need what routers announce (accept_ra).
sysctl -q -w net.ipv6.conf.r0-eth0.disable_ipv6=1
sysctl -q -w net.ipv6.conf.r0-eth0.accept_dad=0 \
             net.ipv6.conf.r0-eth0.accept_ra=0
sysctl -q -w net.ipv6.conf.r0-eth0.disable_ipv6=0

# Its address, beside the link-local one that it has by itself.
ip link set r0-eth0 up
ip addr replace 2001:db8:c633:64::254/64 dev r0-eth0

# r0-eth1: a veth device leaves TCP checksums to hardware that does not exist; compute them in software.
ethtool -K r0-eth1 tx off

# IPv6 off and on again removes the addresses and routes of an earlier run. From then on an address can be
# used at once: without a second of duplicate address detection (RFC 4862), in which the kernel neither
# answers for it nor sends from it, nor has its link-local address for neighbour discovery. The plan of the
# lab has no duplicates. Nor does it need what routers announce (accept_ra).
sysctl -q -w net.ipv6.conf.r0-eth1.disable_ipv6=1
sysctl -q -w net.ipv6.conf.r0-eth1.accept_dad=0 \
             net.ipv6.conf.r0-eth1.accept_ra=0
sysctl -q -w net.ipv6.conf.r0-eth1.disable_ipv6=0

# Its address, beside the link-local one that it has by itself.
ip link set r0-eth1 up
ip addr replace 2001:db8:cb00:71::254/64 dev r0-eth1

# Remote networks, and the routers that lead to them.
ip -6 route replace 2001:db8:c000:200::/64 via 2001:db8:c633:64::11

# In VS-TUN the source of the replies is the VIP, an address of another network. No router that knows IPv6
# drops them for that unless a filter says so: its kernel has no rp_filter.

# Forward packets.
sysctl -q -w net.ipv6.conf.all.forwarding=1
