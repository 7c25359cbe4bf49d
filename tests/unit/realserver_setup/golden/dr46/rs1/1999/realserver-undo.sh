#!/bin/sh
# rs1: undoes what realserver.sh has set. May be run twice; lo stays up.
set -e

# Remove the VIP and its route before this host answers ARP requests again.
ifconfig lo:0 0.0.0.0

# The kernel's defaults for ARP.
echo 0 > /proc/sys/net/ipv4/conf/rs1-eth0/arp_ignore
echo 0 > /proc/sys/net/ipv4/conf/rs1-eth0/arp_announce

# rs1-eth0: remove its address, and with it all routes through it; offload checksums again.
ifconfig rs1-eth0 0.0.0.0
ethtool -K rs1-eth0 tx on
