"""Failures: of a real server, which is then taken out of service, and of a director, which moves the VIP.

Time limits are for an idle machine, and grow with the slowness of this one (labs/wait.py). A check waits for
the state that it needs before it breaks something: a download in progress, all connections synchronised.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labs.checks.arp import DISCOVERY
from labs.checks.result import Check
from labs.errors import BuildFailed, LabError
from labs.hosts import traffic
from labs.hosts.host import Host, program
from labs.network.topology import LAN, Role
from labs.plan import RealServer
from labs.run.options import HaOptions, LabOptions
from labs.run.paired_director import PairedDirector
from labs.run.report import Failure
from labs.run.running import RunningLab
from labs.wait import Deadline, patient, poll_until, slowness, wait_for

if TYPE_CHECKING:
    from labs.checks import CheckFunction

SUBJECT = "failures"
_OUT, _BACK = 2.0, 2.0  # seconds until a real server is out of service, and until it is back
_KINDS = ("keep-alive", "keep-alive", "download", "download", "ftp control", "ftp data")
_SYNC = 6  # seconds until the other director knows a connection: 2 to 3, with a margin
_STUCK = 20  # seconds for anything on a client
_MARGIN = 0.5  # seconds for a takeover beyond the protocol's own times


def checks(options: LabOptions) -> tuple[CheckFunction, ...]:
    """The failures to check; with --every-failure, all kinds."""
    assert isinstance(options, HaOptions)
    if not options.every_failure:
        return (server_killed, director_killed, director_back)
    return (
        *(server_killed, server_frozen, server_cut_off, server_answers_500, server_too_slow),
        *(director_killed, director_back),
        *(director_stopped, director_frozen, director_cut_off, director_not_heard),
    )


# ---- a real server fails ----


def server_killed(run: RunningLab) -> tuple[Check, ...]:
    """Its httpd is killed, and restarted."""
    server = run.plan.servers[0]
    return _server_fails(
        run,
        "killed",
        partial(run.farm.kill, server.name),
        partial(run.farm.restart, server.name, run.network.hosts[server.name]),
    )


def server_frozen(run: RunningLab) -> tuple[Check, ...]:
    """All its processes are stopped (SIGSTOP), but its kernel still accepts connections."""
    name = run.plan.servers[0].name
    return _server_fails(run, "frozen", partial(run.farm.freeze, name), partial(run.farm.thaw, name))


def server_cut_off(run: RunningLab) -> tuple[Check, ...]:
    interface = f"{run.plan.servers[0].name}-eth0"
    return _server_fails(
        run,
        "cable cut",
        partial(run.network.set_cable, interface, up=False),
        partial(run.network.set_cable, interface, up=True),
    )


def server_answers_500(run: RunningLab) -> tuple[Check, ...]:
    return _misbehaves(run, "answers 500", run.farm.failing)


def server_too_slow(run: RunningLab) -> tuple[Check, ...]:
    return _misbehaves(run, "too slow", run.farm.slow)


def _misbehaves(run: RunningLab, what: str, file: str) -> tuple[Check, ...]:
    flag = run.farm.root(run.plan.servers[0].name) / file
    return _server_fails(run, what, flag.touch, flag.unlink)


def _server_fails(
    run: RunningLab, what: str, fail: Callable[[], object], heal: Callable[[], object]
) -> tuple[Check, ...]:
    """The first real server fails and recovers: check the director's rules and the clients' connections."""
    server = run.plan.servers[0]
    title = f"{server.name} {what}"
    out = _timed(fail, lambda: not _serves(run, server), _OUT)
    names = run.clients[0].names(_round(run))
    back = _timed(heal, lambda: _serves(run, server), _BACK)
    again = run.clients[0].names(_round(run))
    others = len(names) == _round(run) and server.name not in names
    return (
        _in_time(f"{title}: out of service", out, _OUT),
        Check(f"{title}: no new connection", others, "all served, by others", _text(names, _round(run))),
        _in_time(f"{title}: back in service", back, _BACK),
        Check(
            f"{title}: new connections again",
            len(again) == _round(run) and server.name in again,
            f"all served, some by {server.name}",
            _text(again, _round(run)),
        ),
    )


def _serves(run: RunningLab, server: RealServer) -> bool:
    """Whether the active director gives it new connections for http."""
    services = run.director.ask("list")["services"]
    targets = (target for service in services if service["port"] == 80 for target in service["servers"])
    return any(target["address"] == server.address and target["weight"] > 0 for target in targets)


def _round(run: RunningLab) -> int:
    """The number of connections in two rounds of wrr, which reach every real server."""
    return 2 * sum(server.weight for server in run.plan.servers)


def _timed(act: Callable[[], object], reached: Callable[[], bool], seconds: float) -> tuple[float, float]:
    """The seconds from `act` until `reached`, and the seconds allowed; waits twice as long at most.

    The allowed time is `seconds`, scaled to the slowest moment of this machine in between.
    """
    began, allowed = time.monotonic(), Deadline(seconds)
    act()
    poll_until(lambda: allowed.limit() and reached(), bool, 2 * seconds)
    return time.monotonic() - began, allowed.limit()


def _in_time(title: str, times: tuple[float, float], seconds: float) -> Check:
    took, allowed = times
    return Check(title, took <= allowed, f"within {seconds:g} s{_grown(allowed, seconds)}", f"{took:.1f} s")


def _grown(allowed: float, seconds: float) -> str:
    return f" ({allowed:.0f} s on this machine)" if allowed >= seconds + 1 else ""


def _text(names: list[str], wanted: int) -> str:
    counts = ", ".join(f"{name} {count}" for name, count in sorted(Counter(names).items()))
    return f"{len(names)} of {wanted} served: {counts or 'none'}"


# ---- a director fails ----


@dataclass(frozen=True, slots=True)
class Move:
    """An action that moves the VIP; `crash`: the other director has to notice the failure by itself.

    `listened`: whether the other director was a sync backup until then, and so knows the connections. It was
    not if it believed itself active, or if it has just come back and does not ask for all of them.
    """

    what: str
    act: Callable[[], object]
    crash: bool = True
    listened: bool = True


def director_killed(run: RunningLab) -> tuple[Check, ...]:
    """As in a power failure, all its processes are killed and its interfaces are set down."""
    return _moves(run, Move("killed", _pair(run)[0].crash))


def director_back(run: RunningLab) -> tuple[Check, ...]:
    """The first director is restarted, and takes the VIP back."""
    first, _ = _pair(run)
    if not first.is_down:
        return (Check(f"{first.host.name} back", False, "a director that was killed", "none was"),)
    return _moves(run, _back(first))


def _back(first: PairedDirector) -> Move:
    return Move("back", first.boot, crash=False, listened=first.gets_all)


def director_stopped(run: RunningLab) -> tuple[Check, ...]:
    """It is stopped in order, and restarted."""
    first, _ = _pair(run)
    return _there_and_back(run, Move("stopped in order", first.stop, crash=False), _back(first))


def director_frozen(run: RunningLab) -> tuple[Check, ...]:
    """All its processes are stopped (SIGSTOP) and continued; it then still believes itself active."""
    first, _ = _pair(run)
    thawed = Move("thawed", first.thaw, crash=False, listened=False)
    return _there_and_back(run, Move("frozen", first.freeze), thawed)


def director_cut_off(run: RunningLab) -> tuple[Check, ...]:
    """The cable to the clients is cut, and repaired."""
    first, _ = _pair(run)
    outside = first.setup.outside.name
    cut, mend = (partial(run.network.set_cable, outside, up=up) for up in (False, True))
    if first.takeover.over_both:
        return _unnoticed(run, "cut off", cut, mend)
    return _there_and_back(run, Move("cut off", cut), Move("connected again", mend, crash=False))


def director_not_heard(run: RunningLab) -> tuple[Check, ...]:
    """Its packets to the clients' side are dropped while it still receives, so both directors own the VIP."""
    first, _ = _pair(run)
    outside = first.setup.outside.name
    if first.takeover.over_both:
        return _unnoticed(run, "not heard", partial(first.mute, outside), partial(first.unmute, outside))
    heard = Move("heard again", partial(first.unmute, outside), crash=False, listened=False)
    return _there_and_back(run, Move("not heard", partial(first.mute, outside)), heard)


