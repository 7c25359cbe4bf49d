"""VRRP over IPv4 (versions 2, 3) and IPv6 (3): which of several directors owns the VIP. `lvs-vrrp FILE`."""
