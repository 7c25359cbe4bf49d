"""Connections that stay open: idle ones, and those to a real server being drained by the script drain.sh."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from classroom.checks import listed, needs, outcomes, title
from classroom.checks.service import MIN_REQUESTS, send_requests
from classroom.in_host import command
from classroom.model import Observations, Variant
from labs.checks.result import Check
from labs.hosts.client import Client
from labs.run.running import RunningLab
from labs.wait import patient

_ANSWER = 1.0  # seconds for an answer
_IDLE = 3.2  # seconds, not scaled to the machine, like the director's timeouts
_MAX_IDLE = 20  # seconds, if the caller ends the pause
_PER_CLIENT = 3
_KEEPALIVE = 30  # seconds the real servers keep an idle connection (keepalive_timeout)


class Conversation:
    """`count` connections of a client: a request on each, a pause of `idle` seconds, and another request."""

    def __init__(self, client: Client, count: int, idle: float = _MAX_IDLE) -> None:
        asking = command("http_idle", client.vip, 80, count, patient(_ANSWER), idle)
        self._process = client.host.open(asking)
        self.asked = False

    def wait(self) -> None:
        """Wait until the first request on each connection is done."""
        assert self._process.stdout is not None
        self.asked = bool(self._process.stdout.readline())

    def resume(self) -> None:
        """End the pause; after `wait`."""
        if self.asked and self._process.poll() is None:
            self._process.send_signal(signal.SIGUSR1)

    def answers(self) -> list[dict[str, str]]:
        """Wait for each connection's answers, `first` and `then`."""
        output, _ = self._process.communicate(timeout=patient(_MAX_IDLE))
        answers: Any = json.loads(output or "[]")
        return list(answers)


# ---- idle connections ----


def silences(running: RunningLab, variant: Variant) -> dict[str, Any]:
    """The `answers` on all clients' connections, which are idle for three seconds between two requests.

    `left` is the remaining time in the director's table after the first answers, `timeout` its timeout for
    established connections; both in seconds.
    """
    conversations = [Conversation(client, _PER_CLIENT, _IDLE) for client in running.clients]
    for conversation in conversations:
        conversation.wait()
    table = running.director.ask("connections")["connections"]
    timeout = running.director.ask("list")["timeouts"]["tcp"]
    left = [connection["expires"] for connection in table if _is_established(connection, variant)]
    answers = [answer for conversation in conversations for answer in conversation.answers()]
    return {"answers": answers, "left": round(max(left, default=0.0), 1), "timeout": timeout}


def _is_established(connection: dict[str, Any], variant: Variant) -> bool:
    return (connection["state"], connection["vip"]) == ("ESTABLISHED", f"{variant.plan.vip}:80")


@needs(silences)
def new_connections_answered(observations: Observations, variant: Variant) -> Check:
    """New connections are answered at once, by every real server in turn."""
    names = [server.name for server in variant.plan.servers]
    found = Counter(answer["first"] for answer in observations["silences"]["answers"])
    return Check(title(new_connections_answered), set(found) == set(names), ", ".join(names), listed(found))


@needs(silences)
def idle_connections_survive(observations: Observations, variant: Variant) -> Check:
    """A connection still answers after three idle seconds."""
    answers = observations["silences"]["answers"]
    names = {server.name for server in variant.plan.servers}
    found = Counter(
        "answered"
        if answer["then"] == answer["first"] and answer["first"] in names
        else answer["then"] or answer["first"]
        for answer in answers
    )
    expected = f"{len(answers)} answered" if answers else "answers"
    return Check(title(idle_connections_survive), set(found) == {"answered"}, expected, outcomes(found))


@needs(silences)
def idle_timeout(observations: Observations, variant: Variant) -> Check:
    """Connections may be idle for as long as the real servers allow."""
    found = observations["silences"]
    # Some time has passed since the answers, more on a busy machine.
    long_enough = found["left"] > _KEEPALIVE - 5 and found.get("timeout", _KEEPALIVE) >= _KEEPALIVE
    observed = f"{'at least' if long_enough else 'less than'} {_KEEPALIVE} s"
    return Check(title(idle_timeout), long_enough, f"at least {_KEEPALIVE} s", observed)


# ---- draining ----

DRAIN_SCRIPT = "drain.sh"
_SHOWN = 80  # characters of a command line
_SCRIPT = 12  # seconds for a script, which takes less than one on an idle machine


