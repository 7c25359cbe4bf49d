"""The four kinds of request dispatching in the published related work, with the same servers and clients.

In the client, by DNS, in an application-level proxy (and by HTTP redirection), and at IP level.

approaches.py  the programs of each approach, and how it removes a server
browse.py      the clients; server_death.py: one approach in one lab, with a server that dies
outcome.py     its result
"""
