"""lvs-vrrp FILE: run the virtual routers of a keepalived.conf, until SIGTERM or SIGINT.

Exit codes: 0 stopped, having resigned where it was master, or with --check the file is valid; 2, with one
sentence, if it can't run.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import os
import signal
import sys
from functools import partial
from pathlib import Path

from availability import vip
from availability.command_line import Complaints, Parser, take_priority
from availability.config import ConfigError, config_reader
from availability.config.model import Configuration
from availability.config.values import Script
from availability.monitor import programs
from availability.vrrp import advertisements, instances, sync_follower, tracking, virtual_mac
from availability.vrrp.instances import Group, Instance
from availability.vrrp.router import RESIGN, Action, Router, State
from availability.vrrp.sockets import Sockets
from availability.vrrp.sync_follower import Follower, SyncDaemon
from availability.vrrp.tracking import ScriptState, Tracked
from director import launcher
from director.control import SOCKET, SOCKET_VARIABLE
from director.control.cli import print_output
from director.core.events import Event
from director.event_file import EventFile, seconds_since_the_epoch

PROGRAM = "lvs-vrrp"
POLL = 0.05  # seconds between two readings of the interfaces' state
_NOTIFY = {State.MASTER: "notify_master", State.BACKUP: "notify_backup", State.FAULT: "notify_fault"}
say = partial(launcher.say, PROGRAM)


class VirtualRouter:
    """A running instance of the configuration: its state machine, its sockets and its timer."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.sockets = Sockets(instance)
        self.machine = Router(instance.settings, self.sockets.address)
        self.timer: asyncio.TimerHandle | None = None
        self.complain_of_others, self.complain = Complaints(say), Complaints(say)
        self.why = ""  # the tracked interfaces and scripts that explain a fault, or the priority

    @property
    def name(self) -> str:
        return self.instance.settings.name

    @property
    def tracked(self) -> tuple[Tracked, ...]:
        return self.instance.tracked


