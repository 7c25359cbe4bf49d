"""Heartbeat and fake, as in 1999: two directors that send each other heartbeats. `lvs-heartbeat FOLDER`."""
