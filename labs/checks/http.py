"""http: files both ways, connections that are kept, clients at the same time."""

from __future__ import annotations

from labs.checks.result import Check, equal
from labs.run.running import RunningLab

SUBJECT = "http"


def sizes(run: RunningLab) -> tuple[str, ...]:
    """The file that transfers use: 1 MB, and 10 MB as well with --large."""
    return ("1m.bin", "10m.bin") if run.options.large else ("1m.bin",)


def downloads(run: RunningLab) -> tuple[Check, ...]:
    """Files of every size arrive byte for byte."""
    return tuple(_download(run, name) for name in ("1k.bin", "100k.bin"))


def _download(run: RunningLab, name: str) -> Check:
    return equal(
        f"http download of {name}", run.farm.files[name], run.clients[0].get(f"http://{run.plan.vip}/{name}")
    )


def uploads(run: RunningLab) -> tuple[Check, ...]:
    """Files put by http lie on one of the real servers, byte for byte."""
    return tuple(_upload(run, name) for name in sizes(run))


def _upload(run: RunningLab, name: str) -> Check:
    target = f"http-{name}"
    done = run.clients[0].put(run.farm.path(name), f"http://{run.plan.vip}/upload/{target}")
    return run.farm.check_upload(f"http upload of {name}", target, name, done)


def keep_alive(run: RunningLab) -> Check:
    """Requests on one connection all go to the server that the connection was given to."""
    names, opened = run.clients[0].kept_alive(4)
    observed = f"{len(names)} answers from {len(set(names))} server, {opened} connection"
    return equal("keep-alive", "4 answers from 1 server, 1 connection", observed)


def two_clients(run: RunningLab) -> tuple[Check, ...]:
    """Both clients download at once, and each gets its file whole."""
    name = "1m.bin"
    started = [client.start_get(f"http://{run.plan.vip}/{name}", "both") for client in run.clients]
    return tuple(
        equal(f"two clients at once: c{number}", run.farm.files[name], download.wait())
        for number, download in enumerate(started, 1)
    )
