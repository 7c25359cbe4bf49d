"""Imports Ryu, or os-ken if Ryu could not be built. All other modules import from here.

The environment variable LVS_CONTROLLER ("ryu" or "os-ken") decides when this module is imported. With Ryu,
the import also makes the standard library's sockets and threads green (eventlet): import it first, and only
in the controller's own process.

Both have the same application interface, in different packages. Ryu runs on green threads, os-ken on native
ones; a lock works with both. Ryu 4.34 needs a name that newer versions of eventlet lack.
"""

from __future__ import annotations

import importlib
import os
import socket
import sys
import warnings
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from labs.errors import Unable

VARIABLE = "LVS_CONTROLLER"
RYU, OS_KEN = "ryu", "os-ken"
NAME = os.environ.get(VARIABLE, RYU)

_PACKAGES = {RYU: "ryu", OS_KEN: "os_ken"}
_BASES = {RYU: "RyuApp", OS_KEN: "OSKenApp"}

Handler = TypeVar("Handler", bound=Callable[..., None])


def _import(module: str) -> Any:
    return importlib.import_module(f"{_PACKAGES[NAME]}.{module}")


def _prepare_ryu() -> None:
    """Patch the standard library and eventlet as Ryu 4.34 needs it."""
    os.environ["RYU_HUB_TYPE"] = "eventlet"
    os.environ.setdefault("EVENTLET_NO_GREENDNS", "yes")  # saves 0.1 s; no names are resolved here
    _leave_out_what_no_lab_uses()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # eventlet prints a deprecation warning at every start
        # asyncio is for a hub (event loop) other than the one used here.
        _stand_in("asyncio")
        eventlet: Any = importlib.import_module("eventlet")
        del sys.modules["asyncio"]
        # It would search all objects for locks. Here all green threads share one native thread, which may
        # enter its RLocks again.
        eventlet.patcher._green_existing_locks = lambda _type: None
        eventlet.monkey_patch()
        wsgi: Any = importlib.import_module("eventlet.wsgi")
    if not hasattr(wsgi, "ALREADY_HANDLED"):  # gone since eventlet 0.30.3
        wsgi.ALREADY_HANDLED = object()


def _leave_out_what_no_lab_uses() -> None:
    """Save a third of the time that the imports take.

    No switch connects over TLS (so eventlet needs no OpenSSL), no packet of the zebra daemon is parsed (which
    would import setuptools), no option is a URI, no web page is served, and the switches speak OpenFlow 1.3.
    """
    zebra, wsgi = _stand_in("ryu.lib.packet.zebra"), _stand_in("ryu.app.wsgi")
    zebra.ZEBRA_PORT = None
    wsgi.start_service = lambda _manager: None
    absent: Any = None
    sys.modules["OpenSSL"] = absent
    _stand_in("rfc3986")
    for other, number in (("2", 3), ("4", 5), ("5", 6)):
        _stand_in(f"ryu.ofproto.ofproto_v1_{other}").OFP_VERSION = number
        _stand_in(f"ryu.ofproto.ofproto_v1_{other}_parser")


def _stand_in(name: str) -> Any:
    """An empty module in place of the real one."""
    return sys.modules.setdefault(name, ModuleType(name))


if NAME not in _PACKAGES:
    raise Unable(f"{VARIABLE}={NAME} is unknown: choose ryu or os-ken.")
os.environ["OSKEN_HUB_TYPE"] = "native"
try:
    if NAME == RYU:
        _prepare_ryu()
    _app_manager = _import("base.app_manager")
    _controller = _import("controller.controller")
    _handler = _import("controller.handler")
    _hub = _import("lib.hub")
    ofp_event: Any = _import("controller.ofp_event")
    OPENFLOW: int = _import("ofproto.ofproto_v1_3").OFP_VERSION
    _import("ofproto.ofproto_v1_3_parser")  # fills ofp_event with the events of 1.3
except (ImportError, AttributeError) as _error:
    raise Unable(f"{NAME} does not start on this Python ({_error}).") from _error

CONNECTED: str = _handler.MAIN_DISPATCHER
DISCONNECTED: str = _handler.DEAD_DISPATCHER

if TYPE_CHECKING:

    class App:
        """The base class of applications; handlers run one after the other, in one thread."""

        def __init__(self, *args: Any, **kwargs: Any) -> None: ...

        def start(self) -> None: ...
else:
    App = getattr(_app_manager, _BASES[NAME])


def handles(event: Any, *states: str) -> Callable[[Handler], Handler]:
    """Mark a method as the handler of `event` from switches in one of `states`."""
    mark: Callable[[Handler], Handler] = _handler.set_ev_cls(event, list(states or (CONNECTED,)))
    return mark


def spawn(function: Callable[[], None]) -> None:
    """Run `function` in a thread of the framework's kind."""
    _hub.spawn(function)


def version() -> str:
    from importlib.metadata import version as installed

    return installed(NAME)


class _Server:
    """Accepts switches on a listening socket, in place of the frameworks' own server.

    Theirs opens its socket in a thread, where a failure is only logged, and eventlet's would share a port in
    use, so that two controllers would each get some of the switches.
    """

    def __init__(self, listening: socket.socket) -> None:
        self._listening = listening

    def serve_forever(self) -> None:
        while True:
            connection, address = self._listening.accept()
            _hub.spawn(_controller.datapath_connection_factory, connection, address)


def run(application: str, host: str, port: int) -> None:
    """Listen for switches on `host`:`port` and run the module `application`; does not return.

    Raises Unable if the port is in use.
    """
    try:
        listening = socket.create_server((host, port), backlog=128)
    except OSError as error:
        raise Unable(
            f"Can't listen for switches on {host}:{port} ({os.strerror(error.errno or 0)}): "
            "end the program that uses the port, or choose another with --port."
        ) from None
    _controller.StreamServer = lambda *_, **__: _Server(listening)
    _controller.CONF.set_override("ofp_tcp_listen_port", port)
    _app_manager.AppManager.run_apps([application])
