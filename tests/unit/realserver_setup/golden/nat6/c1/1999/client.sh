#!/bin/sh
# c1: a client with IPv6, in the commands of 1999. It knows its router, and nothing about virtual
# servers. May be run twice; client-undo.sh undoes it.
# In 1999 LVS had no IPv6: IPVS has supported it since Linux 2.6.28 (2008). ifconfig and route of that time
# did support IPv6: with them, the set-up would have been this one.
set -e

# The loopback device, through which a host talks to itself.
ifconfig lo up

# Enable IPv6, in case it is disabled.
echo 0 > /proc/sys/net/ipv6/conf/all/disable_ipv6

# c1-eth0: a veth device leaves TCP checksums to hardware that does not exist; compute them in software.
ethtool -K c1-eth0 tx off

# Disabling and enabling IPv6 removes the addresses and routes of an earlier run. Duplicate address detection
# (RFC 4862) is off: it would make new addresses tentative for about a second, the link-local one included,
# and the kernel would neither answer for them nor send from them. The lab's addresses are unique, and its
# routes are static, without router advertisements (accept_ra).
echo 1 > /proc/sys/net/ipv6/conf/c1-eth0/disable_ipv6
echo 0 > /proc/sys/net/ipv6/conf/c1-eth0/accept_dad
echo 0 > /proc/sys/net/ipv6/conf/c1-eth0/accept_ra
echo 0 > /proc/sys/net/ipv6/conf/c1-eth0/disable_ipv6

# Its address, besides the link-local address that the kernel adds.
ifconfig c1-eth0 up
ifconfig c1-eth0 add 2001:db8:c633:64::101/64

# Packets for all other networks go to the router.
route -A inet6 add default gw 2001:db8:c633:64::254
