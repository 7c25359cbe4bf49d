"""What runs on the hosts of a lab: clients, the daemons of real servers, their set-up and environment."""
