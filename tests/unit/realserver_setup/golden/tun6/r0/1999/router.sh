#!/bin/sh
# r0: a router with IPv6, in the commands of 1999.
# May be run twice; router-undo.sh undoes it.
# LVS had no IPv6 in 1999: the kernel has it for virtual servers since Linux 2.6.28 (2008). With the tools of
# those days, whose ifconfig and route knew IPv6 already, it would have looked like this.
set -e

# The loopback device, through which a host talks to itself.
ifconfig lo up

# IPv6, where it is switched off.
echo 0 > /proc/sys/net/ipv6/conf/all/disable_ipv6

# r0-eth0: a veth device leaves TCP checksums to hardware that does not exist; compute them in software.
ethtool -K r0-eth0 tx off

# IPv6 off and on again removes the addresses and routes of an earlier run. From then on an address can be
# used at once: without a second of duplicate address detection (RFC 4862), in which the kernel neither
# answers for it nor sends from it, nor has its link-local address for neighbour discovery. The plan of the
# lab has no duplicates. Nor does it need what routers announce (accept_ra).
echo 1 > /proc/sys/net/ipv6/conf/r0-eth0/disable_ipv6
echo 0 > /proc/sys/net/ipv6/conf/r0-eth0/accept_dad
echo 0 > /proc/sys/net/ipv6/conf/r0-eth0/accept_ra
echo 0 > /proc/sys/net/ipv6/conf/r0-eth0/disable_ipv6

# Its address, beside the link-local one that it has by itself.
ifconfig r0-eth0 up
ifconfig r0-eth0 add 2001:db8:c633:64::254/64

# r0-eth1: a veth device leaves TCP checksums to hardware that does not exist; compute them in software.
ethtool -K r0-eth1 tx off

# IPv6 off and on again removes the addresses and routes of an earlier run. From then on an address can be
# used at once: without a second of duplicate address detection (RFC 4862), in which the kernel neither
# answers for it nor sends from it, nor has its link-local address for neighbour discovery. The plan of the
# lab has no duplicates. Nor does it need what routers announce (accept_ra).
echo 1 > /proc/sys/net/ipv6/conf/r0-eth1/disable_ipv6
echo 0 > /proc/sys/net/ipv6/conf/r0-eth1/accept_dad
echo 0 > /proc/sys/net/ipv6/conf/r0-eth1/accept_ra
echo 0 > /proc/sys/net/ipv6/conf/r0-eth1/disable_ipv6

# Its address, beside the link-local one that it has by itself.
ifconfig r0-eth1 up
ifconfig r0-eth1 add 2001:db8:cb00:71::254/64

# Remote networks, and the routers that lead to them.
route -A inet6 add 2001:db8:c000:200::/64 gw 2001:db8:c633:64::11

# In VS-TUN the source of the replies is the VIP, an address of another network. No router that knows IPv6
# drops them for that unless a filter says so: its kernel has no rp_filter.

# Forward packets.
echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
