"""VS-NAT: the director rewrites addresses and ports, in both directions."""
