#!/bin/sh
# rs1: undoes what realserver.sh has set. May be run twice; lo stays up, and IPv6 on.
set -e

# Remove the VIP, if it is there.
ifconfig lo del 2001:db8:cb00:71::1/128 2> /dev/null || :

# rs1-eth0: disabling and enabling IPv6 removes its addresses and all routes through it; in
# between, duplicate detection and router advertisements as on a new interface. Offload checksums again.
echo 1 > /proc/sys/net/ipv6/conf/rs1-eth0/disable_ipv6
cat /proc/sys/net/ipv6/conf/default/accept_dad > /proc/sys/net/ipv6/conf/rs1-eth0/accept_dad
cat /proc/sys/net/ipv6/conf/default/accept_ra > /proc/sys/net/ipv6/conf/rs1-eth0/accept_ra
echo 0 > /proc/sys/net/ipv6/conf/rs1-eth0/disable_ipv6
ethtool -K rs1-eth0 tx on
