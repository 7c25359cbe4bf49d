"""The three methods side by side, by experiment: what each asks of a server, and how far it scales.

command.py           ./inv compare; options.py: its options; settings.py: what is compared
experiment.py        the steps of a comparison; progress.py: how far it is
scaling.py           one method with more and more real servers, over slow links; clients.py: the clients
point.py             what was measured with a number of servers
knee.py              the rule by which a knee is found in measured points
one_server.py        small labs in which a server lacks something, or is in another network
results.py           everything that was measured, with what is missing, as JSON and CSV
models.py            the published arithmetic, and the curves for thousands of servers and several directors
comparison_table.py  the published table, as observed
report.py            results as tables and as a page; plots.py: as pictures
dispatch/            the other approaches to dispatching requests, over the same servers and clients
"""
