"""Programs that run inside a host of the lab, for the probes: they need the standard library only."""
