#!/bin/sh
# r1: takes back what router.sh has set. It may be run twice; lo stays up.
set -e

# No router any more.
sysctl -q -w net.ipv4.ip_forward=0

# Check senders as much as any new interface does.
default=$(sysctl -n net.ipv4.conf.default.rp_filter)
sysctl -q -w net.ipv4.conf.r1-eth0.rp_filter="$default"
sysctl -q -w net.ipv4.conf.r1-eth1.rp_filter="$default"

# r1-eth0: its address, and with it every route through it; checksums as they were.
ip -4 addr flush dev r1-eth0
ethtool -K r1-eth0 tx on

# r1-eth1: its address, and with it every route through it; checksums as they were.
ip -4 addr flush dev r1-eth1
ethtool -K r1-eth1 tx on

# IPv6 is welcome again.
if [ -e /proc/sys/net/ipv6 ]; then sysctl -q -w net.ipv6.conf.all.disable_ipv6=0; fi
