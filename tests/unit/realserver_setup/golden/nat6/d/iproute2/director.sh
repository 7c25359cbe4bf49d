#!/bin/sh
# d: the director of VS-NAT with IPv6, in the commands of iproute2.
# May be run twice; director-undo.sh undoes it. The rules are in rules.sh.
set -e

# The loopback device, through which a host talks to itself.
ip link set lo up

# Enable IPv6, in case it is disabled.
sysctl -q -w net.ipv6.conf.all.disable_ipv6=0

# The director's process forwards, so the kernel must not: it would forward, unchanged, the same packets that
# the process rewrites. A host that does not forward sends no redirects, and IPv6 has no reverse-path filter.
sysctl -q -w net.ipv6.conf.all.forwarding=0

# d-eth0: a veth device leaves TCP checksums to hardware that does not exist; compute them in software.
ethtool -K d-eth0 tx off

# Disabling and enabling IPv6 removes the addresses and routes of an earlier run. Duplicate address detection
# (RFC 4862) is off: it would make new addresses tentative for about a second, the link-local one included,
# and the kernel would neither answer for them nor send from them. The lab's addresses are unique, and its
# routes are static, without router advertisements (accept_ra).
sysctl -q -w net.ipv6.conf.d-eth0.disable_ipv6=1
sysctl -q -w net.ipv6.conf.d-eth0.accept_dad=0 \
             net.ipv6.conf.d-eth0.accept_ra=0
sysctl -q -w net.ipv6.conf.d-eth0.disable_ipv6=0

# Its address, besides the link-local address that the kernel adds.
ip link set d-eth0 up
ip addr replace 2001:db8:cb00:71::2/64 dev d-eth0

# d-eth1: a veth device leaves TCP checksums to hardware that does not exist; compute them in software.
ethtool -K d-eth1 tx off

# Disabling and enabling IPv6 removes the addresses and routes of an earlier run. Duplicate address detection
# (RFC 4862) is off: it would make new addresses tentative for about a second, the link-local one included,
# and the kernel would neither answer for them nor send from them. The lab's addresses are unique, and its
# routes are static, without router advertisements (accept_ra).
sysctl -q -w net.ipv6.conf.d-eth1.disable_ipv6=1
sysctl -q -w net.ipv6.conf.d-eth1.accept_dad=0 \
             net.ipv6.conf.d-eth1.accept_ra=0
sysctl -q -w net.ipv6.conf.d-eth1.disable_ipv6=0

# Its address, besides the link-local address that the kernel adds.
ip link set d-eth1 up
ip addr replace fd00:ac10::1/64 dev d-eth1

# The VIP on the outside interface, as a network of one address. Packets that this host itself sends, such as
# tunnels to real servers, come from the DIP, not from the VIP, which is deprecated (preferred_lft 0).
# nodad: a VIP that moves from one director to another must not wait for duplicate address detection, nor
# stay unusable (dadfailed) because the other director still answers for it.
ip addr replace 2001:db8:cb00:71::1/128 dev d-eth0 nodad preferred_lft 0

# The route to the clients.
ip -6 route replace default via 2001:db8:cb00:71::254
