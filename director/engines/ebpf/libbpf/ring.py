"""Ring buffers: what a program tells a process."""

from __future__ import annotations

import ctypes
from ctypes import c_int, c_size_t, c_void_p
from typing import Any

from director.engines.ebpf.libbpf.library import library
from director.engines.ebpf.libbpf.maps import Map


class Ring:
    """A ring buffer: `listener` is called with each record."""

    def __init__(self, source: Map, listener: Any) -> None:
        def heard(_context: Any, data: int, size: int) -> int:
            listener(ctypes.string_at(data, size))
            return 0

        kind = ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p, c_size_t)
        self._heard = kind(heard)
        self._ring = c_void_p(library().ring_buffer__new(source.fd, self._heard, None, None))

    def fileno(self) -> int:
        return int(library().ring_buffer__epoll_fd(self._ring))

    def consume(self) -> None:
        library().ring_buffer__consume(self._ring)

    def close(self) -> None:
        if self._ring:
            library().ring_buffer__free(self._ring)
            self._ring = c_void_p()
