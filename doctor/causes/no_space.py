"""A real server cannot write: its file system is full, or read-only."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.queries import uncover
from doctor.state import SERVER, LabState, Site

TITLE = "a real server cannot write its files"
EXPLAINS = ("http_error",)


def find(state: LabState) -> Iterator[Cause]:
    for host in state.by_role(SERVER):
        if host.site.unwritable:
            folder, _, why = host.site.unwritable[0].partition(": ")
            yield Cause(
                "no_space",
                host.name,
                "; ".join(host.site.unwritable),
                "What is there already is still served, so pages load. Uploads fail with status 500 or an "
                "ftp error, and requests are no longer in the log.",
                _repair(host.site, folder, why),
            )


def _repair(site: Site, folder: str, why: str) -> str:
    if site.covered:
        return "\n".join(uncover(site))
    if "read-only" in why:
        return f"mount -o remount,rw $(stat -c %m {folder})"
    return f"# make room there: df -h {folder}; du -xa $(stat -c %m {folder}) | sort -n | tail"
