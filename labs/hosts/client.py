"""A client of the lab: curl for http and ftp, and its results.

Each call runs one curl process on a client host. The checks compare what curl saved and printed.
"""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from labs.hosts.host import Host, probe
from labs.run.packet_table import in_url
from labs.wait import patient
from realserver_setup.apply import Result

# Passive and active, with the commands of RFC 959 and of RFC 2428.
FTP_MODES: dict[str, tuple[str, ...]] = {
    "PASV": ("--disable-epsv",),
    "EPSV": (),
    "PORT": ("--ftp-port", "-", "--disable-eprt"),
    "EPRT": ("--ftp-port", "-"),
}
# In seconds, scaled by patient(); the last is for a curl that exceeds its own limit.
_CONNECT, _SILENCE, _LONGEST, _STUCK = 2, 5, 60, 90


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file as it arrived: its SHA-256 and size in bytes, or curl's error message."""

    digest: str
    size: int
    error: str = ""

    def __str__(self) -> str:
        return self.error or f"{self.size:,} bytes, sha256 {self.digest[:8]}"


@dataclass(frozen=True, slots=True)
class Transfer:
    """One transfer of an ftp session: fetches `url`, or sends `source` to it."""

    url: str
    source: Path | None = None

    def options(self, target: Path) -> list[str]:
        """Options of curl: output goes to `target`, and a line with the result to standard output."""
        send = ["--upload-file", str(self.source)] if self.source else []
        return [*send, "--output", str(target), "--write-out", "%{exitcode} %{errormsg}\n", self.url]


@dataclass(frozen=True, slots=True)
class TransferResult:
    """The result of a transfer, and the file it fetched."""

    result: Result
    target: Path

    @property
    def fetched(self) -> Fetched:
        return _fetched(self.target, self.result)

    @property
    def text(self) -> str:
        return self.target.read_text(errors="replace") if self.target.exists() else ""


class Client:
    """Runs curl on `host` against `vip`; `scratch` is its own folder for files that arrive."""

    def __init__(self, host: Host, scratch: Path, vip: str) -> None:
        self.host = host
        self.vip = vip
        self._site = in_url(vip)
        self._scratch = scratch
        scratch.mkdir(parents=True, exist_ok=True)

    def names(self, count: int) -> list[str]:
        """Request `/name` `count` times, each on a new connection; the names of the servers in order.

        The requests are sequential until one fails. The rest are sent at once, so that timeouts do not add
        up.
        """
        close = ("-H", "Connection: close")
        done = self._curl(*close, "--fail-early", f"http://{self._site}/name?[1-{count}]")
        names = done.stdout.split()
        tried = len(names) + 1
        if done.exit_code != 0 and tried < count:
            rest = f"http://{self._site}/name?[{tried + 1}-{count}]"
            names += self._curl(*close, "--parallel", "--parallel-immediate", rest).stdout.split()
        return names

    def page(self, path: str, local_port: int) -> Result:
        """Fetch `path` from this local port."""
        return self._curl("--local-port", str(local_port), f"http://{self._site}{path}")

    def kept_alive(self, count: int) -> tuple[list[str], int]:
        """Request `/name` `count` times on one connection; the names, and how many were opened."""
        done = self._curl("--write-out", "opened %{num_connects}\n", f"http://{self._site}/name?[1-{count}]")
        lines = [line.split() for line in done.stdout.splitlines()]
        names = [line[0] for line in lines if len(line) == 1]
        return names, sum(int(line[1]) for line in lines if len(line) == 2)

    def connect(self, port: int) -> str:
        """The result of a connection attempt to `port` of the VIP: `connected`, or the name of the errno."""
        command = probe("connect", self.vip, port, patient(_SILENCE))
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

    def ftp(self, mode: str, transfers: Sequence[Transfer]) -> list[TransferResult]:
        """Run a session in one of FTP_MODES: the transfers share a control connection, one after the other.

        A transfer that fails does not affect the others.
        """
        targets = [self._scratch / f"{mode}-{number}" for number in range(len(transfers))]
        arguments: list[str] = []
        for transfer, target in zip(transfers, targets, strict=True):
            target.unlink(missing_ok=True)
            # --next makes curl forget all options.
            arguments += ["--next", *_curl()[1:], *FTP_MODES[mode], *transfer.options(target)]
        done = self.host.run(["curl", *arguments[1:]], timeout=_STUCK * len(transfers))
        results = _results(done, len(transfers))
        return [TransferResult(result, target) for result, target in zip(results, targets, strict=True)]

    def _curl(self, *arguments: str) -> Result:
        return self.host.run([*_curl(), *arguments], timeout=_STUCK)


class Download:
    """A download that runs in the background."""

    def __init__(self, process: subprocess.Popen[str], target: Path) -> None:
        self._process = process
        self._target = target

    def wait(self) -> Fetched:
        output, message = self._process.communicate(timeout=patient(_STUCK))
        return _fetched(self._target, Result(self._process.returncode, output, message))


def _curl() -> list[str]:
    """The common start of every curl command here."""
    limits = ["--connect-timeout", f"{patient(_CONNECT):g}", "--max-time", f"{patient(_LONGEST):g}"]
    return ["curl", "-q", "--silent", "--show-error", *limits]


def _fetched(target: Path, done: Result) -> Fetched:
    if done.exit_code != 0 or not target.exists():
        return Fetched("", 0, done.stderr.strip() or f"curl ended with {done.exit_code}")
    return digest_of(target)


def _results(done: Result, count: int) -> list[Result]:
    """The result of each transfer of one curl process; those it did not reach end as curl itself did."""
    results = []
    for line in done.stdout.splitlines():
        code, _, message = line.partition(" ")
        results.append(Result(int(code), "", f"curl: ({code}) {message}" if message else ""))
    return results + [Result(done.exit_code, "", done.stderr)] * (count - len(results))


def digest_of(path: Path) -> Fetched:
    """Digest and size of the file at `path`."""
    return Fetched(hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size)
