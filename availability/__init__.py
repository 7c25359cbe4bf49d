"""High availability: what happens when a real server fails, and when a director does.

Ordinary clients of the director's control socket and of the network: nothing that they look at imports them.
`config/` reads keepalived.conf, `monitor/` checks real servers, `heartbeat/` and `vrrp/` move the VIP between
directors, and `vip.py` puts it on an interface.
"""
