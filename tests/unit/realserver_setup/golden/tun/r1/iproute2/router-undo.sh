#!/bin/sh
# r1: undoes what router.sh has set. May be run twice; lo stays up.
set -e

# Stop being a router.
sysctl -q -w net.ipv4.ip_forward=0

# Check source addresses as on a new interface.
default=$(sysctl -n net.ipv4.conf.default.rp_filter)
sysctl -q -w net.ipv4.conf.r1-eth0.rp_filter="$default"
sysctl -q -w net.ipv4.conf.r1-eth1.rp_filter="$default"

# r1-eth0: remove its address, and with it all routes through it; offload checksums again.
ip -4 addr flush dev r1-eth0
ethtool -K r1-eth0 tx on

# r1-eth1: remove its address, and with it all routes through it; offload checksums again.
ip -4 addr flush dev r1-eth1
ethtool -K r1-eth1 tx on

# Enable IPv6 again.
if [ -e /proc/sys/net/ipv6 ]; then sysctl -q -w net.ipv6.conf.all.disable_ipv6=0; fi
