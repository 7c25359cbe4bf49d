"""VS-TUN: the director sends requests through IP tunnels; replies take their own way."""
