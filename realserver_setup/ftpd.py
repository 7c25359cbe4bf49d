"""ftpd: an ftp server (pyftpdlib) for anonymous and one user, with a folder for uploads.

A virtual server relies on two properties. Active data connections come from the port below that of the
control connection (RFC 959, 3.2: 20 for 21), so the director recognises them. Passive replies contain the
destination address of the control connection: the VIP in VS-TUN and VS-DR, the RIP in VS-NAT, where the
director rewrites it.

By hand: python -m realserver_setup.ftpd --root FOLDER [--port 21]
"""

from __future__ import annotations

import argparse
import json
import logging
import socket
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyftpdlib.authorizers import DummyAuthorizer  # type: ignore[import-untyped, unused-ignore]
from pyftpdlib.handlers import FTPHandler  # type: ignore[import-untyped, unused-ignore]
from pyftpdlib.handlers.ftp.dispatchers import ActiveDTP  # type: ignore[import-untyped, unused-ignore]
from pyftpdlib.servers import FTPServer  # type: ignore[import-untyped, unused-ignore]

from realserver_setup import validators
from realserver_setup.errors import DaemonFailed, InvalidValue
from realserver_setup.files import UPLOAD

_READ, _WRITE = "elr", "elradfmwMT"  # pyftpdlib's permissions: enter, list, retrieve; plus all that write


@dataclass(frozen=True, slots=True)
class Ftpd:
    """The settings of an ftp server, which serves `root` on `port` of all addresses of these IP versions."""

    root: str
    port: int = 21
    first_passive: int = 30000
    last_passive: int = 30999
    user: str = "student"
    password: str = "student"
    versions: Sequence[int] = (4,)

    def __post_init__(self) -> None:
        validators.versions("versions", self.versions)
        for field in ("port", "first_passive", "last_passive"):
            validators.port(field, getattr(self, field))
        if self.port < 2 or self.first_passive > self.last_passive:
            raise InvalidValue("port, first_passive, last_passive", "a port from 2, first up to last", self)
        if not Path(self.root).is_dir():
            raise InvalidValue("root", "a folder that exists", self.root)


class _Active(ActiveDTP):  # type: ignore[misc, unused-ignore]
    """The data connection of PORT and EPRT."""

    _is_passed_on = False

    def handle_connect(self) -> None:
        super().handle_connect()
        self._is_passed_on = True

    def close(self) -> None:
        """Close it, unless its socket belongs to a data channel by now.

        That closes the socket at the end of a transfer. pyftpdlib would close it again with the next PORT, or
        when the session ends, and unregister its number, which may be that of another client by then.
        """
        if not self._is_passed_on:
            super().close()

    def bind(self, address: tuple[str, int]) -> None:
        """Bind to the port below that of the control connection, even with earlier transfers in TIME_WAIT."""
        self.set_reuse_addr()
        control = self.cmd_channel.socket.getsockname()[1]
        super().bind((address[0], control - 1))


class _Handler(FTPHandler):  # type: ignore[misc, unused-ignore]
    """A control connection that logs every command as a line of JSON."""

    active_dtp = _Active
    banner = "A real server."

    def log_cmd(self, cmd: str, arg: str, respcode: int, respstr: str) -> None:  # noqa: ARG002
        argument = "" if cmd == "PASS" else arg
        record = {"client": self.remote_ip, "command": cmd, "argument": argument, "code": respcode}
        print(json.dumps(record), flush=True)


def serve(ready: Callable[[], None], **options: Any) -> None:
    """Serve ftp for ever, and call `ready` when the server listens. Raises DaemonFailed."""
    settings = Ftpd(**options)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s")
    handler = _handler_for(settings)
    *_, server = [FTPServer(_listen(settings.port, version), handler) for version in settings.versions]
    ready()
    server.serve_forever(handle_exit=False)  # serves all versions: the servers share a loop


_WILDCARDS = {4: (socket.AF_INET, "0.0.0.0"), 6: (socket.AF_INET6, "::")}


def _listen(port: int, version: int) -> socket.socket:
    """A bound socket. pyftpdlib's own code resolves names, which costs each daemon 3 MB."""
    family, address = _WILDCARDS[version]
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if version == 6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    try:
        listener.bind((address, port))
    except OSError as error:
        raise DaemonFailed(f"ftpd can't listen on port {port}: {error.strerror}.") from None
    return listener


def _handler_for(settings: Ftpd) -> type[_Handler]:
    """A handler class with these settings: pyftpdlib reads them from class attributes."""

    class Handler(_Handler):
        authorizer = _authorizer(settings)
        passive_ports = range(settings.first_passive, settings.last_passive + 1)

    return Handler


def _authorizer(settings: Ftpd) -> DummyAuthorizer:
    """Let all users read everything and write to the upload folder."""
    authorizer = DummyAuthorizer()
    authorizer.add_user(settings.user, settings.password, settings.root, perm=_READ)
    authorizer.add_anonymous(settings.root, perm=_READ)
    upload = Path(settings.root, UPLOAD)
    upload.mkdir(exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # anonymous may write, on purpose
        for user in (settings.user, "anonymous"):
            authorizer.override_perm(user, str(upload), _WRITE, recursive=True)
    return authorizer


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m realserver_setup.ftpd", description="A small ftp server."
    )
    parser.add_argument("--root", required=True, help="the folder to serve")
    parser.add_argument("--port", type=int, default=21)
    parser.add_argument(
        "--family", choices=("4", "6", "46"), default="4", help="IP version: 4 (default), 6, or 46 for both"
    )
    options = vars(parser.parse_args(arguments))
    versions = tuple(map(int, options.pop("family")))
    try:
        ready = f"ftpd listens on port {options['port']}."
        serve(lambda: print(ready, flush=True), **options, versions=versions)
    except KeyboardInterrupt:
        return 0
    except (DaemonFailed, InvalidValue) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
