"""What a command does before its slow imports; imports next to nothing itself.

The next file or socket would get the descriptor of a closed standard stream, so /dev/null is opened on it.
Writing to a closed standard output still fails, because a result that is lost is not a success.

During an import, Ctrl-C would print a traceback: until the work begins, the signal ends this process
directly. ./inv has blocked it since before Python started, so none is lost.
"""

from __future__ import annotations

import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

_STREAMS = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))  # in the order of their descriptors


def open_streams() -> None:
    """Open closed standard streams, for this process and the programs that it starts."""
    for number, (name, mode) in enumerate(_STREAMS):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDONLY if name == "stdout" else os.O_RDWR)  # takes the lowest one
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115 (it stays open)


def end_by_interrupt() -> None:
    """Let Ctrl-C end the process at once, unless it is ignored, as in the background."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def raise_interrupts() -> None:
    """Let Ctrl-C raise KeyboardInterrupt; where Python could only print a warning, die of the signal."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    report = sys.unraisablehook

    def hook(unraisable: sys.UnraisableHookArgs) -> None:
        if isinstance(unraisable.exc_value, KeyboardInterrupt):  # for example in an import system callback
            die_of_interrupt()
        report(unraisable)

    sys.unraisablehook = hook


def die_of_interrupt() -> NoReturn:
    """Die of SIGINT itself, so that a calling shell reports 130 and leaves its own loop."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGINT)
    os._exit(128 + signal.SIGINT)


def import_invoke() -> None:
    """Import Invoke without its mock objects for tests, which cost a sixth of a command's start-up time."""
    name = "unittest.mock"
    mock = type(sys)(name)
    mock.Mock = object  # type: ignore[attr-defined]
    sys.modules[name] = mock
    import invoke.context  # noqa: F401

    del sys.modules[name]


open_streams()
end_by_interrupt()
