"""Kernel IPVS itself, between two cables: rules by the real ipvsadm, tables from /proc/net."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from socket import inet_aton, inet_ntoa
from time import monotonic, sleep

from labs.wait import patient
from oracle.play import Entry, Load, Tables
from oracle.site import Place
from oracle.talk import Frame
from oracle.wire import Late, Wires

_COUNTER = 2**32 - 1  # a firewall mark that no scenario uses
_MOMENT = 0.05  # seconds, many ticks of the kernel's clock
_MARKS = """\
table ip oracle
delete table ip oracle
table ip oracle {{
    chain before {{
        type filter hook prerouting priority mangle
        {rules}
    }}
}}
"""


class Kernel:
    """Kernel IPVS on these wires, administered by the real ipvsadm."""

    def __init__(self, wires: Wires) -> None:
        self._wires = wires
        self._administrator = _Administrator(wires)
        self._marks: list[str] = []
        self._forgets_servers = False

    def close(self) -> None:
        self._administrator.close()

    def rules(self, lines: Sequence[str]) -> None:
        self._administrator.carry_out(lines)
        if self._forgets_servers:
            sleep(_MOMENT)  # a kernel worker ends their connections, without any sign of when

    def sysctl(self, name: str, value: int) -> None:
        if name == "expire_nodest_conn":
            self._forgets_servers = bool(value)
        self._wires.run("sysctl", "-qw", f"net.ipv4.vs.{name}={value}")

    def mark(self, protocol: str, vip: str, ports: str, mark: int) -> None:
        self._marks.append(f"ip daddr {vip} {protocol} dport {ports} meta mark set {mark}")
        self._wires.run("nft", "-f", "-", text=_MARKS.format(rules="\n        ".join(self._marks)))

    def wait(self, seconds: float) -> None:
        sleep(seconds)  # what is waited for is that nothing happens

    def exchange(self, frame: Frame) -> list[Frame]:
        """A packet is through the kernel when sending it returns; if nothing came out, a ping makes sure."""
        self._wires.send(frame)
        return list(self._wires.received()) or self._wires.settle(frame[0])

    def look(self, place: Place) -> Tables:
        """A list that changes while it is read may lack an entry, and expired entries take a moment to go.

        The remaining time of an expired entry is negative, which the kernel prints as a large number.
        """
        began = monotonic()
        before: list[str] = []
        while True:
            found = list(connections(self._wires.proc("ip_vs_conn"), place))
            names = [name for name, _ in found]
            settled = names == before or not names
            over = len(set(names)) < len(names) or any(entry.expires > 2**31 for _, entry in found)
            ends_now = any(entry.expires == 0 for _, entry in found)
            passed = monotonic() - began
            if (settled and not over and (passed > _MOMENT or not ends_now)) or passed > patient(_MOMENT):
                break
            before = names
        if len(set(names)) < len(names):
            raise Late(f"two connections with the same ends: {found}")
        return Tables(dict(found), dict(loads(self._wires.proc("ip_vs"), place)))


class _Administrator:
    """One ipvsadm for all rules: starting it costs more than its work.

    A service of its own, whose persistence counts up, shows when it has carried them out.
    """

    def __init__(self, wires: Wires) -> None:
        self._wires = wires
        self._count = 0
        self._seen = ""
        self._start()

    def close(self) -> None:
        self._process.communicate()

    def _start(self) -> None:
        self._process = self._wires.start("ipvsadm", "-R")
        self._count += 1
        self._tell([f"-A -f {_COUNTER} -p {self._count}"])

    def carry_out(self, lines: Sequence[str]) -> None:
        self._count += 1
        self._tell([*lines, f"-E -f {_COUNTER} -p {self._count}"])

    def _tell(self, lines: Sequence[str]) -> None:
        assert self._process.stdin
        self._process.stdin.write("".join(f"{line}\n" for line in lines))
        self._process.stdin.flush()
        deadline = monotonic() + patient(5)
        while (sign := self._sign()) in ("", self._seen):
            if self._process.poll() is not None or monotonic() > deadline:
                raise Late(f"ipvsadm has not carried out {lines}")
        self._seen = sign

    def _sign(self) -> str:
        """The line of that service; a list that changes may show it twice, or not at all."""
        lines = set(re.findall(rf"^FWM +{_COUNTER:08X}.*", self._wires.proc("ip_vs"), re.MULTILINE))
        return lines.pop() if len(lines) == 1 else ""


def connections(text: str, place: Place) -> Iterator[tuple[str, Entry]]:
    """The connections in /proc/net/ip_vs_conn: addresses and ports are in hexadecimal."""
    own = inet_aton(place.client(0)).hex().upper()[:6]
    for line in re.findall(rf"^\w+ +{own}.*", text, re.MULTILINE):  # there may be thousands of others
        protocol, *numbers, state, expires = line.split()[:9]
        client, vip, to = (_end(*numbers[at : at + 2]) for at in (0, 2, 4))
        yield f"{protocol} {client} {vip}", Entry(to, state, int(expires))


def loads(text: str, place: Place) -> Iterator[tuple[str, Load]]:
    """The real servers in /proc/net/ip_vs."""
    vip = inet_aton(place.vip).hex().upper()
    for service in re.findall(
        rf"^(?:[TU]\w+ +{vip}|FWM +{place.mark:08X}).*(?:\n  ->.*)*", text, re.MULTILINE
    ):
        first, *servers = service.splitlines()
        kind, name = first.split()[:2]
        name = str(int(name, 16)) if kind == "FWM" else _end(*name.split(":"))
        for line in servers:
            words = line.split()
            yield f"{kind} {name} {_end(*words[1].split(':'))}", Load(*map(int, words[3:6]))


def _end(address: str, port: str) -> str:
    return f"{inet_ntoa(bytes.fromhex(address))}:{int(port, 16)}"
