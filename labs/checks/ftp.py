"""ftp, active and passive: a listing, and files in both directions, each on its own data connection."""

from __future__ import annotations

from labs.checks.http import sizes
from labs.checks.result import Check, equal
from labs.hosts.client import FTP_MODES, Transfer, TransferResult
from labs.run.running import RunningLab

SUBJECT = "ftp"
_MODES = {4: tuple(FTP_MODES), 6: ("EPSV", "EPRT")}  # by IP version
_LARGE = {4: ("PASV", "PORT"), 6: ("EPSV", "EPRT")}  # modes that transfer the larger files


def ftp_modes(run: RunningLab) -> tuple[Check, ...]:
    """A listing in each mode, and files both ways: 1 MB in the modes of RFC 959, 100 kB in those of RFC 2428.

    PASV and PORT cannot carry an IPv6 address, so in IPv6 the other two modes transfer 1 MB.
    """
    return tuple(check for mode in _MODES[run.plan.version] for check in _session(run, mode))


def _session(run: RunningLab, mode: str) -> list[Check]:
    """One mode on one control connection: the listing, then each file down and up."""
    names = sizes(run) if mode in _LARGE[run.plan.version] else ("100k.bin",)
    server = f"ftp://{run.plan.site}"
    transfers = [Transfer(f"{server}/")]
    for name in names:
        transfers.append(Transfer(f"{server}/{name}"))
        transfers.append(Transfer(f"{server}/upload/{_uploaded(mode, name)}", run.farm.path(name)))
    listed, *files = run.clients[0].ftp(mode, transfers)
    checks = [_list(run, mode, listed)]
    for name, got, put in zip(names, files[::2], files[1::2], strict=True):
        checks.append(equal(f"ftp get of {name}, {mode}", run.farm.files[name], got.fetched))
        title = f"ftp put of {name}, {mode}"
        checks.append(run.farm.check_upload(title, _uploaded(mode, name), name, put.result))
    return checks


def _list(run: RunningLab, mode: str, listed: TransferResult) -> Check:
    names = sorted(line.split()[-1] for line in listed.text.splitlines() if line.strip())
    expected = sorted(run.farm.listing)
    return Check(
        f"ftp list, {mode}",
        names == expected,
        " ".join(expected),
        " ".join(names) or listed.result.stderr.strip(),
    )


def _uploaded(mode: str, name: str) -> str:
    return f"{mode}-{name}"
