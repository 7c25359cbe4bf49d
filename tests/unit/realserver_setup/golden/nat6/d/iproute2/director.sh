#!/bin/sh
# d: the director of VS-NAT with IPv6, in the commands of iproute2.
# May be run twice; director-undo.sh undoes it. The rules are in rules.sh.
set -e

# The loopback device, through which a host talks to itself.
ip link set lo up

# IPv6, where it is switched off.
sysctl -q -w net.ipv6.conf.all.disable_ipv6=0

# The director's process forwards, so the kernel must not: it would forward, unchanged, the same packets that
# the process rewrites. A host that does not forward sends no redirects, and IPv6 has no reverse-path filter.
sysctl -q -w net.ipv6.conf.all.forwarding=0

# d-eth0: a veth device leaves TCP checksums to hardware that does not exist; compute them in software.
ethtool -K d-eth0 tx off

# IPv6 off and on again removes the addresses and routes of an earlier run. From then on an address can be
# used at once: without a second of duplicate address detection (RFC 4862), in which the kernel neither
# answers for it nor sends from it, nor has its link-local address for neighbour discovery. The plan of the
# lab has no duplicates. Nor does it need what routers announce (accept_ra).
sysctl -q -w net.ipv6.conf.d-eth0.disable_ipv6=1
sysctl -q -w net.ipv6.conf.d-eth0.accept_dad=0 \
             net.ipv6.conf.d-eth0.accept_ra=0
sysctl -q -w net.ipv6.conf.d-eth0.disable_ipv6=0

# Its address, beside the link-local one that it has by itself.
ip link set d-eth0 up
ip addr replace 2001:db8:cb00:71::2/64 dev d-eth0

# d-eth1: a veth device leaves TCP checksums to hardware that does not exist; compute them in software.
ethtool -K d-eth1 tx off

# IPv6 off and on again removes the addresses and routes of an earlier run. From then on an address can be
# used at once: without a second of duplicate address detection (RFC 4862), in which the kernel neither
# answers for it nor sends from it, nor has its link-local address for neighbour discovery. The plan of the
# lab has no duplicates. Nor does it need what routers announce (accept_ra).
sysctl -q -w net.ipv6.conf.d-eth1.disable_ipv6=1
sysctl -q -w net.ipv6.conf.d-eth1.accept_dad=0 \
             net.ipv6.conf.d-eth1.accept_ra=0
sysctl -q -w net.ipv6.conf.d-eth1.disable_ipv6=0

# Its address, beside the link-local one that it has by itself.
ip link set d-eth1 up
ip addr replace fd00:ac10::1/64 dev d-eth1

# The VIP on the outside interface, as a network of one address. Packets that this host itself sends, such as
# tunnels to real servers, come from the DIP, and not from the VIP, which is never preferred (preferred_lft).
# nodad: a VIP is moved from one director to another, and is not to wait for duplicate address detection,
# nor to be given up for ever (dadfailed) because the other one still answers for it.
ip addr replace 2001:db8:cb00:71::1/128 dev d-eth0 nodad preferred_lft 0

# The route to the clients.
ip -6 route replace default via 2001:db8:cb00:71::254
