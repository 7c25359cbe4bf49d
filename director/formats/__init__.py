"""Rules in the two forms in which they leave the process: JSON commands and lines of ipvsadm. No I/O.

Control and engines both use them, so they stand below both and know only the core.
"""
