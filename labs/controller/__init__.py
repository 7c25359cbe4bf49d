"""The OpenFlow controller of a lab's switches: it forwards, and it testifies.

A Ryu application (os-ken where Ryu can't be built) that runs as a process of its own,
`python -m labs.controller`. The labs talk to it through `client.ControllerClient`.
"""
