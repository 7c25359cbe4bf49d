#!/bin/sh
# rs1: undoes what realserver.sh has set. May be run twice; lo stays up.
set -e

# If the tunnel device still exists, remove the VIP and its route,
# and check source addresses as on a new device.
if [ -e /proc/sys/net/ipv4/conf/tunl0 ]; then
    ifconfig tunl0 0.0.0.0
    ifconfig tunl0 down
    cat /proc/sys/net/ipv4/conf/default/rp_filter > /proc/sys/net/ipv4/conf/tunl0/rp_filter
fi

# The kernel's defaults for ARP.
echo 0 > /proc/sys/net/ipv4/conf/rs1-eth0/arp_ignore
echo 0 > /proc/sys/net/ipv4/conf/rs1-eth0/arp_announce

# rs1-eth0: remove its address, and with it all routes through it; offload checksums again.
ifconfig rs1-eth0 0.0.0.0
ethtool -K rs1-eth0 tx on

# Enable IPv6 again.
if [ -e /proc/sys/net/ipv6 ]; then echo 0 > /proc/sys/net/ipv6/conf/all/disable_ipv6; fi
