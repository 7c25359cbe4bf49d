"""The four kinds of request dispatching of the published related work, over the same servers and clients.

In the client, by DNS, in an application-level proxy (and by its sister, HTTP redirection), at IP level.

approaches.py  what each approach needs: programs, and how a server is taken out
browse.py      the clients; experiment.py: one way in one lab, with a server that dies
outcome.py     what is kept of it
"""
