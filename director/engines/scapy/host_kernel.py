"""The director's own kernel: kept from answering for the VIP, and given the packets that are its own.

The VIP is an address of this machine, so the kernel would refuse connections that are about to be
forwarded. An nftables rule therefore drops TCP and UDP to the VIPs before the kernel looks at them; the
director's packet sockets have received them by then. What the director leaves to the kernel returns to it
through the TUN device lvs0, which the rule lets pass: so the kernel itself refuses a port without a service,
and a local server gets its packets. The rule also lets pass what the director's own programs send to the VIP:
they are not clients, and are not forwarded to a real server.

A second nftables table exists only while the local node serves a port other than its service's
(`ipvsadm -a -t VIP:80 -r DIP:8080 -m`): the director hands over such packets unchanged, and the host's own
NAT translates the port, for replies as well.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryFile
from typing import NamedTuple

from director.core.commands import ServiceKey
from director.core.family import IPV4, IPV6, Family, family_of
from director.core.packet import TCP, Endpoint
from director.core.real_server import Method
from director.core.rules import LocalServers
from director.core.service import name_of
from director.engines import interfaces, tuntap
from director.engines.engine import EngineError

Endpoints = tuple[int, Endpoint]  # protocol and VIP with port

DEVICE = "lvs0"
_IP = {IPV4: "ip", IPV6: "ip6"}  # the families in nftables' words
BLOCKED = {family: f"table {ip} lvs" for family, ip in _IP.items()}
LOCAL_NODE = {family: f"table {ip} lvs_local_node" for family, ip in _IP.items()}
_SYSCTLS = Path("/proc/sys/net/ipv4/conf")

_IF_INET6 = Path("/proc/net/if_inet6")  # exists only if the kernel has IPv6

_BLOCK = """\
{start}{table} {{
    set vips {{ type ipv{version}_addr; flags interval; auto-merge; {elements}}}
    chain before_the_kernel {{
        type filter hook prerouting priority raw; policy accept;
        iifname != {{ "lo", "{device}" }} {ip} daddr @vips meta l4proto {{ tcp, udp }} drop
    }}
}}
"""
_REDIRECT = """\
{start}{table} {{
    chain to_its_port {{
        type nat hook prerouting priority dstnat; policy accept;
        {rules}
    }}
}}
"""


class HostKernel:
    """Changes nothing before `start`; `close` undoes everything."""

    def __init__(
        self,
        interfaces: Iterable[str],
        nft: Nft | None = None,
        open_device: Callable[[str], int] = tuntap.open_up,
        sysctls: Path = _SYSCTLS,
    ) -> None:
        self._interfaces = tuple(interfaces)
        self._nft = nft or Nft()
        self._sysctls = sysctls
        self._open_device = open_device
        self._before: dict[Path, str] = {}
        self._vips: set[str] | None = None  # None while unknown, as nft is loading them
        self._redirects: dict[Endpoints, Redirect] | None = {}
        self._loading: Loading | None = None
        self._has_blocked = False
        self._changes = 0  # of the redirects
        self._families = {IPV4}  # those that have had tables
        self._device = -1

    def start(self) -> None:
        """Raises EngineError."""
        self._device = self._open_device(DEVICE)
        with contextlib.suppress(EngineError):
            self._nft.load(leftovers())
        # The larger of `all` and the device wins; a packet from lvs0 came in on another interface.
        self._set("all", "rp_filter", "0")
        self._set(DEVICE, "rp_filter", "0")
        for interface in ("all", *self._interfaces):
            self._set(interface, "send_redirects", "0")

    def block(self, vips: set[str]) -> None:
        """Let TCP and UDP to these addresses reach the kernel only through `deliver`. Raises EngineError."""
        self._now(self.block_in_steps(vips))

    def block_in_steps(self, vips: set[str]) -> Iterator[None]:
        """Like `block`, in steps, so that packets need not wait for nft. Raises EngineError."""
        if vips == self._vips:
            return
        grouped: dict[Family, list[str]] = {}
        yield from self._group(vips, grouped)
        before, self._vips = self._vips, None
        try:
            self._has_blocked = True
            yield from self._load(block_script(grouped))
        except EngineError:
            self._vips = before
            raise
        self._vips = set(vips)

    def _now(self, steps: Iterator[None]) -> None:
        """Take all steps, and sleep while nft runs."""
        for _ in steps:
            if self._loading is not None:
                self._loading.wait()

    def _load(self, script: str) -> Iterator[None]:
        """Load a script after any earlier one, even if that one's caller has gone."""
        while self._loading is not None and self._loading.is_running:
            yield
        loading = self._loading = self._nft.begin(script)
        while loading.is_running:
            yield
        loading.check()

    def _group(self, vips: set[str], into: dict[Family, list[str]]) -> Iterator[None]:
        """Group by family, one address in each step; a family that has had a table gets one again."""
        into |= {family: [] for family in self._families}
        for vip in vips:
            into.setdefault(family_of(vip), []).append(vip)
            yield
        self._families |= into.keys()

    def redirect_in_steps(self, local: Iterable[LocalServers], *, keep: bool = False) -> Iterator[None]:
        """Let the local node serve on ports of its own; with `keep`, also on those that it had.

        A later call with `keep` overtakes an earlier one without it: that has nothing to remove any more.
        Raises EngineError, with nothing changed.
        """
        self._changes += keep
        changes = self._changes
        wanted: dict[Endpoints, Redirect] = {}
        for service, servers in local:
            found = redirect_of(service, servers)
            if found:
                wanted[found.protocol, found.vip] = found
            yield
        while self._loading is not None and self._loading.is_running:
            yield
        before = self._redirects
        if keep:
            wanted = {**(before or {}), **wanted}
        if wanted == before or changes != self._changes:
            return
        self._families |= {rule.family for rule in wanted.values()}
        self._redirects = None
        try:
            yield from self._load(redirect_script(sorted(wanted.values()), self._families))
        except EngineError:
            self._redirects = before
            raise
        self._redirects = wanted

    def deliver(self, packet: bytes) -> bool:
        """Hand an IP packet to the kernel; False if it does not take it."""
        try:
            os.write(self._device, packet)
        except OSError:
            return False
        return True

    def is_local(self, address: str) -> bool:
        """Whether the kernel takes packets to `address` itself. Raises BadValue for a broadcast address."""
        return interfaces.is_local(address)

    def close(self) -> None:
        """Leave the kernel as it was."""
        for tables, exists in ((LOCAL_NODE, self._redirects != {}), (BLOCKED, self._has_blocked)):
            if exists:
                script = "".join(delete(tables[family]) for family in _ordered(self._families))
                with contextlib.suppress(EngineError):
                    self._now(self._load(script))
        self._redirects, self._vips = {}, None
        self._has_blocked = False
        for path, value in self._before.items():
            with contextlib.suppress(OSError):
                path.write_text(value)
        self._before.clear()
        if self._device >= 0:
            os.close(self._device)
            self._device = -1

    def _set(self, interface: str, name: str, value: str) -> None:
        path = self._sysctls / interface / name
        try:
            before = path.read_text()
            path.write_text(value)
        except OSError as error:
            raise EngineError(
                f"{path} can't be set to {value} ({error.strerror}): the director needs CAP_NET_ADMIN "
                "and a writable /proc/sys."
            ) from None
        if interface != DEVICE:
            self._before.setdefault(path, before)


