#!/bin/sh
# rs2: a real server of VS-NAT (network address translation) with IPv6, in the commands of 1999.
# Requests to the VIP 2001:db8:cb00:71::1 arrive rewritten to fd00:ac10::3, http on port 8000.
# May be run twice; realserver-undo.sh undoes it.
# LVS had no IPv6 in 1999: the kernel has it for virtual servers since Linux 2.6.28 (2008). With the tools of
# those days, whose ifconfig and route knew IPv6 already, it would have looked like this.
set -e

# The loopback device, through which a host talks to itself.
ifconfig lo up

# IPv6, where it is switched off.
echo 0 > /proc/sys/net/ipv6/conf/all/disable_ipv6

# rs2-eth0: a veth device leaves TCP checksums to hardware that does not exist; compute them in software.
ethtool -K rs2-eth0 tx off

# IPv6 off and on again removes the addresses and routes of an earlier run. From then on an address can be
# used at once: without a second of duplicate address detection (RFC 4862), in which the kernel neither
# answers for it nor sends from it, nor has its link-local address for neighbour discovery. The plan of the
# lab has no duplicates. Nor does it need what routers announce (accept_ra).
echo 1 > /proc/sys/net/ipv6/conf/rs2-eth0/disable_ipv6
echo 0 > /proc/sys/net/ipv6/conf/rs2-eth0/accept_dad
echo 0 > /proc/sys/net/ipv6/conf/rs2-eth0/accept_ra
echo 0 > /proc/sys/net/ipv6/conf/rs2-eth0/disable_ipv6

# Its address, beside the link-local one that it has by itself.
ifconfig rs2-eth0 up
ifconfig rs2-eth0 add fd00:ac10::3/64

# Replies must go through the director, which makes the VIP their source again:
# the client has no connection to fd00:ac10::3, and would reject them.
route -A inet6 add default gw fd00:ac10::1
