"""The control socket of a running process: a JSON line in, a JSON line out, over a Unix socket."""

SOCKET = "/run/lvs-director.sock"  # the director's, by default
SOCKET_VARIABLE = "LVS_SOCKET"  # the environment variable that names another
