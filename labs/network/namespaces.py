"""Hosts as network namespaces joined by virtual cables, for users that need a network but not a whole lab.

Benchmarks and tests build their testbeds from these. Use it as root of a sandbox, or of other namespaces that
end with the caller (`unshare --net --mount --pid`) and so free what is left.

A new namespace inherits the machine's interface settings (rp_filter, arp_ignore, forwarding and so on); these
hosts start with the kernel's own defaults instead.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from labs.errors import BuildFailed
from labs.hosts import environment
from labs.wait import patient, wait_for
from realserver_setup import syscalls

_RUN_SECONDS, _END_SECONDS, _PORT_SECONDS, _WAIT_SECONDS = 20, 10, 20, 30


class Namespaces:
    """Hosts and the programs on them. All methods raise BuildFailed when a command fails or time is up."""

    def __init__(self, name: str, folder: Path) -> None:
        """`name` distinguishes several at a time; the programs' logs go to `folder`. `add` adds hosts."""
        self.name, self.folder = name, folder
        self._hosts: list[str] = []
        self._programs: list[subprocess.Popen[bytes]] = []

    def namespace(self, host: str) -> str:
        """A host's name in `ip netns`."""
        return f"{self.name}-{host}" if self.name else host

    # ---- the network ----

    def add(self, host: str, settings: Mapping[str, int] | None = None) -> None:
        """Add a host with its loopback up, and with these sysctls in addition to the kernel's defaults."""
        self.folder.mkdir(parents=True, exist_ok=True)
        name = self.namespace(host)
        run("ip", "netns", "add", name)
        self._hosts.append(host)
        _reset_settings(f"/run/netns/{name}")
        self.run(host, "ip", "link", "set", "lo", "up")
        if settings:
            self.run(host, "sysctl", "-qw", *(f"{key}={value}" for key, value in settings.items()))

    def cable(self, near: tuple[str, str, str], far: tuple[str, str, str], *, offload: bool = True) -> None:
        """Join two hosts; each end is (host, interface, address with prefix)."""
        (host, interface, _), (peer_host, peer_interface, _) = near, far
        peer = ("peer", "name", peer_interface, "netns", self.namespace(peer_host))
        self.run(host, "ip", "link", "add", interface, "type", "veth", *peer)
        for end in (near, far):
            self._configure(*end, offload=offload)

    def bridge(self, name: str) -> None:
        """Add a switch, in the namespace of this process."""
        run("ip", "link", "add", name, "type", "bridge")
        run("ip", "link", "set", name, "up")

    def plug(self, host: str, interface: str, bridge: str, address: str, *, offload: bool = True) -> None:
        """Connect a host to a switch; `address` includes the prefix."""
        port = f"b-{interface}"
        pair = ("type", "veth", "peer", "name", port)
        run("ip", "link", "add", interface, "netns", self.namespace(host), *pair)
        run("ip", "link", "set", port, "master", bridge, "up")
        self._configure(host, interface, address, offload=offload)

    def _configure(self, host: str, interface: str, address: str, *, offload: bool) -> None:
        self.run(host, "ip", "addr", "add", address, "dev", interface)
        self.run(host, "ip", "link", "set", interface, "up")
        if not offload:  # so that its kernel computes checksums and cuts segments itself
            self.run(host, "ethtool", "-K", interface, "tx", "off")

    def mac(self, host: str, interface: str) -> str:
        return self.run(host, "cat", f"/sys/class/net/{interface}/address").strip()

    # ---- programs ----

    def command(self, host: str, *command: str) -> list[str]:
        """The command line that runs a command on a host; if `host` is empty, in this process's namespace."""
        return ["ip", "netns", "exec", self.namespace(host), *command] if host else list(command)

    def attempt(
        self, host: str, *command: str, seconds: float = _RUN_SECONDS, text: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on a host; it may fail."""
        return _attempt(self.command(host, *command), seconds, text)

    def run(self, host: str, *command: str, seconds: float = _RUN_SECONDS, text: str | None = None) -> str:
        """Run a command on a host and return its output."""
        return run(*self.command(host, *command), seconds=seconds, text=text)

    def start(self, host: str, *command: str, log: Path | None = None) -> subprocess.Popen[bytes]:
        """Start a program that runs until `close`; its output goes to `log`, or to a log in the folder."""
        file = log or self.folder / f"{host}-{Path(command[0]).name}.log"
        with file.open("ab") as output:
            program = subprocess.Popen(
                self.command(host, *command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._programs.append(program)
        return program

    def wait_for_port(self, host: str, port: int) -> None:
        """Wait until a TCP server listens there."""
        what = f"port {port} on {host}"
        wait_for(lambda: f":{port} " in self.run(host, "ss", "-Hltn"), _PORT_SECONDS, what, BuildFailed)

    def wait(self, look: Callable[[], object], what: str) -> None:
        """Wait until `look` returns a true value; `what` names it in the error."""
        wait_for(look, _WAIT_SECONDS, what, BuildFailed)

    def close(self) -> None:
        """End the programs and remove the hosts."""
        for program in self._programs:
            if program.poll() is None:
                os.killpg(program.pid, signal.SIGTERM)
        for program in self._programs:
            try:
                program.wait(patient(_END_SECONDS))
            except subprocess.TimeoutExpired:
                os.killpg(program.pid, signal.SIGKILL)
                program.wait()
        self._programs.clear()
        for host in self._hosts:
            run("ip", "netns", "del", self.namespace(host))
        self._hosts.clear()


def run(*command: str, seconds: float = _RUN_SECONDS, text: str | None = None) -> str:
    """Run a command in the namespace of this process and return its output. Raises BuildFailed."""
    done = _attempt(command, seconds, text)
    if done.returncode:
        reason = done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}"
        raise BuildFailed(f"{' '.join(command)}: {reason.splitlines()[-1]}")
    return done.stdout


def _attempt(command: Sequence[str], seconds: float, text: str | None) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            input=text,
            stdin=None if text is not None else subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=patient(seconds),
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildFailed(f"{' '.join(command)}: {error}") from None


def _reset_settings(namespace: str) -> None:
    """In a thread of its own, because it moves into the namespace."""

    def there() -> None:
        syscalls.enter(namespace)
        environment.reset_settings_here()

    with ThreadPoolExecutor(1) as thread:
        thread.submit(there).result()
