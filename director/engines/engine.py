"""What a data plane has to offer; and how it says that it can't run here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:
    from selectors import BaseSelector

    from director.core.connections import Tables
    from director.core.director import Director


class EngineError(Exception):
    """The engine can't run on this machine; its text says what is missing and what to do."""


class Engine(Protocol):
    """Carries out a director's decisions on the given interfaces.

    It registers its file descriptors with a selector, each with a function to call when the
    descriptor is readable; the director's process owns the loop. `clock` gives the seconds in which
    the core reckons. `explains` says whether it is the core that decides about its packets, and
    so can say why.
    """

    explains: ClassVar[bool]

    def __init__(self, interfaces: Sequence[str], clock: Callable[[], float]) -> None:
        """Nothing is touched before `start`. Raises EngineError where an interface can't be used."""

    def use_redirect_peer(self) -> None:
        """Let frames skip the director's own end of a virtual cable. Raises EngineError where that can't be.

        Captures, queues and counters there see nothing of them. To be called before `start`.
        """

    def tables(self, bits: int, limit: int) -> Tables:
        """Where connections are kept: 2^bits buckets, and at most `limit` of them. Raises EngineError."""

    def start(self, director: Director, selector: BaseSelector) -> None:
        """Begin to forward. Raises EngineError."""

    def mtu_of(self, address: str) -> int:
        """The longest IP packet, in bytes, that fits on the way to `address`."""

    def is_local(self, address: str) -> bool:
        """Whether `address` is one of this machine's own."""

    def route_to(self, address: str) -> Mapping[str, str]:
        """How a packet gets to `address`: interface, source, next_hop, source_mac, dest_mac.

        Empty where no way is known; dest_mac is empty while nobody has asked for it.
        """

    def sync_schedulers(self) -> None:
        """The core is about to be told, or asked, something: its schedulers have to know whose turn it is."""

    def prepare_rules(self, vips: set[str]) -> Iterator[None]:
        """They are about to have these VIPs: what takes long and harms nobody is done now, in steps.

        Packets go on in between. Raises EngineError where it can't be done, and nothing will change.
        """

    def install_rules(self) -> None:
        """The rules were changed.

        Raises EngineError where that can't be carried out; it is called again then, with the rules as
        they were, so that what was half done is undone.
        """

    def tick(self, now: float) -> None:
        """A second has passed: time for what is late."""

    def sync_counters(self, *, wait: bool) -> None:
        """Let the director's services and servers count all that this data plane has carried.

        Where that takes a moment, it is waited for only if they are to be counted `exactly`.
        """

    def connections(self, now: float) -> Iterator[dict[str, Any]]:
        """All connections and templates, in the form of the core's `listing`, one at a time."""

    def counters(self) -> Mapping[str, int]:
        """What was counted so far, by name."""

    def close(self) -> None:
        """Stop forwarding, and leave the kernel as it was; harmless when called twice."""
