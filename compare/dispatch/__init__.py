"""The four kinds of request dispatching of the published related work, over the same servers and clients.

In the client, by DNS, in an application-level proxy (and by HTTP redirection), and at IP level.

approaches.py  what each approach needs: programs, and how a server is taken out
browse.py      the clients; server_death.py: one approach in one lab, with a server that dies
outcome.py     its result
"""
