#!/bin/sh
# r0: a router with IPv6, in the commands of 1999.
# May be run twice; router-undo.sh undoes it.
# In 1999 LVS had no IPv6: IPVS has supported it since Linux 2.6.28 (2008). ifconfig and route of that time
# did support IPv6: with them, the set-up would have been this one.
set -e

# The loopback device, through which a host talks to itself.
ifconfig lo up

# Enable IPv6, in case it is disabled.
echo 0 > /proc/sys/net/ipv6/conf/all/disable_ipv6

# r0-eth0: a veth device leaves TCP checksums to hardware that does not exist; compute them in software.
ethtool -K r0-eth0 tx off

# Disabling and enabling IPv6 removes the addresses and routes of an earlier run. Duplicate address detection
# (RFC 4862) is off: it would make new addresses tentative for about a second, the link-local one included,
# and the kernel would neither answer for them nor send from them. The lab's addresses are unique, and its
# routes are static, without router advertisements (accept_ra).
echo 1 > /proc/sys/net/ipv6/conf/r0-eth0/disable_ipv6
echo 0 > /proc/sys/net/ipv6/conf/r0-eth0/accept_dad
echo 0 > /proc/sys/net/ipv6/conf/r0-eth0/accept_ra
echo 0 > /proc/sys/net/ipv6/conf/r0-eth0/disable_ipv6

# Its address, besides the link-local address that the kernel adds.
ifconfig r0-eth0 up
ifconfig r0-eth0 add 2001:db8:c633:64::254/64

# r0-eth1: a veth device leaves TCP checksums to hardware that does not exist; compute them in software.
ethtool -K r0-eth1 tx off

# Disabling and enabling IPv6 removes the addresses and routes of an earlier run. Duplicate address detection
# (RFC 4862) is off: it would make new addresses tentative for about a second, the link-local one included,
# and the kernel would neither answer for them nor send from them. The lab's addresses are unique, and its
# routes are static, without router advertisements (accept_ra).
echo 1 > /proc/sys/net/ipv6/conf/r0-eth1/disable_ipv6
echo 0 > /proc/sys/net/ipv6/conf/r0-eth1/accept_dad
echo 0 > /proc/sys/net/ipv6/conf/r0-eth1/accept_ra
echo 0 > /proc/sys/net/ipv6/conf/r0-eth1/disable_ipv6

# Its address, besides the link-local address that the kernel adds.
ifconfig r0-eth1 up
ifconfig r0-eth1 add 2001:db8:cb00:71::254/64

# Remote networks, and the routers that lead to them.
route -A inet6 add 2001:db8:c000:200::/64 gw 2001:db8:c633:64::11

# In VS-TUN the source of the replies is the VIP, an address of another network. An IPv6 router drops them
# only if a packet filter says so: its kernel has no rp_filter.

# Forward packets.
echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
