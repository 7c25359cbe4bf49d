#!/bin/sh
# c1: undoes what client.sh has set. May be run twice; lo stays up, and IPv6 on.
set -e

# c1-eth0: disabling and enabling IPv6 removes its addresses and all routes through it; in
# between, duplicate detection and router advertisements as on a new interface. Offload checksums again.
echo 1 > /proc/sys/net/ipv6/conf/c1-eth0/disable_ipv6
cat /proc/sys/net/ipv6/conf/default/accept_dad > /proc/sys/net/ipv6/conf/c1-eth0/accept_dad
cat /proc/sys/net/ipv6/conf/default/accept_ra > /proc/sys/net/ipv6/conf/c1-eth0/accept_ra
echo 0 > /proc/sys/net/ipv6/conf/c1-eth0/disable_ipv6
ethtool -K c1-eth0 tx on
