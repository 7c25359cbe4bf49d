"""Plays, on services that last as long as they do: nobody else's connections are counted there."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from typing import Any

from classroom.guided.plays import Step, plays
from classroom.in_host import command
from classroom.variants import Variant
from director.control import cli
from director.ipvsadm import save_format
from labs.run.running import RunningLab
from labs.wait import patient

_SILENCE = 1.0  # seconds until a request has timed out; nobody goes on then
_ALL = 10.0  # seconds, for a machine that is busy: 48 requests take one
# A used number comes again when the director has long forgotten its connections.
_SERVICE_PORTS = cycle(range(7001, 9000))
_CLIENT_PORTS = cycle(range(10000, 20000))

Asked = Sequence[tuple[int, Sequence[Step]]]  # port of a service, and the connections to it


def played(running: RunningLab, variant: Variant) -> dict[str, list[str]]:
    """For each scheduler who has got its connections: names of servers, or of an errno."""
    todo = [(free_port(), play) for play in plays(variant)]
    complaint = serve([(port, play.scheduler, play.weights) for port, play in todo], variant)
    try:
        if complaint:
            return {play.scheduler: [] for _, play in todo}
        found = ask(running, [(port, play.steps) for port, play in todo])
    finally:
        take_away([port for port, _ in todo], variant)
    return {play.scheduler: names for (_, play), names in zip(todo, found, strict=True)}


def serve(services: Iterable[tuple[int, str, Sequence[int]]], variant: Variant) -> str:
    """Make services of a port, a scheduler and weights; what the director complains about.

    A scheduler comes when all servers are there: wrr would not begin with the largest weight otherwise.
    """
    wanted = list(services)
    rules = [line for port, _, weights in wanted for line in _rules(port, weights, variant)]
    edits = [f"-E -t {variant.plan.vip}:{port} -s {scheduler}" for port, scheduler, _ in wanted]
    return give(rules) or give(edits)


def take_away(ports: Iterable[int], variant: Variant) -> None:
    """Their connections are left, until they are over."""
    give([f"-D -t {variant.plan.vip}:{port}" for port in ports])


def _rules(port: int, weights: Sequence[int], variant: Variant) -> list[str]:
    """The server that is added last is the first in the director's list."""
    key = f"-t {variant.plan.vip}:{port}"
    servers = [
        f"-a {key} -r {server.address}:{server.http_port} -m -w {weight}"
        for server, weight in zip(variant.plan.servers, weights, strict=True)
    ]
    return [f"-A {key} -s fo", *reversed(servers)]


def free_port() -> int:
    """A port of the VIP that no service has had lately."""
    return next(_SERVICE_PORTS)


def give(lines: Iterable[str]) -> str:
    """Let the director carry out lines of ipvsadm, all or none; what it complains about."""
    try:
        cli.apply(save_format.read("\n".join(lines)))
    except cli.ToolError as failure:
        return str(failure)
    return ""


def ask(running: RunningLab, asked: Asked) -> list[list[str]]:
    """Who has got each connection; those of the clients are made at the same time."""
    clients = sorted({step.client for _, steps in asked for step in steps})
    with ThreadPoolExecutor(len(clients)) as pool:
        answers = pool.map(lambda client: _ask(running, client, asked), clients)
        found = dict(zip(clients, answers, strict=True))
    return [
        _merged(steps, {client: answered[number] for client, answered in found.items()})
        for number, (_, steps) in enumerate(asked)
    ]


def _ask(running: RunningLab, client: str, asked: Asked) -> list[list[str]]:
    """For each play the answers to one client's connections."""
    todo = [
        [port, [[next(_CLIENT_PORTS), step.stays] for step in steps if step.client == client]]
        for port, steps in asked
    ]
    asking = command("ask_in_turn", running.plan.vip, patient(_SILENCE), json.dumps(todo))
    done = running.network.hosts[client].run(asking, timeout=_ALL)
    answers: Any = json.loads(done.stdout) if done.exit_code == 0 else [["ETIMEDOUT"]] * len(asked)
    return list(answers)


def _merged(steps: Sequence[Step], answers: dict[str, list[str]]) -> list[str]:
    """In the order of the steps, as far as there are answers."""
    left = {client: iter(names) for client, names in answers.items()}
    return [name for step in steps for name in islice(left[step.client], 1)]