class Vrrp:
    """All virtual routers of a configuration. Raises OSError if a socket can't be opened."""

    def __init__(
        self,
        found: list[Instance],
        groups: list[Group],
        configuration: Configuration,
        events: EventFile | None,
        daemon: SyncDaemon | None,
        socket: str,
    ) -> None:
        self._daemon, self._socket = daemon, socket
        self._configuration = configuration
        self._groups = groups
        self._events = events
        self._clock = seconds_since_the_epoch()
        self._routers = [VirtualRouter(instance) for instance in found]
        self._tracked = {tracked for instance in found for tracked in instance.tracked}
        self._scripts = {
            tracked.name: ScriptState(tracked.script) for tracked in self._tracked if tracked.script
        }
        self._tasks = set[asyncio.Task[str]]()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        self._loop = loop
        ended = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ended.set)
        for router in self._routers:
            for address in router.instance.addresses:  # a process that was killed may have left them
                self._try(router, lambda address=address: vip.remove_address(address))
            loop.add_reader(router.sockets.receiver, self._receive, router)
        say(f"Running: {', '.join(router.name for router in self._routers)}.")
        self._follower = Follower(self._daemon, self._socket, say) if self._daemon else None
        tasks = [loop.create_task(self._poll())]
        watching = [loop.create_task(self._watch(script)) for script in self._scripts.values()]
        if self._follower:
            tasks.append(loop.create_task(self._follower.run()))
        await ended.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._stop()
        for task in watching:  # only now: a program that ends late must not keep the VIP here
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
        if self._follower:
            await self._follower.stop()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=programs.END)

    def _stop(self) -> None:
        for router in self._routers:
            self._loop.remove_reader(router.sockets.receiver)
            if router.timer:
                router.timer.cancel()
            self._do(router, router.machine.stop())
            self._run_script(router.instance.scripts.get("notify_stop"), ())
            router.sockets.close()
        say("Stopped.")

    # ---- input ----

    async def _poll(self) -> None:
        """Notice what fails and what comes back. The members of a sync group fail together."""
        while True:
            state = self._state()
            failing = {router.name: tracking.failures(router.tracked, state) for router in self._routers}
            for router in self._routers:
                together = [
                    name for group in self._groups if router.name in group.members for name in group.members
                ]
                why = [
                    reason for name in dict.fromkeys(together or [router.name]) for reason in failing[name]
                ]
                self._compare(router, why, state)
            await asyncio.sleep(POLL)

    def _state(self) -> tracking.State:
        return {
            (tracked.kind, tracked.name): self._scripts[tracked.name].is_up
            if tracked.script
            else vip.is_running(tracked.name)
            for tracked in self._tracked
        }

    def _compare(self, router: VirtualRouter, failing: list[str], state: tracking.State) -> None:
        """Apply the state of what is tracked: a new priority, a fault, or the end of one."""
        machine, before = router.machine, router.machine.state
        priority = tracking.priority(router.instance.settings.priority, router.tracked, state)
        changed = priority != machine.priority
        if changed:
            machine.set_priority(priority)
            self._set_timer(router)
        router.why = "; ".join(failing or tracking.reasons(router.tracked, state))
        if not failing and before is State.FAULT:
            self._change(router, machine.start(self._loop.time()), before, new=True)
        elif failing and before is not State.FAULT:
            self._change(router, machine.fail(), before)
        elif changed and before is not State.FAULT:
            say(f"{router.name} has priority {priority}{f' ({router.why})' if router.why else ''}.")
            self._event(router)

    async def _watch(self, script: ScriptState) -> None:
        """Run a vrrp_script again and again; `_poll` reads its state."""
        settings = script.settings
        due = self._loop.time()
        while True:
            try:
                code, output = await programs.run(settings.script, self._configuration, settings.timeout)
                why = f"exit code {code}{f', {output}' if output else ''}" if code else ""
            except asyncio.TimeoutError:
                why = f"it took more than {settings.timeout} s"
            except OSError as error:
                why = f"it can't be started: {error.strerror}"
            if script.finish(not why):
                say(f"Script {settings.name} is {f'down ({why})' if why else 'up'}.")
            due = max(due + settings.interval, self._loop.time())
            await asyncio.sleep(due - self._loop.time())

    def _receive(self, router: VirtualRouter) -> None:
        try:
            packet = router.sockets.receive()
            found = advertisements.read(packet, router.instance.settings) if packet else None
        except advertisements.Malformed as error:
            router.complain_of_others(
                f"{router.name} ignores advertisements of this virtual router with {error}."
            )
            return
        except OSError:  # the interface has gone; `_poll` notices it
            return
        if found:
            before = router.machine.state
            self._change(router, router.machine.receive(found, self._loop.time()), before)

    def _tick(self, router: VirtualRouter) -> None:
        before = router.machine.state
        self._change(router, router.machine.tick(self._loop.time()), before)

    def _change(self, router: VirtualRouter, actions: list[Action], before: State, new: bool = False) -> None:
        """Carry out the actions, report a new state, and change the other members of the sync group."""
        self._do(router, actions)
        self._set_timer(router)
        state = router.machine.state
        if state is before and not new:
            return
        self._report(router)
        for other in self._partners(router):
            if state is State.MASTER and other.machine.state is State.BACKUP:
                self._change(other, other.machine.take_over(self._loop.time()), State.BACKUP)
            elif state is State.BACKUP and before is State.MASTER and other.machine.state is State.MASTER:
                self._change(other, other.machine.yield_to(self._loop.time()), State.MASTER)

    def _partners(self, router: VirtualRouter) -> list[VirtualRouter]:
        names = {name for group in self._groups if router.name in group.members for name in group.members}
        return [other for other in self._routers if other.name in names - {router.name}]

    def _set_timer(self, router: VirtualRouter) -> None:
        if router.timer:
            router.timer.cancel()
        due = router.machine.next
        router.timer = self._loop.call_at(due, self._tick, router) if due is not None else None

    # ---- output ----

    def _do(self, router: VirtualRouter, actions: list[Action]) -> None:
        settings = router.instance.settings
        times = {
            Action.ANNOUNCE: settings.announce_times,
            Action.REFRESH: settings.refresh_times,
            Action.CONTRADICT: settings.contradict_times,
        }
        for action in actions:
            if action is Action.ADVERTISE:
                self._try(router, lambda: router.sockets.advertise(router.machine.priority))
            elif action is Action.RESIGN:
                self._try(router, lambda: router.sockets.advertise(RESIGN))
            elif action in times:
                self._try(router, partial(router.sockets.announce, router.instance.addresses, times[action]))
            else:
                change = vip.add_address if action is Action.ADD_ADDRESSES else vip.remove_address
                for address in router.instance.addresses:
                    self._try(router, lambda address=address, change=change: change(address))

    def _try(self, router: VirtualRouter, work: object) -> None:
        """Report an error, once: an interface may be gone or its queue full, but the protocol must go on."""
        assert callable(work)
        try:
            work()
        except OSError as error:
            router.complain(f"{router.name}: {error.strerror or error}.")

    def _report(self, router: VirtualRouter) -> None:
        state, priority = router.machine.state, router.machine.priority
        why = f" ({router.why})" if state is State.FAULT and router.why else ""
        say(f"{router.name} is {state.value}{why}.")
        if self._follower:
            self._follower.follow(router.name, state is State.MASTER)
        self._event(router)
        notified = [("INSTANCE", router.name, router.instance.scripts)]
        for group in self._groups:
            members = [other for other in self._routers if other.name in group.members]
            if router in members and all(other.machine.state is state for other in members):
                notified.append(("GROUP", group.name, group.scripts))
        for kind, name, scripts in notified:
            self._run_script(scripts.get(_NOTIFY[state]), ())
            self._run_script(scripts.get("notify"), (kind, name, state.value, str(priority)))

    def _event(self, router: VirtualRouter) -> None:
        if self._events:
            machine = router.machine
            data = {"instance": router.name, "state": machine.state.value, "priority": machine.priority}
            why = {"why": router.why} if router.why else {}
            self._events.write(Event("vrrp", self._clock(), {**data, **why}))

    def _run_script(self, script: Script | None, more: tuple[str, ...]) -> None:
        if script is None:
            return
        command = Script((*script.words, *more), script.user, script.place)
        task = self._loop.create_task(programs.notify(command, self._configuration))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[str]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.result():
            say(task.result())


