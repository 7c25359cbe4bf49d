"""What a Linux Virtual Server knows and decides; no socket, no Scapy, no clock in here."""

ALL_ONES = "255.255.255.255"  # as a netmask, one host; as an address, limited broadcast (RFC 919)
ALL_128_BITS = "128"  # the same as a prefix length of IPv6, which takes the place of a netmask
