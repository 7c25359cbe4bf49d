#!/bin/sh
# rs2: takes back what realserver.sh has set. It may be run twice; lo stays up.
set -e

# rs2-eth0: its address, and with it every route through it; checksums as they were.
ip -4 addr flush dev rs2-eth0
ethtool -K rs2-eth0 tx on

# IPv6 is welcome again.
if [ -e /proc/sys/net/ipv6 ]; then sysctl -q -w net.ipv6.conf.all.disable_ipv6=0; fi
