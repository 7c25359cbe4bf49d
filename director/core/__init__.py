"""The core of a director: its state and its decisions, without sockets, Scapy or a clock."""

ALL_ONES = "255.255.255.255"  # as a netmask, one host; as an address, limited broadcast (RFC 919)
ALL_128_BITS = "128"  # the same for IPv6, where a prefix length takes the place of a netmask
