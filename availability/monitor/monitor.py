"""The monitor's process: a task for each check, one for the rules, and signals, in one event loop.

SIGHUP reads the file again: state that still applies is kept, and a wrong file changes nothing.
SIGTERM and SIGINT end the process, which restores the rules that existed before it began.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from availability.command_line import take_priority
from availability.config import ConfigError, config_reader
from availability.config.model import Configuration, Fields, RealServer, VirtualServer
from availability.monitor import probes, programs
from availability.monitor.checker import Checker, Outcome
from availability.monitor.monitored_rules import DirectorLost, Name, Rules, RulesError, persistence_taken_away
from availability.monitor.pool import Change, Member, Pool
from director import launcher
from director.core.events import Event
from director.event_file import EventFile, seconds_since_the_epoch

PROGRAM = "lvs-monitor"
Result = TypeVar("Result")
WATCH = 1.0  # seconds between two requests for the director's rules, and between attempts to reach it
say = partial(launcher.say, PROGRAM)


@dataclass(frozen=True, slots=True)
class Settings:
    """The command line's options."""

    file: Path
    config_id: str
    socket: str
    events: Path | None = None
    vrrp: bool = True


class CannotRun(Exception):
    """The monitor can't run. The message is one sentence with the reason."""


def load(settings: Settings) -> Configuration:
    """Read the file, and make sure that its programs exist. Raises ConfigError."""
    configuration = config_reader.load(settings.file, settings.config_id)
    if configuration.vrrp and settings.vrrp:
        block = configuration.vrrp[0]
        raise block.error(f"{block.keyword} is for lvs-vrrp: --no-vrrp leaves it to that program.")
    if "lvs_sync_daemon" in configuration.settings.values and settings.vrrp:
        raise configuration.settings.error(
            "lvs_sync_daemon is for lvs-vrrp: --no-vrrp leaves it to that program.", "lvs_sync_daemon"
        )
    programs.verify(configuration)
    return configuration


def run(settings: Settings) -> None:
    """Check until SIGTERM or SIGINT. Raises CannotRun and ConfigError."""
    configuration = load(settings)
    complaint = take_priority(configuration.settings, "checker")
    if complaint:
        say(complaint)
    with contextlib.ExitStack() as stack:
        clock = seconds_since_the_epoch()
        file = None
        if settings.events:
            try:
                file = stack.enter_context(EventFile(settings.events, clock))
            except OSError as error:
                raise CannotRun(
                    f"the events can't be written to {settings.events}: {error.strerror}."
                ) from None
        monitor = Monitor(settings, configuration, file, clock)
        try:
            asyncio.run(monitor.run())
        except RulesError as error:
            raise CannotRun(str(error)) from None


