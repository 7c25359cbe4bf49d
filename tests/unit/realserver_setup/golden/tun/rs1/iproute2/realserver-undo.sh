#!/bin/sh
# rs1: takes back what realserver.sh has set. It may be run twice; lo stays up.
set -e

# The VIP and its route, if the tunnel's device is still there,
# and senders are checked again as on any new device.
if [ -e /proc/sys/net/ipv4/conf/tunl0 ]; then
    ip -4 addr flush dev tunl0
    ip link set tunl0 down
    sysctl -q -w net.ipv4.conf.tunl0.rp_filter="$(sysctl -n net.ipv4.conf.default.rp_filter)"
fi

# ARP as the kernel has it by default.
sysctl -q -w net.ipv4.conf.rs1-eth0.arp_ignore=0 \
             net.ipv4.conf.rs1-eth0.arp_announce=0

# rs1-eth0: its address, and with it every route through it; checksums as they were.
ip -4 addr flush dev rs1-eth0
ethtool -K rs1-eth0 tx on

# IPv6 is welcome again.
if [ -e /proc/sys/net/ipv6 ]; then sysctl -q -w net.ipv6.conf.all.disable_ipv6=0; fi
