"""The way into a running process: one JSON line in, one JSON line out, over a Unix socket."""

SOCKET = "/run/lvs-director.sock"  # the director's, where nobody says otherwise
SOCKET_VARIABLE = "LVS_SOCKET"  # the environment variable that says otherwise
