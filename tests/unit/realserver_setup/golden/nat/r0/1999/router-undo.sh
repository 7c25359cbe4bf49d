#!/bin/sh
# r0: undoes what router.sh has set. May be run twice; lo stays up.
set -e

# Stop being a router.
echo 0 > /proc/sys/net/ipv4/ip_forward

# Check source addresses as on a new interface.
cat /proc/sys/net/ipv4/conf/default/rp_filter > /proc/sys/net/ipv4/conf/r0-eth0/rp_filter
cat /proc/sys/net/ipv4/conf/default/rp_filter > /proc/sys/net/ipv4/conf/r0-eth1/rp_filter

# r0-eth0: remove its address, and with it all routes through it; offload checksums again.
ifconfig r0-eth0 0.0.0.0
ethtool -K r0-eth0 tx on

# r0-eth1: remove its address, and with it all routes through it; offload checksums again.
ifconfig r0-eth1 0.0.0.0
ethtool -K r0-eth1 tx on

# Enable IPv6 again.
if [ -e /proc/sys/net/ipv6 ]; then echo 0 > /proc/sys/net/ipv6/conf/all/disable_ipv6; fi
