"""The interface of a data plane, and the error that it raises if it can't run on this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:
    from selectors import BaseSelector

    from director.core.connections import Tables
    from director.core.director import Director
    from director.core.family import Family
    from director.core.rules import LocalServers
    from director.core.sync_protocol import DaemonConfig


class EngineError(Exception):
    """The engine can't run on this machine; the text says what is missing and what to do."""


class Daemons(Protocol):
    """Synchronisation with another director: at most one daemon that sends, and one that receives."""

    def start(self, config: DaemonConfig) -> None:
        """Raises LvsError or EngineError."""

    def stop(self, role: str) -> None:
        """Raises LvsError or EngineError."""

    def running(self) -> list[dict[str, Any]]:
        """JSON-ready: the fields of DaemonConfig, and counters if there are any."""

    def tick(self, now: float) -> None:
        """Called once a second."""

    def close(self) -> None:
        """Stop them all."""


class Engine(Protocol):
    """Carries out a director's decisions on the given interfaces.

    It registers its file descriptors with a selector, each with a function to call when the
    descriptor is readable; the director's process owns the loop. `explains` tells whether the core
    decides about this engine's packets and can give reasons; `families` are those that it forwards.
    """

    explains: ClassVar[bool]
    families: ClassVar[Sequence[Family]]

    @classmethod
    def open(cls, interfaces: Sequence[str], clock: Callable[[], float]) -> Engine:
        """An engine on these interfaces; `clock` returns the seconds in which the core counts time.

        Nothing is changed before `start`. Raises EngineError if an interface can't be used.
        """

    def use_redirect_peer(self) -> None:
        """Send frames past the director's own end of a veth pair (bpf_redirect_peer). Raises EngineError.

        Captures, queueing disciplines and counters there do not see them. Called before `start`.
        """

    def tables(self, bits: int, limit: int) -> Tables:
        """Where connections are kept: 2^bits buckets, at most `limit` connections. Raises EngineError."""

    def start(self, director: Director, selector: BaseSelector) -> None:
        """Begin to forward. Raises EngineError."""

    def mtu_of(self, address: str) -> int:
        """The path MTU to `address` in bytes, as far as it is known."""

    def is_local(self, address: str) -> bool:
        """Whether `address` is one of this machine's own."""

    def is_own(self, address: str) -> bool:
        """The same for the source of a packet, which may also be a broadcast address; often called."""

    def route_to(self, address: str) -> Mapping[str, str]:
        """How a packet gets to `address`: interface, source, next_hop, source_mac, dest_mac.

        Empty if there is no route; dest_mac is empty until the next hop's MAC address is known.
        """

    def sync_schedulers(self) -> None:
        """Sync the positions of the core's schedulers, before rules are read or changed."""

    def prepare_rules(self, vips: set[str], local: Iterable[LocalServers]) -> Iterator[None]:
        """Do slow but harmless work, in steps, before rules with these VIPs are installed.

        `local` are the services that the local node will serve. Packets are forwarded in between. Raises
        EngineError if it is refused; then nothing will change.
        """

    def install_rules(self) -> None:
        """Install the director's rules in the data plane.

        Raises EngineError if they are refused. Then it is called again with the earlier rules, to undo what
        was half done.
        """

    def finish_rules(self) -> Iterator[None]:
        """Do slow work after the rules were installed, in steps. Never raises: they are in force."""

    def sync_daemons(self) -> Daemons | None:
        """The kernel's daemons; None if the director's process must run its own."""

    def sync_changed(self) -> None:
        """The director has gained or lost its sender, or has begun or ended to stand by."""

    def tick(self, now: float) -> None:
        """Called once a second."""

    def sync_counters(self, *, wait: bool) -> None:
        """Bring the statistics of the director's services and servers up to date.

        If exact figures take a moment, wait for them only with `wait`.
        """

    def connections(self, now: float, most: int | None = None) -> Iterator[dict[str, Any]]:
        """All connections and templates, or `most` of each, in the form of the core's `listing`."""

    def counters(self) -> Mapping[str, int]:
        """The data plane's own counters, by name."""

    def close(self) -> None:
        """Stop forwarding, and leave the kernel as it was; may be called twice."""


def is_initial_root(uid_map: Path = Path("/proc/self/uid_map")) -> bool:
    """Whether user 0 here is user 0 of the machine, not of a user namespace (user_namespaces(7))."""
    inside, outside, _ = uid_map.read_text().split()[:3]
    return (inside, outside) == ("0", "0")
