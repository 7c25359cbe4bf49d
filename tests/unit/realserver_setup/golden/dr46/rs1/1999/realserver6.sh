#!/bin/sh
# rs1: a real server of VS-DR (direct routing) with IPv6, in the commands of 1999.
# Requests arrive as the client sent them, to the VIP 2001:db8:cb00:71::1: the director changes
# only the MAC address of the frame. This host has the VIP on lo.
# May be run twice; realserver6-undo.sh undoes it.
# LVS had no IPv6 in 1999: the kernel has it for virtual servers since Linux 2.6.28 (2008). With the tools of
# those days, whose ifconfig and route knew IPv6 already, it would have looked like this.
set -e

# The loopback device, through which a host talks to itself.
ifconfig lo up

# IPv6, where it is switched off.
echo 0 > /proc/sys/net/ipv6/conf/all/disable_ipv6

# rs1-eth0: a veth device leaves TCP checksums to hardware that does not exist; compute them in software.
ethtool -K rs1-eth0 tx off

# IPv6 off and on again removes the addresses and routes of an earlier run. From then on an address can be
# used at once: without a second of duplicate address detection (RFC 4862), in which the kernel neither
# answers for it nor sends from it, nor has its link-local address for neighbour discovery. The plan of the
# lab has no duplicates. Nor does it need what routers announce (accept_ra).
echo 1 > /proc/sys/net/ipv6/conf/rs1-eth0/disable_ipv6
echo 0 > /proc/sys/net/ipv6/conf/rs1-eth0/accept_dad
echo 0 > /proc/sys/net/ipv6/conf/rs1-eth0/accept_ra
echo 0 > /proc/sys/net/ipv6/conf/rs1-eth0/disable_ipv6

# Its address, beside the link-local one that it has by itself.
ifconfig rs1-eth0 up
ifconfig rs1-eth0 add 2001:db8:cb00:71::11/64

# Replies go to the client through the router, not through the director.
route -A inet6 add default gw 2001:db8:cb00:71::254

# This host will have the VIP, but only the director may answer for it. In IPv4 that takes two sysctls,
# arp_ignore and arp_announce. IPv6 has neither, because it needs neither: the kernel answers a neighbour
# solicitation only for addresses of the interface that receives it, and the VIP will be on another one. Nor
# is the VIP ever the source of a solicitation: that is an address of the interface which sends it. But on
# rs1-eth0 itself the VIP would be answered for, by every real server that has it there.

# The VIP on the loopback device, as a network of one address; first without that of an earlier run, if any.
ifconfig lo del 2001:db8:cb00:71::1/128 2> /dev/null || :
ifconfig lo add 2001:db8:cb00:71::1/128
