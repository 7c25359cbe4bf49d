"""lvs_sync_daemon: the director's synchronisation daemons follow the state of a virtual router.

The master's director sends connections, the others receive; without an instance, both daemons run all the
time. A restarted director gets its daemons again. Requests block, so a thread makes them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from availability.config import values
from availability.config.model import Fields
from availability.config.values import Block
from availability.vrrp.router import Settings
from director.control.channel import ChannelError, Message, call
from director.control.cli import no_answer
from director.deadline import within
from director.formats import parse_number

POLL = 1.0  # seconds between two requests for the director's daemons
PATIENCE = 10.0  # seconds without an answer from it
_NUMBERS = {
    "id": ("syncid", 0, 255),
    "maxlen": ("maxlen", 1, 65507),
    "port": ("port", 1, 65535),
    "ttl": ("ttl", 1, 255),
}


@dataclass(frozen=True, slots=True)
class SyncDaemon:
    """The instance to follow, None to run both daemons, and the options that daemons are started with."""

    instance: str | None
    fields: Fields


def read(settings: Block, routers: list[Settings]) -> SyncDaemon | None:
    """INTERFACE [[inst] INSTANCE] [id N] [maxlen N] [port N] [ttl N] [group ADDRESS]. Raises ConfigError."""
    if "lvs_sync_daemon" not in settings.values:
        return None
    interface, *words = settings.get("lvs_sync_daemon") or [""]
    vrids = {router.name: router.vrid for router in routers}
    instance: str | None = None
    fields: Fields = {"interface": interface}
    try:
        while words:
            name = words.pop(0)
            if name == "group":
                fields["group"] = values.ipv4(words.pop(0))
            elif name in _NUMBERS:
                field, minimum, maximum = _NUMBERS[name]
                fields[field] = _number(words.pop(0), minimum, maximum)
            else:
                instance = words.pop(0) if name == "inst" else name
                if instance not in vrids:
                    raise ValueError(f"there is no vrrp_instance {instance!r:.60}")
        if not interface:
            raise IndexError
    except IndexError:
        raise settings.error(
            "lvs_sync_daemon: expected an interface, and a value for each word.", "lvs_sync_daemon"
        ) from None
    except ValueError as error:
        raise settings.error(f"lvs_sync_daemon: {error}.", "lvs_sync_daemon") from None
    return SyncDaemon(instance, {"syncid": vrids.get(instance or "", 0), **fields})


def _number(word: str, minimum: int, maximum: int) -> int:
    if not minimum <= (number := parse_number(word, 5)) <= maximum:
        raise ValueError(f"expected a number from {minimum} to {maximum}, got {word!r:.60}")
    return number


class Follower:
    """Keeps the director's daemons running by the instance's state; calls `say` with errors as sentences."""

    def __init__(
        self,
        daemon: SyncDaemon,
        socket: str,
        say: Callable[[str], None],
        ask: Callable[[str, Message], Message] | None = None,
    ) -> None:
        self._daemon = daemon
        self._socket = socket
        self._say = say
        self._ask = ask or partial(call, timeout=PATIENCE)
        self._thread = ThreadPoolExecutor(1)
        self._changed = asyncio.Event()
        self._roles = {"backup"} if daemon.instance else {"master", "backup"}
        self._reported = ""

    def follow(self, instance: str, is_master: bool) -> None:
        """The state of an instance has changed."""
        if instance == self._daemon.instance:
            self._roles = {"master"} if is_master else {"backup"}
            self._changed.set()

    async def run(self) -> None:
        """Keep the daemons until cancelled."""
        while True:
            self._changed.clear()
            await self._set(self._roles)
            try:
                await within(POLL, self._changed.wait())
            except asyncio.TimeoutError:
                continue

    async def stop(self) -> None:
        """Stop the daemons."""
        await self._set(set())

    async def _set(self, roles: set[str]) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._thread, self.reconcile, roles)
        except ChannelError as error:
            self._report(no_answer(self._socket, error))
        except ValueError as error:
            self._report(f"The director's synchronisation daemon: {error}")
        else:
            self._reported = ""

    def reconcile(self, roles: set[str]) -> None:
        """Stop daemons that should not run; start those that should. Raises ChannelError and ValueError."""
        running = {daemon["role"] for daemon in self._request({"do": "daemons"})["daemons"]}
        for role in sorted(running - roles):
            self._request({"do": "stop_daemon", "role": role})
        for role in sorted(roles - running):
            self._request({"do": "start_daemon", "role": role, **self._daemon.fields})

    def _request(self, request: Message) -> Message:
        answer = self._ask(self._socket, request)
        if not answer.get("ok"):
            raise ValueError(str(answer.get("error")))
        return answer

    def _report(self, sentence: str) -> None:
        """Print a sentence unless it was the last one."""
        if sentence != self._reported:
            self._reported = sentence
            self._say(sentence)
