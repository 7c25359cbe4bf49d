"""The client of the controller's control socket, for labs and checks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from director.control.channel import ChannelError, call
from director.formats.dataclass_json import load
from labs.controller.state_queries import ArpSighting, Port, PortCounters, Switch
from labs.errors import BuildFailed, LabError
from labs.wait import patient, wait_for

__all__ = ["ArpSighting", "ControllerClient", "ControllerError", "Port", "PortCounters", "Switch"]
T = TypeVar("T")
_TIMEOUT = 5.0  # seconds for an answer, more than the switches get for theirs


class ControllerError(LabError):
    """The controller is not running, or cannot answer."""


class ControllerClient:
    """A controller that listens on the Unix socket `path`. All methods may raise ControllerError."""

    def __init__(self, path: str) -> None:
        self._path = path

    def switches(self) -> tuple[Switch, ...]:
        """The connected switches that have their flows."""
        return self._records(Switch, "switches")

    def wait_for_switches(self, wanted: int | Iterable[str], seconds: float = 60) -> tuple[Switch, ...]:
        """Wait until `wanted` switches (a number, or names) forward. Raises BuildFailed.

        The controller itself may still be starting.
        """
        names = None if isinstance(wanted, int) else frozenset(wanted)
        enough = wanted if isinstance(wanted, int) else 0

        def connected() -> tuple[tuple[Switch, ...]] | None:
            try:
                found = self.switches()
            except ControllerError:
                return None
            complete = len(found) >= enough if names is None else names <= {switch.name for switch in found}
            return (found,) if complete else None

        what = f"{enough} switches" if names is None else f"switches {', '.join(sorted(names))}"
        (found,) = wait_for(connected, seconds, f"{what} at the controller", BuildFailed) or ((),)
        return found

    def ports(self) -> tuple[PortCounters, ...]:
        """Counters of every port of every switch, read now."""
        return self._records(PortCounters, "ports")

    def arp(self, since: int = 0) -> tuple[ArpSighting, ...]:
        """The ARP packets recorded after the one with serial `since`, oldest first."""
        return self._records(ArpSighting, "arp", since=since)

    def forget_arp(self) -> int:
        """Forget all ARP packets so far; returns the serial of the last."""
        return int(self._ask("forget-arp")["serial"])

    def framework(self) -> tuple[str, str]:
        """Name and version of the OpenFlow framework, such as ("ryu", "4.34")."""
        answer = self._ask("framework")
        return answer["name"], answer["version"]

    def _records(self, kind: type[T], verb: str, **details: Any) -> tuple[T, ...]:
        """The records in the answer to `verb`."""
        return tuple(load(kind, record) for record in self._ask(verb, **details)[verb])

    def _ask(self, verb: str, **details: Any) -> dict[str, Any]:
        try:
            answer = call(self._path, {"do": verb, **details}, timeout=patient(_TIMEOUT))
        except ChannelError as error:
            raise ControllerError(f"The OpenFlow controller can't be queried: {error}") from None
        if not answer.get("ok"):
            raise ControllerError(f"The OpenFlow controller refused {verb!r}: {answer.get('error')}.")
        return answer
