"""Heartbeat and fake, as in 1999: two directors that tell each other they live. `lvs-heartbeat FOLDER`."""
