"""Two directors, one of them active: when it fails, the VIP moves to the other."""
