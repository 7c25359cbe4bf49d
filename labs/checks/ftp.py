"""ftp, active and passive: a list, a file each way, over data connections of their own."""

from __future__ import annotations

from labs.checks.http import sizes
from labs.checks.result import Check, equal
from labs.client import FTP_MODES
from labs.running import Running


def ftp_modes(run: Running) -> tuple[Check, ...]:
    """Each mode lists; 1 MB goes both ways in the modes of RFC 959, 100 kB in those of RFC 2428."""
    checks: list[Check] = []
    for mode in FTP_MODES:
        names = sizes(run) if mode in ("PASV", "PORT") else ("100k.bin",)
        checks.append(_list(run, mode))
        for name in names:
            checks += [_get(run, mode, name), _put(run, mode, name)]
    return tuple(checks)


def _list(run: Running, mode: str) -> Check:
    done = run.clients[0].ftp(mode, f"ftp://{run.plan.vip}/")
    seen = sorted(line.split()[-1] for line in done.stdout.splitlines() if line.strip())
    expected = sorted(run.farm.listing)
    return Check(
        f"ftp list, {mode}", seen == expected, " ".join(expected), " ".join(seen) or done.stderr.strip()
    )


def _get(run: Running, mode: str, name: str) -> Check:
    got = run.clients[0].get(f"ftp://{run.plan.vip}/{name}", *FTP_MODES[mode])
    return equal(f"ftp get of {name}, {mode}", run.farm.files[name], got)


def _put(run: Running, mode: str, name: str) -> Check:
    target = f"{mode}-{name}"
    done = run.clients[0].put(run.farm.path(name), f"ftp://{run.plan.vip}/upload/{target}", *FTP_MODES[mode])
    return run.farm.check_upload(f"ftp put of {name}, {mode}", target, name, done)