def _pair(run: RunningLab) -> tuple[PairedDirector, PairedDirector]:
    first, second = (director for director in run.directors if isinstance(director, PairedDirector))
    return first, second


def _there_and_back(run: RunningLab, there: Move, back: Move) -> tuple[Check, ...]:
    """Make two moves. The second undoes the first, even if the first could not be measured."""
    made = False

    def make() -> None:
        nonlocal made
        made = True
        there.act()

    try:
        checks = _moves(run, replace(there, act=make))
    except BaseException:
        if made:
            back.act()
        raise
    return (*checks, *_moves(run, back))


def _unnoticed(
    run: RunningLab, what: str, fail: Callable[[], object], heal: Callable[[], object]
) -> tuple[Check, ...]:
    """Clients cannot reach the first director, but the second still hears it over their own network."""
    first, second = _pair(run)
    title = f"{first.host.name} {what}"
    limit = _longest_silence(first, Move(what, fail))
    with _probes(run) as prober:
        fail()
        try:
            moved = poll_until(second.owns_vip, bool, limit)
            if moved:  # perhaps briefly: if the whole machine hangs, each declares the other dead
                moved = poll_until(second.owns_vip, lambda owns: not owns, limit)
        finally:
            heal()
        healed = time.monotonic()
        again = poll_until(prober.ask, lambda report: report["last"] > healed, _STUCK)["last"] > healed
    return (
        Check(
            f"{title}: who owns the VIP",
            not moved,
            f"{first.host.name}: its heartbeats still arrive over the other network",
            f"{second.host.name if moved else first.host.name}",
        ),
        Check(f"{title}: repaired, it serves again", again, "yes", "yes" if again else "no"),
    )


