#!/bin/sh
# d: undoes what director.sh has set. May be run twice; lo stays up, and IPv6 on.
# Forwarding stays off, which is the default. The VIP goes with the other addresses.
set -e

# d-eth0: disabling and enabling IPv6 removes its addresses and all routes through it; in
# between, duplicate detection and router advertisements as on a new interface. Offload checksums again.
echo 1 > /proc/sys/net/ipv6/conf/d-eth0/disable_ipv6
cat /proc/sys/net/ipv6/conf/default/accept_dad > /proc/sys/net/ipv6/conf/d-eth0/accept_dad
cat /proc/sys/net/ipv6/conf/default/accept_ra > /proc/sys/net/ipv6/conf/d-eth0/accept_ra
echo 0 > /proc/sys/net/ipv6/conf/d-eth0/disable_ipv6
ethtool -K d-eth0 tx on

# d-eth1: disabling and enabling IPv6 removes its addresses and all routes through it; in
# between, duplicate detection and router advertisements as on a new interface. Offload checksums again.
echo 1 > /proc/sys/net/ipv6/conf/d-eth1/disable_ipv6
cat /proc/sys/net/ipv6/conf/default/accept_dad > /proc/sys/net/ipv6/conf/d-eth1/accept_dad
cat /proc/sys/net/ipv6/conf/default/accept_ra > /proc/sys/net/ipv6/conf/d-eth1/accept_ra
echo 0 > /proc/sys/net/ipv6/conf/d-eth1/disable_ipv6
ethtool -K d-eth1 tx on
