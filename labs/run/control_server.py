"""The control server of a running lab: other commands find its socket in the run's folder.

    {"do": "hosts"}    the hosts, each with the pid of a process in it

A lab may answer further requests. A file beside the socket, lab.json, describes the lab; it can be read
before the lab is built and while it is stopped. Requests wait until the lab is built. Because the socket is a
file, it can be reached from outside the lab's namespaces, and the kernel reports its process
(labs/run/attach.py).
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from director.control.channel import Message
from director.control.listener import Listener
from labs.run.running import RunningLab

SOCKET, ABOUT = "control.sock", "lab.json"
Answer = Callable[[Message], Message]


class ControlServer:
    """Listens from the start of the lab, and answers requests once `open` is called.

    A thread of its own answers them one by one until the process ends.
    """

    def __init__(self, folder: Path, **about: str) -> None:
        """`about`: the lab's description for lab.json, such as its name and student."""
        (folder / ABOUT).write_text(json.dumps(about) + "\n")
        with socket_in(folder) as path:
            self._listener = Listener(path, self._answer)
        self._answers: Mapping[str, Answer] = {}
        self._afterwards: list[Callable[[], object]] = []

    def open(self, running: RunningLab, answers: Mapping[str, Answer]) -> None:
        """`answers`: handlers of further requests, by their name in `do`."""
        hosts = {name: host.pid for name, host in running.network.hosts.items()}
        self._answers = {"hosts": lambda _request: {"hosts": hosts}, **answers}
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # the prompt's thread handles it
        while True:
            self._listener.serve_one()
            while self._afterwards:
                self._afterwards.pop()()

    def afterwards(self, action: Callable[[], object]) -> None:
        """Do this once the current request has been answered."""
        self._afterwards.append(action)

    def _answer(self, request: Message) -> Message:
        wanted = request.get("do")
        answer = self._answers.get(str(wanted))
        if answer is None:
            return {"ok": False, "error": f"do: expected one of {', '.join(self._answers)}, got {wanted!r}."}
        try:
            return {"ok": True, **answer(request)}
        except Exception as error:  # noqa: BLE001 (the server survives anything that a student has broken)
            return {"ok": False, "error": f"{type(error).__name__}: {error}"}


def remove_socket(folder: Path) -> None:
    """Remove the socket of a lab that has ended, if it had one: only files are left, which can be copied."""
    with suppress(OSError):
        (folder / SOCKET).unlink()


@contextmanager
def socket_in(folder: Path) -> Iterator[str]:
    """A short name for the socket, because the kernel allows only 107 bytes."""
    here = os.open(folder, os.O_PATH)
    try:
        yield f"/proc/self/fd/{here}/{SOCKET}"
    finally:
        os.close(here)
