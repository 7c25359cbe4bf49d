"""What a client of the lab does: curl for http and ftp, and what came of it.

Each call is one curl process on a client host; what it saved and printed is compared by the
checks, never here.
"""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from labs.hosts.host import Host, program
from labs.wait import patient
from realserver_setup.apply import Result

# Passive by the commands of 1985 and of RFC 2428, and active by the same.
FTP_MODES: dict[str, tuple[str, ...]] = {
    "PASV": ("--disable-epsv",),
    "EPSV": (),
    "PORT": ("--ftp-port", "-", "--disable-eprt"),
    "EPRT": ("--ftp-port", "-"),
}
_TRY_CONNECT = Path(__file__).resolve().parent / "try_connect.py"
# In seconds, each times LVS_PATIENCE; the last is for a curl that does not keep its own limit.
_CONNECT, _SILENCE, _LONGEST, _STUCK = 2, 5, 60, 90


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file as it arrived: its SHA-256 and size in bytes, or curl's complaint."""

    digest: str
    size: int
    error: str = ""

    def __str__(self) -> str:
        return self.error or f"{self.size:,} bytes, sha256 {self.digest[:8]}"


@dataclass(frozen=True, slots=True)
class Transfer:
    """One thing that a session of ftp does: `url` is fetched, or `source` sent there."""

    url: str
    source: Path | None = None

    def options(self, target: Path) -> list[str]:
        """curl's; what arrives goes to `target`, and standard output has a line of how it ended."""
        send = ["--upload-file", str(self.source)] if self.source else []
        return [*send, "--output", str(target), "--write-out", "%{exitcode} %{errormsg}\n", self.url]


@dataclass(frozen=True, slots=True)
class Transferred:
    """How a transfer ended, and what it fetched: the file itself, and the same to be compared."""

    result: Result
    target: Path

    @property
    def fetched(self) -> Fetched:
        return _fetched(self.target, self.result)

    @property
    def text(self) -> str:
        return self.target.read_text(errors="replace") if self.target.exists() else ""


class Client:
    """curl on `host`, for what `vip` serves; `scratch` is a folder of its own for what arrives."""

    def __init__(self, host: Host, scratch: Path, vip: str) -> None:
        self.host = host
        self.vip = vip
        self._scratch = scratch
        scratch.mkdir(parents=True, exist_ok=True)

    def names(self, count: int, *options: str) -> list[str]:
        """Ask for `/name` `count` times, a new connection each; the servers' names in order."""
        done = self._curl("-H", "Connection: close", *options, f"http://{self.vip}/name?[1-{count}]")
        return done.stdout.split()

    def page(self, path: str, local_port: int) -> Result:
        """Fetch `path` from a given local port."""
        return self._curl("--local-port", str(local_port), f"http://{self.vip}{path}")

    def kept_alive(self, count: int) -> tuple[list[str], int]:
        """Ask for `/name` `count` times on one connection; the names, and connections opened."""
        done = self._curl("--write-out", "opened %{num_connects}\n", f"http://{self.vip}/name?[1-{count}]")
        lines = [line.split() for line in done.stdout.splitlines()]
        names = [line[0] for line in lines if len(line) == 1]
        return names, sum(int(line[1]) for line in lines if len(line) == 2)

    def connect(self, port: int) -> str:
        """How a connection to `port` of the VIP ends: `connected`, or the name of the errno."""
        command = program(_TRY_CONNECT, self.vip, port, patient(_SILENCE))
        return self.host.run(command).stdout.strip()

    def get(self, url: str, *options: str) -> Fetched:
        target = self._scratch / "got"
        target.unlink(missing_ok=True)
        done = self._curl(*options, "--output", str(target), url)
        return _fetched(target, done)

    def start_get(self, url: str, name: str) -> Download:
        target = self._scratch / name
        target.unlink(missing_ok=True)
        return Download(self.host.open([*_curl(), "--output", str(target), url]), target)

    def put(self, source: Path, url: str, *options: str) -> Result:
        return self._curl(*options, "--upload-file", str(source), url)

    def ftp(self, mode: str, transfers: Sequence[Transfer]) -> list[Transferred]:
        """One session in one of FTP_MODES: the transfers share a control connection, one after the other.

        One that fails leaves the others alone.
        """
        targets = [self._scratch / f"{mode}-{number}" for number in range(len(transfers))]
        arguments: list[str] = []
        for transfer, target in zip(transfers, targets, strict=True):
            target.unlink(missing_ok=True)
            # --next has curl forget all options.
            arguments += ["--next", *_curl()[1:], *FTP_MODES[mode], *transfer.options(target)]
        done = self.host.run(["curl", *arguments[1:]], timeout=_STUCK * len(transfers))
        results = _results(done, len(transfers))
        return [Transferred(result, target) for result, target in zip(results, targets, strict=True)]

    def _curl(self, *arguments: str) -> Result:
        return self.host.run([*_curl(), *arguments], timeout=_STUCK)


class Download:
    """A download that runs while others do."""

    def __init__(self, process: subprocess.Popen[str], target: Path) -> None:
        self._process = process
        self._target = target

    def wait(self) -> Fetched:
        output, complaint = self._process.communicate(timeout=patient(_STUCK))
        return _fetched(self._target, Result(self._process.returncode, output, complaint))


def _curl() -> list[str]:
    """curl as every call here starts it."""
    limits = ["--connect-timeout", f"{patient(_CONNECT):g}", "--max-time", f"{patient(_LONGEST):g}"]
    return ["curl", "-q", "--silent", "--show-error", *limits]


def _fetched(target: Path, done: Result) -> Fetched:
    if done.exit_code != 0 or not target.exists():
        return Fetched("", 0, done.stderr.strip() or f"curl ended with {done.exit_code}")
    return digest_of(target)


def _results(done: Result, count: int) -> list[Result]:
    """How each transfer of one curl ended; what curl did not get to ended as curl itself did."""
    results = []
    for line in done.stdout.splitlines():
        code, _, complaint = line.partition(" ")
        results.append(Result(int(code), "", f"curl: ({code}) {complaint}" if complaint else ""))
    return results + [Result(done.exit_code, "", done.stderr)] * (count - len(results))


def digest_of(path: Path) -> Fetched:
    """The file at `path` in the terms in which downloads are compared."""
    return Fetched(hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size)