class Monitor:
    """The running monitor: checks, rules, and notifications of changes."""

    def __init__(
        self,
        settings: Settings,
        configuration: Configuration,
        events: EventFile | None,
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._configuration = configuration
        self._events = events
        self._clock = clock
        self._rules = Rules(settings.socket)
        self._pools: list[Pool] = []
        self._tasks: list[asyncio.Task[None]] = []  # the checks
        self._reloads: list[asyncio.Task[None]] = []
        self._notified = set[asyncio.Task[None]]()
        self._lost = False

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT. Raises RulesError if the director refuses the first rules."""
        self._dirty, self._ended = asyncio.Event(), asyncio.Event()
        self._reloading = asyncio.Lock()
        self._changing = asyncio.Lock()  # one change of the rules at a time
        self._thread = ThreadPoolExecutor(1)  # all requests to the director, one after the other
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ended.set)
        loop.add_signal_handler(signal.SIGHUP, self._hang_up)
        first: list[Fields] = [{"command": "Clear"}] if self._configuration.flush else []
        pools = self._make(self._configuration)
        changes = [change for pool in pools for change in pool.start()]
        await self._install(self._configuration, pools, first)
        say(f"Checking: {count(self._configuration)}; the director is on {self._settings.socket}.")
        self._report(changes + self._initial())
        if not self._configuration.mail and any(
            _wants_mail(virtual) for virtual in self._configuration.servers
        ):
            say("No mail is sent: smtp_alert needs notification_email and smtp_server in global_defs.")
        self._start_checks()
        keeping = [loop.create_task(self._keep_rules()), loop.create_task(self._watch())]
        await self._ended.wait()
        await _cancel([*self._reloads, *self._tasks, *keeping])
        await self._finish()

    # ---- configuration ----

    def _make(self, configuration: Configuration) -> list[Pool]:
        """The pools of a configuration; what is unchanged keeps its state."""
        now = asyncio.get_running_loop().time()
        old = {pool.virtual.name: pool for pool in self._pools}
        pools = []
        for virtual in configuration.servers:
            before = old.get(virtual.name)
            known = {str(member.server): member for member in before.members} if before else {}
            members = [self._member(server, known.get(str(server)), now) for server in virtual.servers]
            pools.append(Pool(virtual, members, before.quorum if before else False))
        return pools

    def _member(self, server: RealServer, before: Member | None, now: float) -> Member:
        """A server that was known keeps its state; a new check of it starts in the server's state."""
        checkers = []
        left = list(before.checkers) if before else []
        for check in server.checks:
            same = next((checker for checker in left if checker.check == check), None)
            if same:
                left.remove(same)
                checkers.append(same)
            else:
                state = before.alive if before else None
                checkers.append(Checker.new(check, now, random.random(), state))
        return Member(server, checkers)

    async def _install(self, configuration: Configuration, pools: list[Pool], first: list[Fields]) -> None:
        """Make the director's rules those of a configuration. Raises RulesError with nothing changed."""
        if configuration.timeouts:
            first = [*first, {"command": "SetTimeouts", **configuration.timeouts}]
        async with self._changing:
            existing = await self._ask(self._rules.claim, _names(pools))
            await self._ask(self._rules.apply, _wanted(pools), first)
            self._configuration, self._pools = configuration, pools
        for sentence in persistence_taken_away(configuration.servers, existing):
            say(sentence)

    def _hang_up(self) -> None:
        self._reloads = [task for task in self._reloads if not task.done()]
        self._reloads.append(asyncio.ensure_future(self._reload()))

    async def _reload(self) -> None:
        async with self._reloading:
            try:
                configuration = load(self._settings)
            except ConfigError as error:
                say(f"{error} Nothing has changed.")
                return
            await _cancel(self._tasks)  # the pools must not change meanwhile
            alive = {
                (pool.virtual.name, str(member.server)): member.alive
                for pool in self._pools
                for member in pool.members
            }
            pools = self._make(configuration)
            changes = [change for pool in pools for change in pool.start(alive)]
            try:
                await self._install(configuration, pools, [])
            except RulesError as error:
                say(f"{error} The old configuration stays.")
            else:
                say(f"Loaded again: {count(configuration)}.")
                self._report(changes)
            self._start_checks()

    async def _finish(self) -> None:
        """Run the scripts that are due at the end, and restore the rules of before."""
        self._report([change for pool in self._pools for change in pool.stop()])
        try:
            await self._ask(self._rules.release)
        except RulesError as error:
            say(str(error))
        if self._notified:
            await asyncio.wait(self._notified, timeout=programs.END)
        say("Stopped; the rules are as before.")

    # ---- checks ----

    def _start_checks(self) -> None:
        self._tasks = [
            asyncio.create_task(self._check(pool, member, checker))
            for pool in self._pools
            for member in pool.members
            for checker in member.checkers
        ]

    async def _check(self, pool: Pool, member: Member, checker: Checker) -> None:
        """Run one check again and again."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(checker.due - loop.time())
            outcome = await self._attempt(checker)
            changed = checker.finish(outcome, loop.time())
            if outcome.why and checker.check.log_all_failures:
                change = Change(
                    "check_failed", pool.virtual.name, str(member.server), str(checker.check), outcome.why
                )
                self._event(change)
            if changed:
                self._report(pool.update(member, checker))
                self._dirty.set()

    async def _attempt(self, checker: Checker) -> Outcome:
        try:
            return await probes.probe(checker.check, checker.page, self._configuration)
        except Exception as error:  # noqa: BLE001 (one check must not end the others)
            return Outcome(f"internal error, {type(error).__name__}: {error}")

    # ---- rules ----

    async def _keep_rules(self) -> None:
        """Apply each change of state to the director's rules, as soon as the director can be reached."""
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            async with self._changing:
                await self._try(self._rules.apply, _wanted(self._pools))

    async def _watch(self) -> None:
        """Notice that the director is gone, or that it has lost the rules because it was restarted."""
        loop = asyncio.get_running_loop()
        took = 0.0
        while True:
            await asyncio.sleep(max(WATCH, 20 * took))  # a large listing costs 5 % of the director at most
            async with self._changing:
                began = loop.time()
                if await self._try(self._rules.are_lost):
                    say("The director has lost the rules: they are added again.")
                    self._dirty.set()
                took = loop.time() - began

    async def _ask(self, work: Callable[..., Result], *arguments: object) -> Result:
        """Call `work` in the thread for requests to the director. Raises RulesError."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    async def _try(self, work: Callable[..., object], *arguments: object) -> object:
        """Like _ask, but print an error and return None. When a lost director is back, rules are due."""
        try:
            done = await self._ask(work, *arguments)
        except DirectorLost as error:
            if not self._lost:
                say(str(error))
            self._lost = True
            return None
        except RulesError as error:
            say(str(error))
            return None
        if self._lost:
            say("The director is back.")
            self._lost = False
            self._dirty.set()
        return done

    # ---- events, scripts and mail ----

    def _initial(self) -> list[Change]:
        """With rs_init_notifies, a change for each server that is up from the start, to run its script."""
        if not self._configuration.init_notifies:
            return []
        return [
            Change("server_up", pool.virtual.name, str(member.server), script=member.server.notify_up)
            for pool in self._pools
            for member in pool.members
            if member.alive
        ]

    def _report(self, changes: Iterable[Change]) -> None:
        for change in changes:
            say(str(change))
            self._event(change)
            if change.script:
                self._later(self._notify(change))
            if change.mail and self._configuration.mail:
                self._later(self._send_mail(change))

    def _event(self, change: Change) -> None:
        if self._events:
            self._events.write(Event(change.kind, self._clock(), change.data()))

    async def _notify(self, change: Change) -> None:
        assert change.script
        failure = await programs.notify(change.script, self._configuration)
        if failure:
            say(failure)

    async def _send_mail(self, change: Change) -> None:
        configuration = self._configuration
        assert configuration.mail
        failure = await asyncio.to_thread(
            programs.send, configuration.mail, configuration.router_id, str(change)
        )
        if failure:
            say(failure)

    def _later(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._notified.add(task)  # the loop itself keeps no strong reference
        task.add_done_callback(self._notified.discard)


def _wants_mail(virtual: VirtualServer) -> bool:
    return virtual.mail or any(server.mail for server in virtual.servers)


def _wanted(pools: Iterable[Pool]) -> list[Fields]:
    return [rule for pool in pools for rule in pool.rules()]


def _names(pools: Iterable[Pool]) -> list[Name]:
    return [(*key.values(), server) for pool in pools for key, server in pool.names()]


def count(configuration: Configuration) -> str:
    servers = [server for virtual in configuration.servers for server in virtual.servers]
    checks = sum(len(server.checks) for server in servers)
    return f"virtual servers {len(configuration.servers)}, real servers {len(servers)}, checks {checks}"


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
