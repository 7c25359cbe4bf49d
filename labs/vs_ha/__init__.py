"""Two directors, of which one is active: the VIP moves to the other when it fails."""
