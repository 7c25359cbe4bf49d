#!/bin/sh
# d: the director of VS-NAT with IPv6, in the commands of 1999.
# May be run twice; director-undo.sh undoes it. The rules are in rules.sh.
# In 1999 LVS had no IPv6: IPVS has supported it since Linux 2.6.28 (2008). ifconfig and route of that time
# did support IPv6: with them, the set-up would have been this one.
set -e

# The loopback device, through which a host talks to itself.
ifconfig lo up

# Enable IPv6, in case it is disabled.
echo 0 > /proc/sys/net/ipv6/conf/all/disable_ipv6

# The director's process forwards, so the kernel must not: it would forward, unchanged, the same packets that
# the process rewrites. A host that does not forward sends no redirects, and IPv6 has no reverse-path filter.
echo 0 > /proc/sys/net/ipv6/conf/all/forwarding

# d-eth0: a veth device leaves TCP checksums to hardware that does not exist; compute them in software.
ethtool -K d-eth0 tx off

# Disabling and enabling IPv6 removes the addresses and routes of an earlier run. Duplicate address detection
# (RFC 4862) is off: it would make new addresses tentative for about a second, the link-local one included,
# and the kernel would neither answer for them nor send from them. The lab's addresses are unique, and its
# routes are static, without router advertisements (accept_ra).
echo 1 > /proc/sys/net/ipv6/conf/d-eth0/disable_ipv6
echo 0 > /proc/sys/net/ipv6/conf/d-eth0/accept_dad
echo 0 > /proc/sys/net/ipv6/conf/d-eth0/accept_ra
echo 0 > /proc/sys/net/ipv6/conf/d-eth0/disable_ipv6

# Its address, besides the link-local address that the kernel adds.
ifconfig d-eth0 up
ifconfig d-eth0 add 2001:db8:cb00:71::2/64

# d-eth1: a veth device leaves TCP checksums to hardware that does not exist; compute them in software.
ethtool -K d-eth1 tx off

# Disabling and enabling IPv6 removes the addresses and routes of an earlier run. Duplicate address detection
# (RFC 4862) is off: it would make new addresses tentative for about a second, the link-local one included,
# and the kernel would neither answer for them nor send from them. The lab's addresses are unique, and its
# routes are static, without router advertisements (accept_ra).
echo 1 > /proc/sys/net/ipv6/conf/d-eth1/disable_ipv6
echo 0 > /proc/sys/net/ipv6/conf/d-eth1/accept_dad
echo 0 > /proc/sys/net/ipv6/conf/d-eth1/accept_ra
echo 0 > /proc/sys/net/ipv6/conf/d-eth1/disable_ipv6

# Its address, besides the link-local address that the kernel adds.
ifconfig d-eth1 up
ifconfig d-eth1 add fd00:ac10::1/64

# The VIP on the outside interface, as a network of one address. Tunnels to real servers in other networks
# must come from the DIP, not from the VIP: of two equally suitable addresses the kernel takes the one that
# was added last, so the DIP is added once more. That does not help if the VIP has more bits in common with
# the destination, so the kernel may send neighbour solicitations from the VIP. It avoids only deprecated
# addresses (RFC 6724, rule 3): `ip addr` can deprecate one (preferred_lft 0), ifconfig can't. Here it does no
# harm: a neighbour learns that the VIP has this host's MAC address, which is true.
ifconfig d-eth0 add 2001:db8:cb00:71::1/128
ifconfig d-eth0 del 2001:db8:cb00:71::2/64
ifconfig d-eth0 add 2001:db8:cb00:71::2/64

# The route to the clients.
route -A inet6 add default gw 2001:db8:cb00:71::254
