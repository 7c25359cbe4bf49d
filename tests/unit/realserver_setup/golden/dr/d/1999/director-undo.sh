#!/bin/sh
# d: undoes what director.sh has set. May be run twice; lo stays up.
set -e

# Remove the VIP and its route.
ifconfig d-eth0:0 0.0.0.0

# The kernel's defaults: send redirects, check source addresses as on a new interface.
# Forwarding stays off, which is a default, too.
echo 1 > /proc/sys/net/ipv4/conf/all/send_redirects
echo 1 > /proc/sys/net/ipv4/conf/d-eth0/send_redirects
cat /proc/sys/net/ipv4/conf/default/rp_filter > /proc/sys/net/ipv4/conf/d-eth0/rp_filter

# d-eth0: remove its address, and with it all routes through it; offload checksums again.
ifconfig d-eth0 0.0.0.0
ethtool -K d-eth0 tx on

# Enable IPv6 again.
if [ -e /proc/sys/net/ipv6 ]; then echo 0 > /proc/sys/net/ipv6/conf/all/disable_ipv6; fi