# ---- scripts for nft ----
# As text, not as nft's JSON: `nft list ruleset` shows the same lines, and only addresses and ports that the
# core has checked are filled in.


def block_script(vips: Mapping[Family, Collection[str]]) -> str:
    """Replaces the tables of an earlier director. `vips` are addresses, or networks of marked packets."""
    return "".join(_block(family, vips[family]) for family in _ordered(vips))


def _block(family: Family, vips: Collection[str]) -> str:
    own = ", ".join(vips)
    return _BLOCK.format(
        start=delete(BLOCKED[family]),
        table=BLOCKED[family],
        ip=_IP[family],
        version=family.version,
        device=DEVICE,
        elements=f"elements = {{ {own} }}; " if own else "",
    )


def redirect_script(wanted: Collection[Redirect], families: Collection[Family] = (IPV4,)) -> str:
    """Replaces the tables of the local node; without redirects they are only deleted."""
    return "".join(_redirect(family, wanted) for family in _ordered(families))


def _redirect(family: Family, wanted: Collection[Redirect]) -> str:
    rules = "\n        ".join(str(rule) for rule in wanted if rule.family is family)
    table = LOCAL_NODE[family]
    return _REDIRECT.format(start=delete(table), table=table, rules=rules) if rules else delete(table)


def leftovers() -> str:
    """Deletes the tables of a director that was killed, except for those that `block_script` replaces."""
    ipv6 = (BLOCKED[IPV6], LOCAL_NODE[IPV6]) if _IF_INET6.exists() else ()
    return "".join(map(delete, (LOCAL_NODE[IPV4], *ipv6)))


