"""The way into a running process: one JSON line in, one JSON line out, over a Unix socket."""
