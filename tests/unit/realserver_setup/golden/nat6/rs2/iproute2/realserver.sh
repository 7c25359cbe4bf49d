#!/bin/sh
# rs2: a real server of VS-NAT (network address translation) with IPv6, in the commands of iproute2.
# Requests to the VIP 2001:db8:cb00:71::1 arrive rewritten to fd00:ac10::3, http on port 8000.
# May be run twice; realserver-undo.sh undoes it.
set -e

# The loopback device, through which a host talks to itself.
ip link set lo up

# Enable IPv6, in case it is disabled.
sysctl -q -w net.ipv6.conf.all.disable_ipv6=0

# rs2-eth0: a veth device leaves TCP checksums to hardware that does not exist; compute them in software.
ethtool -K rs2-eth0 tx off

# Disabling and enabling IPv6 removes the addresses and routes of an earlier run. Duplicate address detection
# (RFC 4862) is off: it would make new addresses tentative for about a second, the link-local one included,
# and the kernel would neither answer for them nor send from them. The lab's addresses are unique, and its
# routes are static, without router advertisements (accept_ra).
sysctl -q -w net.ipv6.conf.rs2-eth0.disable_ipv6=1
sysctl -q -w net.ipv6.conf.rs2-eth0.accept_dad=0 \
             net.ipv6.conf.rs2-eth0.accept_ra=0
sysctl -q -w net.ipv6.conf.rs2-eth0.disable_ipv6=0

# Its address, besides the link-local address that the kernel adds.
ip link set rs2-eth0 up
ip addr replace fd00:ac10::3/64 dev rs2-eth0

# Replies must go through the director, which makes the VIP their source again:
# the client has no connection to fd00:ac10::3, and would answer with RST.
ip -6 route replace default via fd00:ac10::1
