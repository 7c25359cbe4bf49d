"""VRRP, versions 2 and 3, over IPv4: which of several directors owns the VIP. `lvs-vrrp FILE`."""