def _ordered(families: Collection[Family]) -> list[Family]:
    return [family for family in _IP if family in families]


def delete(table: str) -> str:
    """Deletes a table, whether or not it exists."""
    return f"{table}\ndelete {table}\n"


class Nft:
    """The program nft, by default the one in PATH."""

    def __init__(self, program: str | None = None) -> None:
        self._program = program

    def load(self, script: str) -> None:
        """Load a script, whole or not at all. Raises EngineError."""
        self.begin(script).check()

    def begin(self, script: str) -> Loading:
        """Start loading a script. Raises EngineError if there is no nft, or it can't be started."""
        path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
        program = self._program or shutil.which("nft", path=path)
        if program is None:
            raise EngineError("The program nft is missing: install the package nftables.")
        try:
            return Loading(program, script)
        except OSError as error:  # no descriptor, process or memory is left
            more = ": allow more with ulimit -n" if error.errno == errno.EMFILE else ""
            raise EngineError(f"The program nft can't be started ({error.strerror}){more}.") from None


class Loading:
    """A running nft."""

    def __init__(self, program: str, script: str) -> None:
        self._errors = TemporaryFile()  # noqa: SIM115 (closed by `check`)
        with TemporaryFile() as source:  # a pipe may be too small for it
            source.write(script.encode())
            source.seek(0)
            self._process = subprocess.Popen(
                [program, "-f", "-"], stdin=source, stdout=subprocess.DEVNULL, stderr=self._errors
            )

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def wait(self) -> None:
        self._process.wait()

    def check(self) -> None:
        """Wait for it to end. Raises EngineError if it refused the script."""
        code = self._process.wait()
        with self._errors:
            self._errors.seek(0)
            first = self._errors.readline().decode(errors="replace")
        if code:
            reason = " ".join(first.split())
            raise EngineError(
                f"nft can't load the director's rules ({reason}): it needs the ambient capability "
                "CAP_NET_ADMIN, or root, and a kernel with nf_tables."
            )


# ---- the local node's ports ----


class Redirect(NamedTuple):
    """A service whose local node listens on another port."""

    protocol: int
    vip: Endpoint
    to: Endpoint

    @property
    def family(self) -> Family:
        return family_of(self.vip.address)

    def __str__(self) -> str:
        protocol = "tcp" if self.protocol == TCP else "udp"
        return (
            f"{_IP[self.family]} daddr {self.vip.address} {protocol} dport {self.vip.port} dnat to {self.to}"
        )


def redirect_of(service: ServiceKey, servers: Sequence[tuple[Endpoint, Method]]) -> Redirect | None:
    """The redirect to the local node's port, if that differs. Raises EngineError for what nftables can't do.

    `servers` are the local ones, with the methods that were requested.
    """
    for address, requested in servers:
        if requested is Method.NAT and address.port not in (0, service.address.port):
            _check(service, address, len(servers))
            return Redirect(service.protocol, service.address, address)
    return None


def _check(service: ServiceKey, address: Endpoint, local: int) -> None:
    """Raises EngineError."""
    refused = f"The director's own host can't serve {name_of(service)} at {address}: "
    if service.mark or not service.address.port:
        raise EngineError(f"{refused}the service has no port to translate; give no port.")
    if local > 1:
        raise EngineError(f"{refused}only one server of a service can be local with another port.")
    if ip_address(address.address).is_loopback:
        unreachable = "127.0.0.0/8" if family_of(address.address) is IPV4 else "::1"
        raise EngineError(f"{refused}packets from outside can't reach {unreachable}; name another address.")
