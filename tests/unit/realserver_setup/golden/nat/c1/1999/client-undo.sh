#!/bin/sh
# c1: undoes what client.sh has set. May be run twice; lo stays up.
set -e

# c1-eth0: remove its address, and with it all routes through it; offload checksums again.
ifconfig c1-eth0 0.0.0.0
ethtool -K c1-eth0 tx on

# Enable IPv6 again.
if [ -e /proc/sys/net/ipv6 ]; then echo 0 > /proc/sys/net/ipv6/conf/all/disable_ipv6; fi
