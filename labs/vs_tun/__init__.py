"""VS-TUN: the director sends requests through IP tunnels; replies return directly."""
