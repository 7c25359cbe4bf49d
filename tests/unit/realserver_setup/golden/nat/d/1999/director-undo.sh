#!/bin/sh
# d: takes back what director.sh has set. It may be run twice; lo stays up.
set -e

# The VIP, and its route.
ifconfig d-eth0:0 0.0.0.0

# The kernel's defaults: redirects are sent, senders checked as on any new interface.
# Forwarding stays off: that is a default too.
echo 1 > /proc/sys/net/ipv4/conf/all/send_redirects
echo 1 > /proc/sys/net/ipv4/conf/d-eth0/send_redirects
cat /proc/sys/net/ipv4/conf/default/rp_filter > /proc/sys/net/ipv4/conf/d-eth0/rp_filter
echo 1 > /proc/sys/net/ipv4/conf/d-eth1/send_redirects
cat /proc/sys/net/ipv4/conf/default/rp_filter > /proc/sys/net/ipv4/conf/d-eth1/rp_filter

# d-eth0: its address, and with it every route through it; checksums as they were.
ifconfig d-eth0 0.0.0.0
ethtool -K d-eth0 tx on

# d-eth1: its address, and with it every route through it; checksums as they were.
ifconfig d-eth1 0.0.0.0
ethtool -K d-eth1 tx on

# IPv6 is welcome again.
if [ -e /proc/sys/net/ipv6 ]; then echo 0 > /proc/sys/net/ipv6/conf/all/disable_ipv6; fi
