"""The labs: networks built with Mininet, the traffic in them, and what it proves."""
