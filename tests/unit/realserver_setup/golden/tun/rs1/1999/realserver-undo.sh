#!/bin/sh
# rs1: takes back what realserver.sh has set. It may be run twice; lo stays up.
set -e

# The VIP and its route, if the tunnel's device is still there,
# and senders are checked again as on any new device.
if [ -e /proc/sys/net/ipv4/conf/tunl0 ]; then
    ifconfig tunl0 0.0.0.0
    ifconfig tunl0 down
    cat /proc/sys/net/ipv4/conf/default/rp_filter > /proc/sys/net/ipv4/conf/tunl0/rp_filter
fi

# ARP as the kernel has it by default.
echo 0 > /proc/sys/net/ipv4/conf/rs1-eth0/arp_ignore
echo 0 > /proc/sys/net/ipv4/conf/rs1-eth0/arp_announce

# rs1-eth0: its address, and with it every route through it; checksums as they were.
ifconfig rs1-eth0 0.0.0.0
ethtool -K rs1-eth0 tx on

# IPv6 is welcome again.
if [ -e /proc/sys/net/ipv6 ]; then echo 0 > /proc/sys/net/ipv6/conf/all/disable_ipv6; fi
