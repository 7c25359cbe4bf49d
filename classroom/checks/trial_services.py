"""Virtual services that exist for one check only, so that no other connections are counted on them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

from classroom.in_host import command
from classroom.model import Variant
from director.control import cli
from director.ipvsadm import save_format
from labs.run.running import RunningLab
from labs.wait import patient

_TIMEOUT = 1.0  # seconds for a request; after a timeout the rest is not sent
_ALL = 10.0  # seconds on a busy machine; 48 requests take one
# Enough ports that a port's connections have long expired before it is used again.
_SERVICE_PORTS = cycle(range(7001, 9000))
_CLIENT_PORTS = cycle(range(10000, 20000))


@dataclass(frozen=True, slots=True)
class Step:
    """A connection of `client` with one request; it `stays` open, or closes before the next step."""

    client: str
    stays: bool


Sequences = Sequence[tuple[int, Sequence[Step]]]  # a service's port, and the connections to it


def add_services(services: Iterable[tuple[int, str, Sequence[int]]], variant: Variant) -> str:
    """Add services, each of a port, a scheduler and weights; returns the director's error, or "".

    The scheduler is set last; otherwise wrr would not begin with the largest weight.
    """
    wanted = list(services)
    rules = [line for port, _, weights in wanted for line in _rules(port, weights, variant)]
    edits = [f"-E -t {variant.plan.vip}:{port} -s {scheduler}" for port, scheduler, _ in wanted]
    return ipvsadm(rules) or ipvsadm(edits)


def delete_services(ports: Iterable[int], variant: Variant) -> None:
    """Delete services; their connections remain until they expire."""
    ipvsadm([f"-D -t {variant.plan.vip}:{port}" for port in ports])


def _rules(port: int, weights: Sequence[int], variant: Variant) -> list[str]:
    """The rules of a service, in reverse: the server added last is the first in the director's list."""
    key = f"-t {variant.plan.vip}:{port}"
    servers = [
        f"-a {key} -r {server.address}:{server.http_port} -m -w {weight}"
        for server, weight in zip(variant.plan.servers, weights, strict=True)
    ]
    return [f"-A {key} -s fo", *reversed(servers)]


def free_port() -> int:
    """A port of the VIP that no service has used recently."""
    return next(_SERVICE_PORTS)


def ipvsadm(lines: Iterable[str]) -> str:
    """Let the director apply lines of ipvsadm's save format, all or none; returns its error, or ""."""
    try:
        cli.apply(save_format.read("\n".join(lines)))
    except cli.ToolError as failure:
        return str(failure)
    return ""


def connect(running: RunningLab, sequences: Sequences) -> list[list[str]]:
    """The server that got each connection of each sequence; clients work in parallel."""
    clients = sorted({step.client for _, steps in sequences for step in steps})
    with ThreadPoolExecutor(len(clients)) as pool:
        answers = pool.map(lambda client: _connect(running, client, sequences), clients)
        found = dict(zip(clients, answers, strict=True))
    return [
        _merged(steps, {client: answered[number] for client, answered in found.items()})
        for number, (_, steps) in enumerate(sequences)
    ]


def _connect(running: RunningLab, client: str, sequences: Sequences) -> list[list[str]]:
    """For each sequence the answers to one client's connections."""
    todo = [
        [port, [[next(_CLIENT_PORTS), step.stays] for step in steps if step.client == client]]
        for port, steps in sequences
    ]
    connecting = command("http_sequence", running.plan.vip, patient(_TIMEOUT), json.dumps(todo))
    done = running.network.hosts[client].run(connecting, timeout=_ALL)
    answers: Any = json.loads(done.stdout) if done.exit_code == 0 else [["ETIMEDOUT"]] * len(sequences)
    return list(answers)


def _merged(steps: Sequence[Step], answers: dict[str, list[str]]) -> list[str]:
    """The answers in the order of the steps, as far as they exist."""
    left = {client: iter(names) for client, names in answers.items()}
    return [name for step in steps for name in islice(left[step.client], 1)]
