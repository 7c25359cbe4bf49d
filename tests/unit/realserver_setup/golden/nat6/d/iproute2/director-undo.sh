#!/bin/sh
# d: undoes what director.sh has set. May be run twice; lo stays up, and IPv6 on.
# Forwarding stays off, which is the default. The VIP goes with the other addresses.
set -e

# d-eth0: disabling and enabling IPv6 removes its addresses and all routes through it; in
# between, duplicate detection and router advertisements as on a new interface. Offload checksums again.
sysctl -q -w net.ipv6.conf.d-eth0.disable_ipv6=1
sysctl -q -w net.ipv6.conf.d-eth0.accept_dad="$(sysctl -n net.ipv6.conf.default.accept_dad)" \
             net.ipv6.conf.d-eth0.accept_ra="$(sysctl -n net.ipv6.conf.default.accept_ra)"
sysctl -q -w net.ipv6.conf.d-eth0.disable_ipv6=0
ethtool -K d-eth0 tx on

# d-eth1: disabling and enabling IPv6 removes its addresses and all routes through it; in
# between, duplicate detection and router advertisements as on a new interface. Offload checksums again.
sysctl -q -w net.ipv6.conf.d-eth1.disable_ipv6=1
sysctl -q -w net.ipv6.conf.d-eth1.accept_dad="$(sysctl -n net.ipv6.conf.default.accept_dad)" \
             net.ipv6.conf.d-eth1.accept_ra="$(sysctl -n net.ipv6.conf.default.accept_ra)"
sysctl -q -w net.ipv6.conf.d-eth1.disable_ipv6=0
ethtool -K d-eth1 tx on
