"""Conversations: connections that are kept open, asked on, left silent and asked on again."""

from __future__ import annotations

import json
import signal
from typing import Any

from classroom.in_host import command
from classroom.variants import Variant
from labs.hosts.client import Client
from labs.run.running import RunningLab
from labs.wait import patient

_ANSWER = 1.0  # seconds for an answer to come
_SILENCE = 3.2  # seconds: real ones, in which the director's clock goes on as well
_LONGEST = 20  # seconds that a silence may last which somebody else ends
_EACH = 3  # connections of each client


class Conversation:
    """`count` connections of a client, on which it asks, is silent for `silence` seconds, and asks again."""

    def __init__(self, client: Client, count: int, silence: float = _LONGEST) -> None:
        asking = command("ask_twice", client.vip, 80, count, patient(_ANSWER), silence)
        self._process = client.host.open(asking)
        self.asked = False

    def wait(self) -> None:
        """Until each has been asked once."""
        assert self._process.stdout is not None
        self.asked = bool(self._process.stdout.readline())

    def go_on(self) -> None:
        """End the silence; after `wait`."""
        if self.asked and self._process.poll() is None:
            self._process.send_signal(signal.SIGUSR1)

    def answers(self) -> list[dict[str, str]]:
        """What each connection has answered `first` and `then`, once it has."""
        output, _ = self._process.communicate(timeout=patient(_LONGEST))
        answers: Any = json.loads(output or "[]")
        return list(answers)


def silences(running: RunningLab, variant: Variant) -> dict[str, Any]:
    """Connections of all clients at once, silent for three seconds and asked on again: `answers`.

    `left` is how many seconds of silence the director would bear after the first answers.
    """
    talks = [Conversation(client, _EACH, _SILENCE) for client in running.clients]
    for talk in talks:
        talk.wait()
    table = running.director.ask("connections")["connections"]
    left = [one["expires"] for one in table if _is_open(one, variant)]
    answers = [answer for talk in talks for answer in talk.answers()]
    return {"answers": answers, "left": round(max(left, default=0.0), 1)}


def _is_open(connection: dict[str, Any], variant: Variant) -> bool:
    return (connection["state"], connection["vip"]) == ("ESTABLISHED", f"{variant.plan.vip}:80")
