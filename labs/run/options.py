"""The options of the labs: each is spelled here once, with its default and its help.

A task takes its options, their help and their order (which decides the short flags) from a dataclass such
as LabOptions. Imports next to nothing: `./inv --list` reads it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from inspect import Parameter, Signature
from typing import Any, TypeVar

from labs.errors import BadRequest
from labs.methods import METHODS
from labs.network.addresses import PUBLISHED, Addressing

T = TypeVar("T")

BOTH = 46  # IPv4 and IPv6
FAMILIES = (4, 6, BOTH)
MOST_SERVERS = 200
MOST_DELAY = 2000  # milliseconds
MOST_LOSS = 20  # percent; the checks of a lab still end in time
_LEAST = 2  # real servers of lab-ha: one fails
_STEP, _LONGEST = 10, 40_950  # milliseconds of VRRP's interval: 12 bits of hundredths of a second
_HIGHEST_PORT = 65_535
_WHOLE = re.compile(r"-?[0-9]{1,9}")


def option(default: Any, description: str) -> Any:
    """A field of a dataclass that is an option of a task, with the text that --help shows.

    An option whose default is None takes a whole number.
    """
    return field(default=default, metadata={"help": description})


VIEW = option(False, "Show the lab in the browser while it runs; it stays until Ctrl-C.")
VIEW_ONLY = option(False, "Like --view, but nothing can be changed from the page.")
VIEW_HOST = option("127.0.0.1", "With --view: address for the page (default 127.0.0.1: this machine only).")
VIEW_PORT = option(0, "With --view: port for the page (default: any free one).")


@dataclass(frozen=True, slots=True)
class ViewOptions:
    """Whether and how to show a lab in the browser; raises BadRequest."""

    view: bool = VIEW
    view_only: bool = VIEW_ONLY
    view_host: str = VIEW_HOST
    view_port: int = VIEW_PORT

    def __post_init__(self) -> None:
        _require_range("--view-port", self.view_port, _HIGHEST_PORT, "(0: any free one)")

    @property
    def wanted(self) -> bool:
        return self.view or self.view_only


@dataclass(frozen=True, slots=True)
class LabOptions:
    """The options of a lab; raises BadRequest for an invalid value."""

    servers: int = option(3, f"Number of real servers, 1 to {MOST_SERVERS} (default 3).")
    engine: str = option("scapy", "Data plane of the director: scapy (default), ebpf or ipvs.")
    scheduler: str = option("wrr", "Scheduling algorithm, by its ipvsadm name (default wrr).")
    report: str = option("", "Also write the result to this file, as JSON.")
    cli: bool = option(False, "Keep the lab running after the checks, at Mininet's prompt.")
    show_scripts: bool = option(False, "Print the set-up scripts without running them.")
    large: bool = option(False, "Also transfer 10 MB files.")
    family: int = option(4, "IP version: 4 (default), 6, or 46 for a VIP of each.")
    dialect: str = option("1999", "Commands of the set-up scripts: 1999 (default) or iproute2.")
    controller: str = option("auto", "OpenFlow framework: auto (default), ryu or os-ken.")
    delay: float = option(0.0, "Delay in milliseconds to and from the clients (needs the kernel's netem).")
    loss: float = option(0.0, "Packet loss in percent to and from the clients (needs the kernel's netem).")
    verbose: bool = option(False, "Show every check with its values, not only those that failed.")
    view: bool = VIEW
    view_only: bool = VIEW_ONLY
    view_host: str = VIEW_HOST
    view_port: int = VIEW_PORT
    addresses: Addressing = PUBLISHED

    def __post_init__(self) -> None:
        from director import engines
        from director.core import schedulers

        if not 1 <= self.servers <= MOST_SERVERS:
            raise BadRequest(f"--servers {self.servers}: a lab has 1 to {MOST_SERVERS} real servers.")
        _require_known("--engine", self.engine, engines.names())
        _require_known("--scheduler", self.scheduler, schedulers.names())
        if self.family not in FAMILIES:
            raise BadRequest(f"--family {self.family}: choose 4, 6 or {BOTH} (a VIP of each).")
        _require_known("--dialect", self.dialect, ("1999", "iproute2"))
        _require_known("--controller", self.controller, ("auto", "ryu", "os-ken"))
        _require_range("--delay", self.delay, MOST_DELAY, "milliseconds")
        _require_range("--loss", self.loss, MOST_LOSS, "percent")
        ViewOptions(view_port=self.view_port)

    @property
    def viewing(self) -> ViewOptions:
        """Raises BadRequest."""
        return ViewOptions(self.view, self.view_only, self.view_host, self.view_port)

    @property
    def dual(self) -> bool:
        """Whether the lab has both IP versions."""
        return self.family == BOTH

    @property
    def impaired(self) -> bool:
        """Whether packets to and from the clients are delayed or lost."""
        return bool(self.delay or self.loss)


@dataclass(frozen=True, slots=True)
class HaOptions(LabOptions):
    """The additional options of lab-ha; raises BadRequest."""

    method: str = option("dr", "Forwarding method: nat, tun or dr (default dr).")
    takeover: str = option("vrrp", "Program that moves the VIP: vrrp (default) or heartbeat.")
    sync: bool = option(True, "Whether the active director tells the other about its connections.")
    advert_interval: int = option(1000, "Milliseconds between advertisements or heartbeats (default 1000).")
    every_failure: bool = option(False, "Try every kind of failure, not only killed processes and hosts.")

    def __post_init__(self) -> None:
        from labs.run.takeover import TAKEOVERS

        LabOptions.__post_init__(self)
        if self.servers < _LEAST:
            raise BadRequest(f"--servers {self.servers}: lab-ha has {_LEAST} to {MOST_SERVERS} real servers.")
        if self.dual:
            raise BadRequest(
                f"--family {self.family}: lab-ha has one VIP: choose 4 or 6; lab-nat, lab-tun and lab-dr "
                "have a VIP of each."
            )
        _require_known("--method", self.method, METHODS)
        _require_known("--takeover", self.takeover, tuple(TAKEOVERS))
        if self.family not in TAKEOVERS[self.takeover].families:
            raise BadRequest(
                f"--takeover {self.takeover} --family {self.family}: heartbeat moves IPv4 addresses only: "
                "choose --takeover vrrp."
            )
        if self.advert_interval % _STEP or not _STEP <= self.advert_interval <= _LONGEST:
            raise BadRequest(
                f"--advert-interval {self.advert_interval}: expected {_STEP} to {_LONGEST} milliseconds, "
                f"a multiple of {_STEP}."
            )


def _require_known(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise BadRequest(f"{name} {value!r} is unknown: choose from {', '.join(known)}.")


def _require_range(name: str, value: float, most: int, unit: str) -> None:
    if not 0 <= value <= most:  # false for NaN, too
        raise BadRequest(f"{name} {value:g}: expected 0 to {most} {unit}.")


def signature_of(options: type) -> Signature:
    """The parameters of a task with these options. Numbers are typed as text: `from_words` reads them."""
    context = Parameter("context", Parameter.POSITIONAL_OR_KEYWORD)
    return Signature([context, *(_parameter(declared) for declared in _options(options))])


def help_of(options: type) -> dict[str, str]:
    """The help of every option, by its name as typed."""
    return {declared.name.replace("_", "-"): declared.metadata["help"] for declared in _options(options)}


def from_words(options: type[T], words: Mapping[str, Any]) -> T:
    """The options from the values of a task's parameters. Raises BadRequest."""
    return options(
        **{declared.name: _value(declared, words[declared.name]) for declared in _options(options)}
    )


def _options(options: type) -> list[Field[Any]]:
    return [declared for declared in fields(options) if "help" in declared.metadata]


def _parameter(declared: Field[Any]) -> Parameter:
    default = "" if declared.default is None else declared.default
    typed = default if isinstance(default, bool) else str(default)
    return Parameter(declared.name, Parameter.KEYWORD_ONLY, default=typed)


def _value(declared: Field[Any], typed: Any) -> Any:
    name = f"--{declared.name.replace('_', '-')}"
    if isinstance(declared.default, (bool, str)):
        return typed
    if declared.default is None and not typed:
        return None
    if declared.default is None or isinstance(declared.default, int):
        if not _WHOLE.fullmatch(typed):
            raise BadRequest(f"{name} {typed!r} is not a whole number.")
        return int(typed)
    try:
        return float(typed)
    except ValueError:
        raise BadRequest(f"{name} {typed!r} is not a number.") from None