def _moves(run: RunningLab, move: Move) -> tuple[Check, ...]:
    """The checks of a move of the VIP, whose cause is the first director."""
    first, second = _pair(run)
    limit = _longest_silence(first, move)
    deadline = Deadline(limit)
    failure = measured(run, move, deadline)
    before, after = (first, second) if failure.before == first.host.name else (second, first)
    title = f"{first.host.name} {move.what}"
    allowed = deadline.limit() + failure.pause
    return (
        Check(
            f"{title}: who owns the VIP",
            failure.after == after.host.name,
            f"{before.host.name} before, {after.host.name} after, by {_discovery(run)} and by the router",
            f"{failure.before} before, {failure.after} after",
        ),
        Check(
            f"{title}: time without an answer",
            failure.silence <= allowed,
            f"at most {limit:.2f} s{_grown(allowed, limit)}",
            f"{failure.silence:.3f} s",
        ),
        _connections_lived(title, failure, move, synced=first.setup.sync),
    )


def _connections_lived(title: str, failure: Failure, move: Move, *, synced: bool) -> Check:
    count = len(failure.connections)
    expected, lived = f"all {count} survive", count
    if not synced:
        expected, lived = "none survive without synchronisation", 0
    elif not move.listened:
        expected, lived = f"none survive, because {failure.after} does not know them", 0
    return Check(f"{title}: connections", failure.lived == lived, expected, _fates(failure))


def _longest_silence(director: PairedDirector, move: Move) -> float:
    """Seconds until a silent director is declared dead, or for an orderly handover."""
    return director.setup.interval * (director.takeover.silence if move.crash else 1) + _MARGIN


def _fates(failure: Failure) -> str:
    """`keep-alive 2 of 2, download 1 of 2 (reset)`."""
    parts = []
    for kind in dict.fromkeys(connection["kind"] for connection in failure.connections):
        results = [connection["result"] for connection in failure.connections if connection["kind"] == kind]
        lost = sorted({result for result in results if result})
        why = f" ({', '.join(lost)})" if lost else ""
        parts.append(f"{kind} {sum(not result for result in results)} of {len(results)}{why}")
    return ", ".join(parts)


def measured(run: RunningLab, move: Move, allowed: Deadline) -> Failure:
    """Make the move while connections are open and probes run; wait until the VIP has moved. Raises LabError.

    `allowed`, the time allowed without an answer, is scaled to the slowness of this machine meanwhile.
    """
    active, standby = _by_role(run)
    setup = active.setup
    hears = setup.sync and move.listened and not standby.is_down
    if hears:
        _wait_until_listening(standby)
    with _connections(run) as held, _probes(run) as prober:
        if hears:
            _wait_until_known(standby, run.clients[1].host, held)
        before = _owner(run)
        serial = max((packet.serial for packet in run.controller.arp()), default=0)
        prober.ask()
        move.act()
        limit = 2 * (setup.interval * active.takeover.silence + setup.preempt_delay + _MARGIN)

        def owner() -> str:
            allowed.limit()
            return _owner(run, serial)

        after = poll_until(owner, lambda owner: owner == standby.host.name, limit)
        moved = time.monotonic()
        poll_until(prober.ask, lambda report: report["last"] > moved, limit)
        report = prober.ask()
        held.resume()
    fates = tuple(held.results(run))
    name = _pair(run)[0].host.name
    failure = Failure(move.what, name, before, after, report["longest"], fates, report["pause"])
    run.failures.append(failure)
    return failure


def _by_role(run: RunningLab) -> tuple[PairedDirector, PairedDirector]:
    """The active director, as the router sees it, and the other. Raises BuildFailed."""
    pair = _pair(run)
    names = [director.host.name for director in pair]
    owner = poll_until(partial(_owner, run), lambda owner: owner in names, _STUCK)
    if owner not in names:
        raise BuildFailed(f"No director owns the VIP (owner: {owner}): see logs/takeover-*.log.")
    first, second = pair
    return (first, second) if owner == names[0] else (second, first)


