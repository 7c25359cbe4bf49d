"""The control server of a running lab: other commands find its socket in the run's folder, and ask it things.

    {"do": "hosts"}    the hosts, with a process of each

Other requests are whatever the lab has an answer for. What lab it is stands in a file beside the socket: that
is known before the lab is built, and while it is stopped. Who asks before it is built waits until it is. The
socket is a file, so it is reached from outside the lab's namespaces; the kernel tells who listens, and with
that the way in (labs/run/attach.py).
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from director.control.channel import Message
from director.control.listener import Listener
from labs.run.running import RunningLab

SOCKET, ABOUT = "control.sock", "lab.json"
Answer = Callable[[Message], Message]


class ControlServer:
    """Set up when the lab begins; `open` when it can be asked.

    It then answers one request after the other, in a thread of its own, until the process ends.
    """

    def __init__(self, folder: Path, **about: str) -> None:
        """`about`: what lab it is, and whose."""
        (folder / ABOUT).write_text(json.dumps(about) + "\n")
        with socket_in(folder) as path:
            self._listener = Listener(path, self._answer)
        self._answers: Mapping[str, Answer] = {}

    def open(self, running: RunningLab, answers: Mapping[str, Answer]) -> None:
        """`answers`: what is done for other requests, by their name in `do`."""
        hosts = {name: host.pid for name, host in running.network.hosts.items()}
        self._answers = {"hosts": lambda _request: {"hosts": hosts}, **answers}
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCONT, signal.SIGINT})  # they are for the prompt
        while True:
            self._listener.serve_one()

    def _answer(self, request: Message) -> Message:
        wanted = request.get("do")
        answer = self._answers.get(str(wanted))
        if answer is None:
            return {"ok": False, "error": f"do: expected one of {', '.join(self._answers)}, got {wanted!r}."}
        try:
            return {"ok": True, **answer(request)}
        except Exception as error:  # noqa: BLE001 (whatever a student has broken: the server goes on)
            return {"ok": False, "error": f"{type(error).__name__}: {error}"}


@contextmanager
def socket_in(folder: Path) -> Iterator[str]:
    """The socket's name, short whatever the folder's is: the kernel takes 107 bytes."""
    here = os.open(folder, os.O_PATH)
    try:
        yield f"/proc/self/fd/{here}/{SOCKET}"
    finally:
        os.close(here)
