#!/bin/sh
# d: takes back what director.sh has set. It may be run twice; lo stays up.
set -e

# The VIP, and its route.
ip -4 addr flush dev d-eth0 label d-eth0:0

# The kernel's defaults: redirects are sent, senders checked as on any new interface.
# Forwarding stays off: that is a default too.
default=$(sysctl -n net.ipv4.conf.default.rp_filter)
sysctl -q -w net.ipv4.conf.all.send_redirects=1
sysctl -q -w net.ipv4.conf.d-eth0.send_redirects=1 \
             net.ipv4.conf.d-eth0.rp_filter="$default"

# d-eth0: its address, and with it every route through it; checksums as they were.
ip -4 addr flush dev d-eth0
ethtool -K d-eth0 tx on

# IPv6 is welcome again.
if [ -e /proc/sys/net/ipv6 ]; then sysctl -q -w net.ipv6.conf.all.disable_ipv6=0; fi
