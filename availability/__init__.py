"""High availability: what happens when a real server fails, and when a director does.

An ordinary client of the director's control socket: nothing that it looks at imports it. `config/` reads
keepalived.conf, `monitor/` checks the real servers.
"""
