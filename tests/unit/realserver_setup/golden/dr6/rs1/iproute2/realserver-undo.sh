#!/bin/sh
# rs1: undoes what realserver.sh has set. May be run twice; lo stays up, and IPv6 on.
set -e

# Remove the VIP, if it is there.
ip -6 addr flush dev lo to 2001:db8:cb00:71::1/128

# rs1-eth0: disabling and enabling IPv6 removes its addresses and all routes through it; in
# between, duplicate detection and router advertisements as on a new interface. Offload checksums again.
sysctl -q -w net.ipv6.conf.rs1-eth0.disable_ipv6=1
sysctl -q -w net.ipv6.conf.rs1-eth0.accept_dad="$(sysctl -n net.ipv6.conf.default.accept_dad)" \
             net.ipv6.conf.rs1-eth0.accept_ra="$(sysctl -n net.ipv6.conf.default.accept_ra)"
sysctl -q -w net.ipv6.conf.rs1-eth0.disable_ipv6=0
ethtool -K rs1-eth0 tx on
