"""What a command does before all imports that take their time; it imports next to nothing itself.

The number of a standard stream that is closed would be given to the next file or socket: /dev/null gets it.

In the middle of an import, Ctrl-C would be a traceback: until the work begins it ends this process by the
signal's own means. ./inv has it blocked since before Python was started, so none is lost.
"""

from __future__ import annotations

import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

_STREAMS = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))  # by their numbers


def open_streams() -> None:
    """Programs that are started later have them as well."""
    for number, (name, mode) in enumerate(_STREAMS):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115 (it stays open)


def end_by_interrupt() -> None:
    """From now on Ctrl-C ends the process at once; one that is ignored, as in the background, stays so."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def raise_interrupts() -> None:
    """From now on Ctrl-C is a KeyboardInterrupt, also where Python could only complain of it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    complain = sys.unraisablehook

    def hook(unraisable: sys.UnraisableHookArgs) -> None:
        if isinstance(unraisable.exc_value, KeyboardInterrupt):  # in a callback of the import system, say
            die_of_interrupt()
        complain(unraisable)

    sys.unraisablehook = hook


def die_of_interrupt() -> NoReturn:
    """As a shell expects it of a program that Ctrl-C has ended: it tells 130, and leaves its own loop."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGINT)
    os._exit(128 + signal.SIGINT)


open_streams()
end_by_interrupt()
