"""./inv doctor: what this machine can do, what it can't, and what helps."""
