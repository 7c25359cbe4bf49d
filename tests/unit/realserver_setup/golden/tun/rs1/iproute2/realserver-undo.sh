#!/bin/sh
# rs1: undoes what realserver.sh has set. May be run twice; lo stays up.
set -e

# If the tunnel device still exists, remove the VIP and its route,
# and check source addresses as on a new device.
if [ -e /proc/sys/net/ipv4/conf/tunl0 ]; then
    ip -4 addr flush dev tunl0
    ip link set tunl0 down
    sysctl -q -w net.ipv4.conf.tunl0.rp_filter="$(sysctl -n net.ipv4.conf.default.rp_filter)"
fi

# The kernel's defaults for ARP.
sysctl -q -w net.ipv4.conf.rs1-eth0.arp_ignore=0 \
             net.ipv4.conf.rs1-eth0.arp_announce=0

# rs1-eth0: remove its address, and with it all routes through it; offload checksums again.
ip -4 addr flush dev rs1-eth0
ethtool -K rs1-eth0 tx on

# Enable IPv6 again.
if [ -e /proc/sys/net/ipv6 ]; then sysctl -q -w net.ipv6.conf.all.disable_ipv6=0; fi
