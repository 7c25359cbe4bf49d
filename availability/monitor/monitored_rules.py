"""Keeps the director's rules as the monitor wants them, over its control socket.

Only services of the configuration change, and in them only servers that it names. At the end the rules that
existed before are restored, and the rest of what the monitor added is removed. Calls block: the process makes
them in a thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from availability.config.model import Fields, VirtualServer
from director import rules_file
from director.control.channel import ChannelError, Message, call
from director.control.cli import no_answer
from director.ipvsadm import save_format

FTP = ":21"  # its data connections have other ports, and follow a template (Linux: ip_vs_sched_persist)
PATIENCE = 10.0  # seconds without an answer from the director
Name = tuple[object, ...]  # the values of a service's key, and a server or ""


class RulesError(Exception):
    """The director refused the rules, and nothing has changed. The message is one sentence."""


class DirectorLost(RulesError):
    """No director answers on the socket."""


def name_of(rule: Fields) -> Name:
    return (*rule["key"].values(), rule.get("server", ""))


def persistence_taken_away(servers: Iterable[VirtualServer], existing: Iterable[Fields]) -> Iterator[str]:
    """A warning for each FTP service of VS-TUN or VS-DR that loses its persistence by the file."""
    before = {name_of(rule): rule["persistent"] for rule in existing if "server" not in rule}
    for virtual in servers:
        if virtual.service["persistent"] or not {server.method for server in virtual.servers} & {"TUN", "DR"}:
            continue
        for key in virtual.keys:
            seconds = before.get(name_of({"key": key}))
            if seconds and key.get("protocol") == "TCP" and key["address"].endswith(FTP):
                yield str(
                    virtual.place.error(
                        f"{key['address']} loses its persistence, and ftp clients their data connections: "
                        f"add persistence_timeout {seconds}."
                    )
                )


class Rules:
    """The director's rules that `claim` has named; `ask` sends a request to the director."""

    def __init__(self, socket: str, ask: Callable[[str, Message], Message] | None = None) -> None:
        self._socket = socket
        self._ask = ask or partial(call, timeout=PATIENCE)
        self._before: dict[Name, Fields] = {}  # what existed when a name was claimed
        self._claimed = set[Name]()
        self._present: list[Fields] | None = None  # None: to be listed

    def claim(self, names: Iterable[Name]) -> list[Fields]:
        """Make these rules the monitor's; returns those that exist already. Raises RulesError."""
        all_names = set(names)
        new = all_names - self._claimed
        existing = {name_of(rule): rule for rule in self._list()}
        self._before.update({name: existing[name] for name in new & existing.keys()})
        self._claimed |= new
        self._present = None
        return [rule for name, rule in existing.items() if name in all_names]

    def apply(self, wanted: list[Fields], first: list[Fields] | None = None) -> int:
        """Make the claimed rules equal to `wanted`, after the commands `first`; returns how many changed.

        All or nothing. Raises RulesError.
        """
        known = self._present is not None
        if first and first[0]["command"] == "Clear":
            self._present, self._before = [], {}
        changes = rules_file.difference(self._mine(), wanted)
        if not changes and not first:
            return 0
        try:
            self._request({"do": "apply", "commands": [*(first or []), *changes]})
        except DirectorLost:
            raise
        except RulesError:
            self._present = None
            if not known:
                raise
            return self.apply(wanted, first)  # another client has changed them: compare with the present ones
        self._present = list(wanted)
        return len(changes)

    def release(self) -> None:
        """Restore the rules that existed before, and remove the rest. Raises RulesError."""
        self._present = None
        self.apply(list(self._before.values()))

    def are_lost(self) -> bool:
        """Whether a service is missing, as after a restart of the director. Raises RulesError."""
        wanted = {name_of(rule) for rule in self._present or [] if "server" not in rule}
        lost = not wanted <= {name_of(rule) for rule in self._list()}
        if lost:
            self._present = None
        return lost

    def _mine(self) -> list[Fields]:
        if self._present is None:
            self._present = [rule for rule in self._list() if name_of(rule) in self._claimed]
        return self._present

    def services(self) -> list[Fields]:
        """All services of the director, with their servers. Raises RulesError."""
        found: list[Fields] = self._request({"do": "list", "at_once": True})["services"]
        return found

    def _list(self) -> list[Fields]:
        return save_format.read(save_format.text(self.services(), numeric=True))

    def _request(self, request: Message) -> Message:
        try:
            answer = self._ask(self._socket, request)
        except ChannelError as error:
            self._present = None
            raise DirectorLost(no_answer(self._socket, error)) from None
        if not answer.get("ok"):
            raise RulesError(
                f"the director refuses the rules, and nothing has changed: {answer.get('error')}"
            )
        return answer