def _owner(run: RunningLab, since: int = 0) -> str:
    """The VIP's owner: the last sender of an ARP packet from it, and the router's neighbour entry.

    In IPv6 the packet is a neighbour advertisement. Returns one name if both agree.
    """
    names = {node.interfaces[0].mac: node.name for node in run.plan.topology.directors}
    claims = [packet.sender_mac for packet in run.controller.arp(since) if packet.sender_ip == run.plan.vip]
    by_claim = names.get(claims[-1], claims[-1]) if claims else "unknown"
    by_router = router_sees(run)
    if by_claim == by_router:
        return by_claim
    return f"{by_claim} by {_discovery(run)}, {by_router} by the router"


def _discovery(run: RunningLab) -> str:
    return DISCOVERY[run.plan.version]


def router_sees(run: RunningLab) -> str:
    """The VIP's owner in the router's neighbour table: a director's name, a MAC address, or "unknown"."""
    names = {node.interfaces[0].mac: node.name for node in run.plan.topology.directors}
    router = run.plan.nodes(Role.ROUTER)[0]
    interface = next(interface for interface in router.interfaces if interface.switch == LAN)
    command = ["ip", "-j", "neigh", "show", run.plan.vip, "dev", interface.name]
    shown = run.network.hosts[router.name].run(command).stdout.strip()
    macs = [str(entry.get("lladdr", "")) for entry in json.loads(shown or "[]")]
    return names.get(macs[0], macs[0] or "unknown") if macs else "unknown"


# ---- the programs on the clients meanwhile ----


@dataclass(slots=True)
class Helper:
    """traffic.py on a client: for each line sent to it, it returns a line of JSON. Raises LabError."""

    process: subprocess.Popen[str]

    def ask(self) -> Any:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write("\n")
            self.process.stdin.flush()
        except OSError:
            raise LabError(self._ended()) from None
        return self.answer()

    def answer(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise LabError(self._ended())
        return json.loads(line)

    def _ended(self) -> str:
        assert self.process.stderr is not None
        return f"The client's traffic.py ended: {self.process.stderr.read().strip()[-300:]}"


@contextmanager
def _helper(host: Host, *words: object) -> Iterator[Helper]:
    process = host.talk(program(Path(traffic.__file__), *words))
    try:
        yield Helper(process)
    finally:
        process.kill()
        process.communicate()


@contextmanager
def _probes(run: RunningLab) -> Iterator[Helper]:
    """Probes from the first client, at least one of which has been answered."""
    with _helper(run.clients[0].host, "probe", run.plan.vip, 80, slowness()) as prober:
        wait_for(lambda: prober.ask()["answers"], _STUCK, "the first answer to a probe", BuildFailed)
        yield prober


class _Held:
    """The connections that are open on the second client."""

    def __init__(self, helper: Helper) -> None:
        self._helper = helper
        self.opened: list[dict[str, Any]] = helper.answer()
        self.ended: list[dict[str, Any]] = []
        failed = [connection for connection in self.opened if connection["result"]]
        if failed:
            why = f"{failed[0]['kind']}: {failed[0]['result']}"
            raise BuildFailed(f"The client could not open a connection: {why}.")

    def resume(self) -> None:
        self.ended = self._helper.ask()

    def results(self, run: RunningLab) -> Iterator[dict[str, str]]:
        """Kind and result of each connection; an empty result if it survived and its file is complete."""
        whole = f"sha256 {run.farm.files[traffic.FILE].digest}"
        for connection in self.ended:
            result = connection["result"]
            failure = "another file arrived" if result.startswith("sha256") else result
            yield {"kind": connection["kind"], "result": "" if result == whole else failure}


@contextmanager
def _connections(run: RunningLab) -> Iterator[_Held]:
    client = run.clients[1].host
    with _helper(client, "hold", run.plan.vip, patient(_STUCK), *_KINDS) as helper:
        yield _Held(helper)


def _wait_until_listening(standby: PairedDirector) -> None:
    """Wait until it is a sync backup: earlier messages are lost, and not repeated. Raises BuildFailed."""

    def is_backup() -> bool:
        return any(daemon["role"] == "backup" for daemon in standby.ask("daemons")["daemons"])

    wait_for(is_backup, _SYNC, f"{standby.host.name} to listen to the active director", BuildFailed)


def _wait_until_known(standby: PairedDirector, client: Host, held: _Held) -> None:
    """Wait until the other director has all connections in its table. Raises BuildFailed."""
    ports = {connection["port"] for connection in held.opened}

    def known() -> bool:
        rows = standby.ask("connections")["connections"]
        return ports <= {
            int(row["client"].rpartition(":")[2]) for row in rows if row["state"] == "ESTABLISHED"
        }

    wait_for(known, _SYNC, f"{standby.host.name} to know the connections of {client.name}", BuildFailed)
