"""The three methods compared by experiment: what each requires of a server, and how far it scales.

command.py           ./inv compare; options.py: its options; settings.py: what is compared
experiment.py        the steps of a comparison; progress.py: its progress bar
scaling.py           one method with more and more real servers, over slow links; clients.py: the clients
point.py             the measured values for a number of servers
knee.py              finds the knee in measured points
one_server.py        small labs with a misconfigured server, or one in another network
results.py           all measured values, with what is missing, as JSON and CSV
models.py            the published arithmetic; curves for thousands of servers and several directors
comparison_table.py  the published table, as observed
report.py            results as tables and as a page; plots.py: as pictures
dispatch/            other approaches to dispatching requests, with the same servers and clients
"""
