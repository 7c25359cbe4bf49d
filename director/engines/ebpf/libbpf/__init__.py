"""The parts of libbpf that the engine needs, as Python sees them: one file for each kind of thing.

Source: libbpf's own headers, bpf.h and libbpf.h (version 1).
"""
