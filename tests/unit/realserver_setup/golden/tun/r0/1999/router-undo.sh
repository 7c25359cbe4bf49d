#!/bin/sh
# r0: takes back what router.sh has set. It may be run twice; lo stays up.
set -e

# No router any more.
echo 0 > /proc/sys/net/ipv4/ip_forward

# Check senders as much as any new interface does.
cat /proc/sys/net/ipv4/conf/default/rp_filter > /proc/sys/net/ipv4/conf/r0-eth0/rp_filter
cat /proc/sys/net/ipv4/conf/default/rp_filter > /proc/sys/net/ipv4/conf/r0-eth1/rp_filter

# r0-eth0: its address, and with it every route through it; checksums as they were.
ifconfig r0-eth0 0.0.0.0
ethtool -K r0-eth0 tx on

# r0-eth1: its address, and with it every route through it; checksums as they were.
ifconfig r0-eth1 0.0.0.0
ethtool -K r0-eth1 tx on

# IPv6 is welcome again.
if [ -e /proc/sys/net/ipv6 ]; then echo 0 > /proc/sys/net/ipv6/conf/all/disable_ipv6; fi
