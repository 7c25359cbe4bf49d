"""The values of a configuration: virtual servers, their real servers and checks, with all defaults filled in.

config_reader.py makes these values from a file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from availability.config.text import Place
from availability.config.values import Block, Script
from director.formats.ipvsadm_words import endpoint

Fields = dict[str, Any]

CHECKS = (
    *("TCP_CHECK", "HTTP_GET", "SSL_GET", "SMTP_CHECK"),
    *("DNS_CHECK", "UDP_CHECK", "PING_CHECK", "MISC_CHECK"),
)


@dataclass(frozen=True, slots=True)
class Timing:
    """When a check runs; times in seconds. `retry` attempts follow a failed one before the server is down."""

    alpha: bool = False
    connect_timeout: float = 5.0
    retry: int = 1
    delay_before_retry: float = 1.0
    warmup: float = 60.0
    delay_loop: float = 60.0


@dataclass(frozen=True, slots=True)
class Page:
    """A page of HTTP_GET: the request, and the reply that it requires. The default codes are 200 to 299."""

    path: str
    host: str | None
    codes: tuple[range, ...]
    digest: str | None
    regex: re.Pattern[bytes] | None
    must_match: bool
    offsets: tuple[int, int | None]


@dataclass(frozen=True, slots=True)
class Check:
    """A check of a real server. `pages`, `version` are for HTTP, `query` for DNS, `payload`, `reply` for UDP.

    `reply` has (value, mask) for each byte that is required; `command` is the program of MISC_CHECK.
    """

    kind: str
    address: str
    port: int
    timing: Timing
    source: tuple[str, int] = ("", 0)
    interface: str = ""
    mark: int = 0
    log_all_failures: bool = False
    pages: tuple[Page, ...] = ()
    version: str = "1.0"
    fast_recovery: bool = False
    server_name: bool = False
    helo: str = ""
    query: tuple[str, str] = ("SOA", ".")
    payload: bytes | None = None
    reply: tuple[tuple[int, int], ...] | None = None
    lengths: tuple[int, int] = (0, 255)
    command: Script | None = None
    dynamic: bool = False

    def __str__(self) -> str:
        return f"{self.kind} {self.command or endpoint(self.address, self.port)}"


@dataclass(frozen=True, slots=True)
class RealServer:
    """A real server, or the sorry server, which has no checks."""

    address: str
    port: int
    weight: int
    method: str
    inhibit: bool = False  # weight 0 instead of no rule
    upper: int = 0
    lower: int = 0
    checks: tuple[Check, ...] = ()
    notify_up: Script | None = None
    notify_down: Script | None = None
    mail: bool = False

    def __str__(self) -> str:
        return endpoint(self.address, self.port)


@dataclass(frozen=True, slots=True)
class VirtualServer:
    """A service, or several that share their servers; `keys` identify them on the control socket."""

    name: str
    keys: tuple[Fields, ...]
    service: Fields  # the other fields of AddService
    servers: tuple[RealServer, ...]
    sorry: RealServer | None
    quorum: int
    hysteresis: int
    omega: bool
    quorum_up: Script | None
    quorum_down: Script | None
    mail: bool
    place: Place = field(default=Place("", 0), compare=False)


@dataclass(frozen=True, slots=True)
class Mail:
    """Settings of mail about changes of state; `timeout` in seconds."""

    recipients: tuple[str, ...]
    sender: str
    host: str
    port: int
    helo: str
    timeout: float


@dataclass(frozen=True, slots=True)
class Configuration:
    """A whole file; `vrrp` and `settings` are the blocks that vrrp/instances.py reads."""

    servers: tuple[VirtualServer, ...] = ()
    router_id: str = ""
    mail: Mail | None = None
    script_user: tuple[str, ...] = ()
    script_security: bool = False
    init_notifies: bool = False
    timeouts: Fields = field(default_factory=dict)  # the fields of SetTimeouts
    flush: bool = False
    vrrp: tuple[Block, ...] = ()
    settings: Block = field(default_factory=lambda: Block("global_defs", [], Place("", 0)))
