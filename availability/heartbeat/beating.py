"""lvs-heartbeat FOLDER: hold the VIP as ha.cf and haresources say, until SIGTERM or SIGINT.

Exit codes: 0 stopped, having given up its resources; 2, with one sentence, if it can't run.

Addresses are added and removed at once ("fake", with gratuitous ARP); scripts run one after another, while
heartbeats go on. It needs the capabilities CAP_NET_ADMIN, CAP_NET_RAW and, for port 694,
CAP_NET_BIND_SERVICE.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from availability import vip
from availability.command_line import Complaints, Parser
from availability.config import ConfigError
from availability.config.model import Configuration
from availability.config.values import Script
from availability.heartbeat import ha_d, messages
from availability.heartbeat.ha_d import Folder, Group, Medium
from availability.heartbeat.node import Action, Do, Heartbeat, Node, Peer
from availability.monitor import programs
from availability.vrrp.instances import Address
from director import launcher
from director.core.events import Event
from director.deadline import within
from director.event_file import EventFile, seconds_since_the_epoch

PROGRAM = "lvs-heartbeat"
ANNOUNCE_TIMES, ANNOUNCE_EVERY = 5, 0.5  # gratuitous ARP, as heartbeat's send_arp
_LAST_SCRIPTS = 10.0  # seconds for the scripts that run at the start, and at the end
say = partial(launcher.say, PROGRAM)


class MediumSocket:
    """The socket of a medium. Raises OSError if it can't be opened."""

    def __init__(self, medium: Medium, port: int) -> None:
        self.medium, self._port = medium, port
        with contextlib.ExitStack() as stack:
            self.socket = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            self.socket.setblocking(False)
            for option in (socket.SO_REUSEADDR, socket.SO_BROADCAST):
                self.socket.setsockopt(socket.SOL_SOCKET, option, 1)
            interface = medium.interface.encode()
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface)
            self.socket.bind(("", port))
            self._stack = stack.pop_all()

    def send(self, data: bytes) -> None:
        self.socket.sendto(data, (self.medium.to, self._port))

    def close(self) -> None:
        self._stack.close()


