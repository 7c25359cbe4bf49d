"""The machine that a lab runs on: capabilities, limits, load."""