def draining(running: RunningLab, variant: Variant) -> dict[str, Any]:
    """Reload the rules, open connections to every real server, and run drain.sh.

    `talks`: the answers on those connections before (`first`) and after (`then`); `requests`: the results of
    new requests; `said`: drain.sh's error; `left`: processes that it left running; `rule`: the real server's
    rule afterwards, empty if it was deleted. The server stays drained.
    """
    _run(running, "rules.sh")
    conversation = Conversation(running.clients[0], 2 * len(variant.plan.servers))
    conversation.wait()
    before = _orphans(running)
    error = _run(running, DRAIN_SCRIPT)
    orphans = _orphans(running)
    conversation.resume()
    requests = send_requests(running.clients[1], 80, MIN_REQUESTS)
    return {
        "said": error,
        "talks": conversation.answers(),
        "requests": requests,
        "left": sorted(command for process, command in orphans.items() if process not in before),
        "rule": _rule(running, variant),
    }


# A process left in the background must not keep this one waiting for its output.
_REDIRECTED = 'sh "$1" > "$2" 2>&1; code=$?; cat "$2" >&2; exit $code'


def _run(running: RunningLab, script: str) -> str:
    """Run a script on the director; returns its error, or ""."""
    path, output = running.evidence.scripts / "d" / script, running.evidence.log(script)
    command = ["sh", "-c", _REDIRECTED, "sh", str(path), str(output)]
    done = running.network.hosts["d"].run(command, timeout=_SCRIPT)
    return (done.stderr.strip() or f"exit code {done.exit_code}") if done.exit_code else ""


def _orphans(running: RunningLab) -> dict[int, str]:
    """The director's processes whose parent has ended, and their command lines.

    Inside the sandbox they become children of its first process, which is this one.
    """
    network = os.stat(f"/proc/{running.network.hosts['d'].pid}/ns/net").st_ino
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            state, parent = (process / "stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
            if int(parent) == os.getpid() and state != "Z" and os.stat(process / "ns/net").st_ino == network:
                words = (process / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
                found[int(process.name)] = b" ".join(words).decode(errors="replace")[:_SHOWN]
    return found


def _rule(running: RunningLab, variant: Variant) -> dict[str, int]:
    """`weight` and `upper` threshold of the real server to be drained; empty if no rule has it."""
    drained = next(server for server in variant.plan.servers if server.name == variant.server)
    for service in running.director.ask("list")["services"]:
        for server in service["servers"]:
            if server["address"] == drained.address and server["port"] in (drained.http_port, 0):
                return {"weight": server["weight"], "upper": server["upper"]}
    return {}


@needs(draining)
def open_connections_continue(observations: Observations, variant: Variant) -> Check:
    """Connections that are open when drain.sh runs keep working."""
    names = {server.name for server in variant.plan.servers}
    talks = [talk for talk in observations["draining"]["talks"] if talk["first"] in names]
    found = Counter(
        "kept working" if talk["then"] == talk["first"] else f"{talk['first']} {talk['then']}"
        for talk in talks
    )
    passed = {talk["first"] for talk in talks} == names and set(found) == {"kept working"}
    observed = outcomes(found)
    if observations["draining"].get("rule", True) == {}:  # deleted: its connections are lost from now on
        passed, observed = False, f"{observed}; then {variant.server} was no longer in the rules"
    return Check(title(open_connections_continue), passed, "all kept working", observed)


@needs(draining)
def new_connections_elsewhere(observations: Observations, variant: Variant) -> Check:
    """New connections go to the other real servers, all of them."""
    others = [server.name for server in variant.plan.servers if server.name != variant.server]
    found = Counter(request.get("server", request["how"]) for request in observations["draining"]["requests"])
    observed, rule = listed(found), observations["draining"].get("rule", {})
    if rule.get("weight", 0) > 0:  # even if it got none while its threshold was reached
        observed += f"; but {variant.server} still has weight {rule['weight']} and gets new ones " + (
            f"whenever it has fewer than {rule['upper']} connections" if rule["upper"] else "again"
        )
    passed = set(found) == set(others) and rule.get("weight", 0) == 0
    return Check(title(new_connections_elsewhere), passed, ", ".join(others), observed)


@needs(draining)
def drain_script_succeeds(observations: Observations, variant: Variant) -> Check:
    """The script drain.sh succeeds, and leaves no process running."""
    error, left = observations["draining"]["said"], observations["draining"].get("left", [])
    if left and not error:  # it could delete the real server after the check
        error = f"it left a process running that may change the rules later: {'; '.join(left)}"
    return Check(title(drain_script_succeeds), not error, "no error", error or "no error")
