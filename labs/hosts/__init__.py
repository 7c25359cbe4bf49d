"""The hosts of a lab: clients, daemons of real servers, set-up scripts, environment."""
