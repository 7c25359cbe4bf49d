"""The OpenFlow controller of a lab's switches: it forwards frames and records ARP.

A Ryu application (os-ken where Ryu does not build) in its own process, `python -m labs.controller`. The
labs query it through `controller_client.ControllerClient`.
"""
