"""VS-DR: the director changes only the MAC address of requests; replies return directly."""
