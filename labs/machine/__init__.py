"""What this machine can do for a lab, and how fast it is at the moment."""
