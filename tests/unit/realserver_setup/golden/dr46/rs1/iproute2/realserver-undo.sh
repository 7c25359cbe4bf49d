#!/bin/sh
# rs1: undoes what realserver.sh has set. May be run twice; lo stays up.
set -e

# Remove the VIP and its route before this host answers ARP requests again.
ip -4 addr flush dev lo label lo:0

# The kernel's defaults for ARP.
sysctl -q -w net.ipv4.conf.rs1-eth0.arp_ignore=0 \
             net.ipv4.conf.rs1-eth0.arp_announce=0

# rs1-eth0: remove its address, and with it all routes through it; offload checksums again.
ip -4 addr flush dev rs1-eth0
ethtool -K rs1-eth0 tx on
