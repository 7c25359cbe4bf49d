"""How a command ends: with an exit code, and one sentence if something went wrong.

LabError                 its own sentence and code
reader gone              no message, and 141, as a shell reports SIGPIPE (./inv ... | head -1)
OSError                  what the system refused and what to do, 2
anything else            an internal error: its name, and the file with the traceback, 2
"""

from __future__ import annotations

import errno
import os
import re
import select
import sys
import tempfile
import textwrap
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from itertools import chain
from pathlib import Path

from labs.errors import LabError
from labs.run import evidence

READER_GONE = 141
REFUSED = 2
_TO_COPY = re.compile(r"`[^`]*`")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_CURES = {
    errno.ENOSPC: "make room there, or set LVS_RUNS to another folder",
    errno.EDQUOT: "make room there, or set LVS_RUNS to another folder",
    errno.EACCES: "name a file or folder that is yours, or use sudo",
    errno.EPERM: "name a file or folder that is yours, or use sudo",
    errno.EROFS: "name a writable folder",
    errno.EFBIG: "allow larger files (ulimit -f)",
    errno.EMFILE: "allow more open files (ulimit -n)",
    errno.ENOMEM: "end other programs, or ask for fewer servers",
    errno.EAGAIN: "allow more processes (ulimit -u), or end other programs",
}


def exit_code_of(work: Callable[[], int]) -> int:
    """Do the work and return its exit code. An exception becomes one sentence on standard error."""
    try:
        code = work()
        sys.stdout.flush()
        return code
    except LabError as error:
        print_error(str(error))
        return error.exit_code
    except SystemExit as error:  # rich's way out when it can't print any more
        if isinstance(error.__context__, BrokenPipeError):
            return _end_quietly()
        raise
    except OSError as error:
        if isinstance(error, BrokenPipeError) and _is_reader_gone():
            return _end_quietly()
        print_error(f"{os_error_text(error)}.")
    except UnicodeError as error:
        print_error(f"Text in an unexpected encoding ({error}): use UTF-8 (LC_ALL=C.UTF-8).")
    except Exception as error:  # noqa: BLE001 (users never see a traceback)
        print_error(
            f"Internal error, {exception_line(error)}: please report it, with {_save_traceback(error)}."
        )
    _forget_output()
    return REFUSED


def os_error_text(error: OSError) -> str:
    """What the system refused and what to do, without a full stop."""
    if error.filename is None and error.errno in _FULL and not _can_print():
        return f"Standard output is full ({error.strerror}): make room there, or redirect it"
    if error.filename is None and error.errno == errno.EBADF and not _can_print():
        return "Standard output is closed: redirect it to a file, or to /dev/null"
    about = f"{error.filename}: " if error.filename is not None else ""
    cure = _CURES.get(error.errno or 0)
    return f"{about}{error.strerror or error}" + (f": {cure}" if cure else "")


def exception_line(error: BaseException) -> str:
    """An unforeseen exception on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(": ")


def print_error(sentence: str) -> None:
    """Print to standard error, if it is open; on a terminal, wrap between words."""
    with suppress(OSError, ValueError, AttributeError):
        if sys.stderr.isatty():
            sentence = wrapped(sentence, os.get_terminal_size(sys.stderr.fileno()).columns)
        sys.stderr.write(f"{sentence}\n")
        sys.stderr.flush()


def wrapped(sentence: str, columns: int, indent: str = "") -> str:
    """The sentence in lines of `columns`; words, and text to copy in `backquotes`, stay whole.

    `indent` begins each line but the first.
    """
    kept = _TO_COPY.sub(lambda found: found[0].replace(" ", "\0"), sentence)
    wrapper = textwrap.TextWrapper(
        columns, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    lines = (wrapper.wrap(line) or [""] for line in kept.split("\n"))
    return "\n".join(chain.from_iterable(lines)).replace("\0", " ")


def _can_print() -> bool:
    try:
        print(flush=True)
    except OSError:
        return False
    return True


def _is_reader_gone() -> bool:
    """Whether standard output is a pipe or terminal that has lost its reader."""
    poller = select.poll()
    poller.register(1, select.POLLOUT)
    return any(event & (select.POLLERR | select.POLLHUP | select.POLLNVAL) for _, event in poller.poll(0))


def _end_quietly() -> int:
    _forget_output()
    return READER_GONE


def _forget_output() -> None:
    """Discard output that could not be printed: Python would try again at its end, and complain."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)


def _save_traceback(error: BaseException) -> str:
    """The file with the traceback or, if none can be written, the place in the code."""
    name = f"error-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    for folder in (evidence.runs_folder, lambda: Path(tempfile.gettempdir())):
        with suppress(OSError, LabError):
            file = folder() / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            return str(file)
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"this place: {last.filename}, line {last.lineno}"
