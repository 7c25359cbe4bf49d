"""The director: the machine that owns the VIP and decides where each packet goes.

`core` decides and has no I/O; `engines` carry a decision out; `control` brings
commands from ippfvsadm to a running director.
"""
