"""Runs our small Python programs on hosts by forking the fork server, which has imported their modules.

Starting Python takes ten times as long as a fork, and a check or the doctor needs a program on each host. The
program is a file that uses only the standard library and does nothing unless its name is `__main__`; by hand
it is `python -S -E FILE ARGUMENT...` inside the host.

The two sides talk on a Unix socket of packets (SOCK_SEQPACKET). The client sends JSON
    {"pid": 4711, "argv": ["/lab/labs/hosts/in_host.py", "arp", "r0-eth1"]}
with three descriptors, for standard input, output and errors; `pid` is any process in the host's namespaces.
The answer is the program's pid, then its exit code, or the end of the connection if the program was killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic
from types import CodeType, ModuleType
from typing import Any, NoReturn

from realserver_setup import syscalls
from realserver_setup.apply import Result

_MOST = 65536  # bytes of a request
_BACKLOG = 64
_STREAMS = 3


class ForkedPrograms:
    """The server's side. Call `accept` when `listening` is readable, and `serve` when the connection is."""

    def __init__(self, path: Path) -> None:
        self.listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listening.bind(str(path))
        self.listening.listen(_BACKLOG)
        self._known: dict[str, tuple[int, CodeType]] = {}

    def accept(self) -> socket.socket:
        return self.listening.accept()[0]

    def serve(self, connection: socket.socket) -> None:
        """Read one request and fork its program; a malformed request is logged and ignored."""
        data, streams, _, _ = socket.recv_fds(connection, _MOST, _STREAMS)
        try:
            request = json.loads(data)
            code = self._code(request["argv"][0])
            parent = os.getpid()
            if os.fork() == 0:
                _become(request, code, connection, streams, parent)
        except (ValueError, LookupError, TypeError, OSError, SyntaxError) as error:
            print(f"{data!r}: {error}", file=sys.stderr, flush=True)
        finally:
            for stream in streams:
                os.close(stream)
            connection.close()

    def _code(self, file: str) -> CodeType:
        """The compiled file, cached until it changes. At first it runs as a module, to import others."""
        changed = os.stat(file).st_mtime_ns
        known = self._known.get(file)
        if known and known[0] == changed:
            return known[1]
        code = compile(Path(file).read_bytes(), file, "exec", dont_inherit=True)
        _run(code, file, "imported")
        self._known[file] = changed, code
        return code


def _run(code: CodeType, file: str, name: str) -> None:
    module = ModuleType(name)
    module.__file__ = file
    sys.modules[name] = module  # dataclasses look there
    exec(code, module.__dict__)


def _become(
    request: dict[str, Any], code: CodeType, connection: socket.socket, streams: Sequence[int], parent: int
) -> NoReturn:
    """In the child: enter the host's namespaces and run the program."""
    ended = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        syscalls.die_with_parent(parent)
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        launcher = os.dup2(connection.fileno(), _STREAMS, inheritable=False)
        os.closerange(launcher + 1, os.sysconf("SC_OPEN_MAX"))
        os.write(launcher, b"%d" % os.getpid())
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 (it stays open)
        sys.argv = request["argv"]

        def work() -> None:
            syscalls.enter_host(request["pid"])
            _run(code, sys.argv[0], "__main__")

        ended = _exit_code(work)
        sys.stdout.flush()
        sys.stderr.flush()
        os.write(launcher, b"%d" % ended)
    finally:
        os._exit(ended)


def _exit_code(work: Callable[[], None]) -> int:
    """Run `work` and return an exit code as Python would: print a traceback or the text of a SystemExit."""
    try:
        work()
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:  # noqa: BLE001 (whatever it is ends this program only)
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


def run_forked(path: Path, pid: int, argv: Sequence[str], text: str | None, timeout: float) -> Result | None:
    """Run the program `argv` on the host of process `pid`; None if no fork server at `path` took the request.

    Raises TimeoutExpired after `timeout` seconds, as subprocess does; the program is killed.
    """
    began = monotonic()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server, contextlib.ExitStack() as stack:
        try:
            server.connect(str(path))
        except OSError:
            return None
        streams = [stack.enter_context(open(os.memfd_create(name), "w+b")) for name in ("in", "out", "err")]
        standard_input, output, errors = streams
        standard_input.write((text or "").encode())
        standard_input.seek(0)
        request = json.dumps({"pid": pid, "argv": list(argv)}).encode()
        socket.send_fds(server, [request], [stream.fileno() for stream in streams])
        program, code = 0, b""
        try:
            for _ in range(2):
                server.settimeout(max(timeout - (monotonic() - began), 0.001))
                program, code = int(code or 0), server.recv(_MOST)
        except BaseException as error:
            if program or code:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(program or code), signal.SIGKILL)
            if isinstance(error, TimeoutError):
                raise subprocess.TimeoutExpired(list(argv), timeout) from None
            if isinstance(error, ConnectionResetError) and not (program or code):
                return None  # the server has ended meanwhile
            raise
        for stream in (output, errors):
            stream.seek(0)
        written, complained = (stream.read().decode(errors="replace") for stream in (output, errors))
        return Result(int(code) if code else -signal.SIGKILL, written, complained)
