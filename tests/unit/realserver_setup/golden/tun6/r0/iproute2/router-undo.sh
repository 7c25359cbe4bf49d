#!/bin/sh
# r0: undoes what router.sh has set. May be run twice; lo stays up, and IPv6 on.
set -e

# Stop being a router.
sysctl -q -w net.ipv6.conf.all.forwarding=0

# r0-eth0: disabling and enabling IPv6 removes its addresses and all routes through it; in
# between, duplicate detection and router advertisements as on a new interface. Offload checksums again.
sysctl -q -w net.ipv6.conf.r0-eth0.disable_ipv6=1
sysctl -q -w net.ipv6.conf.r0-eth0.accept_dad="$(sysctl -n net.ipv6.conf.default.accept_dad)" \
             net.ipv6.conf.r0-eth0.accept_ra="$(sysctl -n net.ipv6.conf.default.accept_ra)"
sysctl -q -w net.ipv6.conf.r0-eth0.disable_ipv6=0
ethtool -K r0-eth0 tx on

# r0-eth1: disabling and enabling IPv6 removes its addresses and all routes through it; in
# between, duplicate detection and router advertisements as on a new interface. Offload checksums again.
sysctl -q -w net.ipv6.conf.r0-eth1.disable_ipv6=1
sysctl -q -w net.ipv6.conf.r0-eth1.accept_dad="$(sysctl -n net.ipv6.conf.default.accept_dad)" \
             net.ipv6.conf.r0-eth1.accept_ra="$(sysctl -n net.ipv6.conf.default.accept_ra)"
sysctl -q -w net.ipv6.conf.r0-eth1.disable_ipv6=0
ethtool -K r0-eth1 tx on
