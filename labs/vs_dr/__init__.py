"""VS-DR: the director changes only the MAC address of a request; replies take their own way."""
