#!/bin/sh
# d: the director of VS-NAT with IPv6, in the commands of 1999.
# May be run twice; director-undo.sh undoes it. The rules are in rules.sh.
# LVS had no IPv6 in 1999: the kernel has it for virtual servers since Linux 2.6.28 (2008). With the tools of
# those days, whose ifconfig and route knew IPv6 already, it would have looked like this.
set -e

# The loopback device, through which a host talks to itself.
ifconfig lo up

# IPv6, where it is switched off.
echo 0 > /proc/sys/net/ipv6/conf/all/disable_ipv6

# The director's process forwards, so the kernel must not: it would forward, unchanged, the same packets that
# the process rewrites. A host that does not forward sends no redirects, and IPv6 has no reverse-path filter.
echo 0 > /proc/sys/net/ipv6/conf/all/forwarding

# d-eth0: a veth device leaves TCP checksums to hardware that does not exist; compute them in software.
ethtool -K d-eth0 tx off

# IPv6 off and on again removes the addresses and routes of an earlier run. From then on an address can be
# used at once: without a second of duplicate address detection (RFC 4862), in which the kernel neither
# answers for it nor sends from it, nor has its link-local address for neighbour discovery. The plan of the
# lab has no duplicates. Nor does it need what routers announce (accept_ra).
echo 1 > /proc/sys/net/ipv6/conf/d-eth0/disable_ipv6
echo 0 > /proc/sys/net/ipv6/conf/d-eth0/accept_dad
echo 0 > /proc/sys/net/ipv6/conf/d-eth0/accept_ra
echo 0 > /proc/sys/net/ipv6/conf/d-eth0/disable_ipv6

# Its address, beside the link-local one that it has by itself.
ifconfig d-eth0 up
ifconfig d-eth0 add 2001:db8:cb00:71::2/64

# d-eth1: a veth device leaves TCP checksums to hardware that does not exist; compute them in software.
ethtool -K d-eth1 tx off

# IPv6 off and on again removes the addresses and routes of an earlier run. From then on an address can be
# used at once: without a second of duplicate address detection (RFC 4862), in which the kernel neither
# answers for it nor sends from it, nor has its link-local address for neighbour discovery. The plan of the
# lab has no duplicates. Nor does it need what routers announce (accept_ra).
echo 1 > /proc/sys/net/ipv6/conf/d-eth1/disable_ipv6
echo 0 > /proc/sys/net/ipv6/conf/d-eth1/accept_dad
echo 0 > /proc/sys/net/ipv6/conf/d-eth1/accept_ra
echo 0 > /proc/sys/net/ipv6/conf/d-eth1/disable_ipv6

# Its address, beside the link-local one that it has by itself.
ifconfig d-eth1 up
ifconfig d-eth1 add fd00:ac10::1/64

# The VIP on the outside interface, as a network of one address. Tunnels to real servers in other networks
# must come from the DIP, and not from the VIP: of two addresses that suit equally well the kernel takes the
# one that was added last, so the DIP is added once more. That does not help where an address has more bits
# in common with the destination: neighbours may be asked from the VIP. Only an address that is deprecated is
# never chosen (RFC 6724, rule 3): `ip addr` can say that (preferred_lft 0), ifconfig can't. Here it does no
# harm: who hears the question learns that the VIP has this host's MAC address, and it has.
ifconfig d-eth0 add 2001:db8:cb00:71::1/128
ifconfig d-eth0 del 2001:db8:cb00:71::2/64
ifconfig d-eth0 add 2001:db8:cb00:71::2/64

# The route to the clients.
route -A inet6 add default gw 2001:db8:cb00:71::254
