#!/bin/sh
# d: undoes what director.sh has set. May be run twice; lo stays up.
set -e

# Remove the VIP and its route.
ip -4 addr flush dev d-eth0 label d-eth0:0

# The kernel's defaults: send redirects, check source addresses as on a new interface.
# Forwarding stays off, which is a default, too.
default=$(sysctl -n net.ipv4.conf.default.rp_filter)
sysctl -q -w net.ipv4.conf.all.send_redirects=1
sysctl -q -w net.ipv4.conf.d-eth0.send_redirects=1 \
             net.ipv4.conf.d-eth0.rp_filter="$default"

# d-eth0: remove its address, and with it all routes through it; offload checksums again.
ip -4 addr flush dev d-eth0
ethtool -K d-eth0 tx on

# Enable IPv6 again.
if [ -e /proc/sys/net/ipv6 ]; then sysctl -q -w net.ipv6.conf.all.disable_ipv6=0; fi
