"""http: downloads, uploads, keep-alive, two clients at once."""

from __future__ import annotations

from labs.checks.result import Check, equal
from labs.run.running import RunningLab

SUBJECT = "http"


def sizes(run: RunningLab) -> tuple[str, ...]:
    """The files to transfer: 1 MB, and with --large 10 MB as well."""
    return ("1m.bin", "10m.bin") if run.options.large else ("1m.bin",)


def downloads(run: RunningLab) -> tuple[Check, ...]:
    """Files arrive byte for byte."""
    return tuple(_download(run, name) for name in ("1k.bin", "100k.bin"))


def _download(run: RunningLab, name: str) -> Check:
    return equal(
        f"http download of {name}", run.farm.files[name], run.clients[0].get(f"http://{run.plan.site}/{name}")
    )


def uploads(run: RunningLab) -> tuple[Check, ...]:
    """Files uploaded with http are on one of the real servers, byte for byte."""
    return tuple(_upload(run, name) for name in sizes(run))


def _upload(run: RunningLab, name: str) -> Check:
    target = f"http-{name}"
    done = run.clients[0].put(run.farm.path(name), f"http://{run.plan.site}/upload/{target}")
    return run.farm.check_upload(f"http upload of {name}", target, name, done)


def keep_alive(run: RunningLab) -> Check:
    """All requests on one connection go to the same real server."""
    names, opened = run.clients[0].kept_alive(4)
    observed = f"{len(names)} answers from {len(set(names))} server, {opened} connection"
    return equal("keep-alive", "4 answers from 1 server, 1 connection", observed)


def two_clients(run: RunningLab) -> tuple[Check, ...]:
    """Both clients download at the same time, and each gets its complete file."""
    name = "1m.bin"
    started = [client.start_get(f"http://{run.plan.site}/{name}", "both") for client in run.clients]
    return tuple(
        equal(f"two clients at once: c{number}", run.farm.files[name], download.wait())
        for number, download in enumerate(started, 1)
    )
