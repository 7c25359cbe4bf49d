#!/bin/sh
# rs2: undoes what realserver.sh has set. May be run twice; lo stays up, and IPv6 on.
set -e

# rs2-eth0: IPv6 off and on again removes its addresses and all routes through it; in between,
# detect duplicates and heed routers as on a new interface; offload checksums again.
sysctl -q -w net.ipv6.conf.rs2-eth0.disable_ipv6=1
sysctl -q -w net.ipv6.conf.rs2-eth0.accept_dad="$(sysctl -n net.ipv6.conf.default.accept_dad)" \
             net.ipv6.conf.rs2-eth0.accept_ra="$(sysctl -n net.ipv6.conf.default.accept_ra)"
sysctl -q -w net.ipv6.conf.rs2-eth0.disable_ipv6=0
ethtool -K rs2-eth0 tx on
