"""The director: the machine that owns the VIP and decides where each packet goes.

    core/            decides; has no I/O
    formats/         rules as JSON commands and as lines of ipvsadm
    engines/         the data planes, which carry out a decision
    control/         the control socket: its protocol, the server in the director, and what its clients share
    process.py       the director's process and event loop; __main__.py is its command line
    ipvsadm/, ippfvsadm.py, fwmark.py, ipvs_sysctl.py, explain.py    the tools, clients of the control socket
    bin/, systemd/   the programs and a unit for them

Each of these imports only those above it: formats the core, engines both, and so on.
"""