class Beating:
    """This node's sockets, timer and resources. Raises OSError if a socket can't be opened."""

    def __init__(self, folder: Folder, events: EventFile | None) -> None:
        self._folder, self._events = folder, events
        self._clock = seconds_since_the_epoch()
        self._node, self._me = Node(folder.settings), folder.settings.node
        self._started, self._sent = int(self._clock()), 0
        self._sockets = [MediumSocket(medium, folder.port) for medium in folder.media]
        self._complain_of_others, self._complain = Complaints(say), Complaints(say)
        self._timer: asyncio.TimerHandle | None = None
        self._announcing = set[asyncio.Task[None]]()
        self._scripts: asyncio.Queue[Script] = asyncio.Queue()

    async def run(self) -> None:
        self._loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, ended.set)
        runner = self._loop.create_task(self._run_scripts())
        for group in self._folder.groups.values():  # a process that was killed may have left them
            self._take_down(group)
        await self._finish_scripts()  # before the node can take a group over
        for medium in self._sockets:
            self._loop.add_reader(medium.socket, self._receive, medium)
        say(f"Node {self._folder.settings.node} runs, and waits for {self._folder.settings.peer}.")
        self._change(lambda: self._node.start(self._loop.time()))
        await ended.wait()
        if self._timer:
            self._timer.cancel()
        for medium in self._sockets:
            self._loop.remove_reader(medium.socket)
        self._do(self._node.stop())
        await self._finish_scripts()
        runner.cancel()
        for medium in self._sockets:
            medium.close()
        say("Stopped.")

    # ---- input ----

    def _receive(self, medium: MediumSocket) -> None:
        try:
            beat = messages.read(medium.socket.recv(65535), self._folder.key)
        except messages.Malformed as error:
            self._complain_of_others(
                f"{self._me} ignores messages on {medium.medium.interface} with {error}."
            )
        except OSError:  # the interface is gone, or a datagram was not for us
            return
        else:
            if beat.node not in (self._me, self._folder.settings.peer):
                self._complain_of_others(
                    f"{self._me} ignores {beat.node!r:.60}, which is not a node of this cluster."
                )
            self._change(lambda: self._node.receive(beat, self._loop.time()))

    def _tick(self) -> None:
        self._change(lambda: self._node.tick(self._loop.time()))

    def _change(self, what: Callable[[], list[Action]]) -> None:
        """Let the node decide with `what`, carry out its actions, and report a change."""
        before = self._node.peer, frozenset(self._node.held)
        self._do(what())
        if self._timer:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._node.next, self._tick)
        if before != (self._node.peer, frozenset(self._node.held)):
            self._report(before[0])

    def _report(self, before: Peer) -> None:
        settings, held = self._folder.settings, sorted(self._node.held)
        if self._node.peer is not before:
            say(f"{settings.peer} is {self._node.peer.value}.")
        say(f"{settings.node} holds {', '.join(held) or 'nothing'}.")
        if self._events:
            about = {"node": settings.node, "peer": settings.peer, "state": self._node.peer.value}
            self._events.write(Event("heartbeat", self._clock(), {**about, "held": held}))

    # ---- output ----

    def _do(self, actions: list[Action]) -> None:
        for action in actions:
            group = self._folder.groups.get(action.group)
            if action.do in (Do.BEAT, Do.SAY_GOODBYE):
                self._send(is_last=action.do is Do.SAY_GOODBYE)
            elif action.do is Do.WARN:
                say(f"{self._folder.settings.peer} is late: silent for {self._folder.settings.warntime:g} s.")
            elif group and action.do is Do.ACQUIRE:
                self._put_up(action.group, group)
            elif group and action.do is Do.RELEASE:
                self._take_down(group)
            elif group:
                self._announce(group.addresses)

    def _send(self, *, is_last: bool) -> None:
        self._sent += 1
        settings = self._folder.settings
        beat = Heartbeat(settings.node, (self._started, self._sent), frozenset(self._node.held), is_last)
        for medium in self._sockets:
            self._try(partial(medium.send, messages.write(beat, self._folder.key)), medium.medium.interface)

    def _put_up(self, name: str, group: Group) -> None:
        """Add the addresses, announce them by gratuitous ARP, now and later ("fake"), and queue scripts."""
        for address in group.addresses:
            self._try(partial(vip.add_address, address), address.interface)
        self._announce(group.addresses)
        task = self._loop.create_task(self._announce_again(name))
        self._announcing.add(task)
        task.add_done_callback(self._announcing.discard)
        self._queue(group.resources, "start")

    def _take_down(self, group: Group) -> None:
        for address in group.addresses:
            self._try(partial(vip.remove_address, address), address.interface)
        self._queue(group.resources[::-1], "stop")

    def _queue(self, resources: tuple[Address | Script, ...], last: str) -> None:
        for resource in resources:
            if isinstance(resource, Script):
                self._scripts.put_nowait(Script((*resource.words, last), (), resource.place))

    async def _run_scripts(self) -> None:
        """Run the queued scripts, one at a time, in order."""
        while True:
            trouble = await programs.notify(await self._scripts.get(), Configuration())
            if trouble:
                say(trouble)
            self._scripts.task_done()

    async def _finish_scripts(self) -> None:
        """Wait until the queued scripts have run, at most `_LAST_SCRIPTS` seconds."""
        with contextlib.suppress(asyncio.TimeoutError):
            await within(_LAST_SCRIPTS, self._scripts.join())

    async def _announce_again(self, name: str) -> None:
        """Repeat the gratuitous ARP of a group while this node holds it."""
        for _ in range(ANNOUNCE_TIMES - 1):
            await asyncio.sleep(ANNOUNCE_EVERY)
            if name in self._node.held:
                self._announce(self._folder.groups[name].addresses)

    def _announce(self, addresses: tuple[Address, ...]) -> None:
        for address in addresses:
            self._try(partial(vip.send_gratuitous_arp, address), address.interface)

    def _try(self, work: Callable[[], None], interface: str) -> None:
        """Report an error, once: an interface may be gone or its queue full, but heartbeats must go on."""
        try:
            work()
        except OSError as error:
            self._complain(f"{self._me} can't use {interface}: {error.strerror or error}.")


def main(arguments: list[str] | None = None) -> int:
    parser = Parser(prog=PROGRAM, description="Takes over the VIP of a dead director: docs/availability.md.")
    parser.add_argument(
        "folder", type=Path, metavar="FOLDER", help="a folder like /etc/ha.d, with ha.cf and haresources"
    )
    parser.add_argument(
        "--node", default=os.uname().nodename, metavar="NAME", help="this node (default: the host's name)"
    )
    parser.add_events_option()
    options = parser.parse_args(arguments)
    try:
        return run(options)
    except (ConfigError, OSError) as error:
        say(str(error) if isinstance(error, ConfigError) else _cannot(error))
        return 2


def _cannot(error: OSError) -> str:
    cure = "run this as root" if error.errno in (1, 13) else "name interfaces that exist, and a free port"
    return f"it can't run ({error.strerror or error}): {cure}."


def run(options: argparse.Namespace) -> int:
    """Read the folder and run the node. Raises ConfigError and OSError."""
    folder = ha_d.load(options.folder, options.node)
    scripts = [
        resource
        for group in folder.groups.values()
        for resource in group.resources
        if isinstance(resource, Script)
    ]
    programs.verify_scripts([("haresources", script) for script in scripts], Configuration())
    with contextlib.ExitStack() as stack:
        try:
            clock = seconds_since_the_epoch()
            events = stack.enter_context(EventFile(options.events, clock)) if options.events else None
        except OSError as error:
            raise ConfigError(f"the events can't be written to {options.events}: {error.strerror}.") from None

        async def work() -> None:
            await Beating(folder, events).run()

        asyncio.run(work())
    return 0


if __name__ == "__main__":
    sys.exit(main())