def main(arguments: list[str] | None = None) -> int:
    parser = Parser(prog=PROGRAM, description="Virtual routers by VRRP: see docs/availability.md.")
    parser.add_argument("file", type=Path, metavar="FILE", help="a file in the syntax of keepalived.conf")
    parser.add_argument("--check", action="store_true", help="only say whether the file is valid")
    parser.add_argument(
        "--socket",
        default=os.environ.get(SOCKET_VARIABLE) or SOCKET,
        help="the director's control socket, for lvs_sync_daemon",
    )
    parser.add_argument(
        "--resync",
        action="store_true",
        help="lvs_sync_daemon: ask for the whole table at the start, and answer such requests",
    )
    parser.add_common_options()
    options = parser.parse_args(arguments)
    try:
        return run(options)
    except (ConfigError, OSError) as error:
        sentence = str(error) if isinstance(error, ConfigError) else _cannot(error)
        say(sentence)
        return 2


def _cannot(error: OSError) -> str:
    cures = {
        **dict.fromkeys((errno.EPERM, errno.EACCES), "run this as root"),
        errno.EEXIST: "give use_vmac another name",
        errno.ENOENT: "use_vmac needs the command ip, of the package iproute2",
        errno.EOPNOTSUPP: "use_vmac needs macvlan in the kernel, and an Ethernet interface",
    }
    cure = cures.get(error.errno or 0, "name interfaces that exist and have an address")
    return f"it can't run ({error.strerror or error}): {cure}."


def run(options: argparse.Namespace) -> int:
    """Read the file and run its virtual routers. Raises ConfigError and OSError."""
    configuration = config_reader.load(options.file, options.config_id)
    found, groups = instances.read(configuration)
    if not found:
        raise ConfigError(f"{options.file} has no vrrp_instance.")
    if configuration.servers:
        say(f"The virtual servers of {options.file} are for lvs-monitor.")
    daemon = sync_follower.read(configuration.settings, [instance.settings for instance in found])
    if options.check:
        print_output(f"{options.file} is valid: virtual routers {len(found)}.\n")
        return 0
    if daemon and options.resync:
        daemon.fields["resync"] = True
    programs.verify_scripts(_scripts(found, groups), configuration)
    complaint = take_priority(configuration.settings, "vrrp")
    if complaint:
        say(complaint)
    clock = seconds_since_the_epoch()
    with contextlib.ExitStack() as stack:
        try:
            events = stack.enter_context(EventFile(options.events, clock)) if options.events else None
        except OSError as error:
            raise ConfigError(f"the events can't be written to {options.events}: {error.strerror}.") from None
        for instance in found:
            if instance.virtual_mac:
                stack.enter_context(virtual_mac.interface_of(instance.virtual_mac))
        asyncio.run(Vrrp(found, groups, configuration, events, daemon, options.socket).run())
    return 0


def _scripts(found: list[Instance], groups: list[Group]) -> list[tuple[str, Script]]:
    named = [router.scripts for router in found] + [group.scripts for group in groups]
    tracked = {item.script for router in found for item in router.tracked if item.script}
    return [
        *(item for scripts in named for item in scripts.items()),
        *(("script", script.script) for script in sorted(tracked, key=lambda script: script.name)),
    ]


if __name__ == "__main__":
    sys.exit(main())
