"""The three methods side by side, by experiment: what each asks of a server, and how far it scales.

settings.py     what is compared; command.py: the order of it all
scaling.py      one method, more and more real servers: links.py gives cables a rate, load.py are the
                clients, samples.py and processor.py read what happened, point.py is what is kept
knee.py         the rule by which a knee is found in measured points
trials.py       small labs in which a server lacks something, or is somewhere else
capacity.py      the published calculation, and the same with costs measured here
simulation.py   the curve carried on: thousands of servers, several directors
dispatch/       the other ways to give requests to servers, over the same servers and clients
journal.py      what was measured, written down at once; results.py: all of it, with what is missing
report.py       as tables; plots.py: as pictures; page.py: as one HTML page
"""
