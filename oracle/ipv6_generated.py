"""Generated connections over IPv6, and through tunnels of the other family: the kernel's answers.

The scenarios are those of generate.py with another seed, other addresses and, for IPv6, extension headers,
fragments, long packets and ICMPv6 errors. In `tun` the clients use IPv6 and the real servers either family;
in `tun4` the clients use IPv4. A recording has, for each packet sent, the frames that came out, as their
difference from it; and the tables after each scenario. Inside `unshare --net --mount` as root,
`python -m oracle.ipv6_generated METHOD` prints this kernel's answers, a line of JSON for each scenario.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, partial
from ipaddress import IPv6Address
from itertools import zip_longest
from operator import itemgetter
from pathlib import Path
from random import Random
from time import monotonic, sleep
from typing import Any, NamedTuple, Protocol

from director.formats.ipvsadm_words import endpoint
from labs.errors import BuildFailed
from labs.wait import wait_for
from oracle import fingerprint, generate, ipv6_network, ipv6_packets, json_xz, packets
from oracle.ipv6_network import IPv6Wires, Loads, Table, mac_of_server, real_server, settled, vip
from oracle.kernel import Kernel
from oracle.packets import Ends, Header
from oracle.play import merged
from oracle.scenario import Scenario, Step
from oracle.site import CLIENTS, DIRECTOR_MACS, GATEWAY_MAC, LOCAL, SERVERS, Place
from oracle.talk import Frame
from oracle.wire import Late

METHODS = {"nat": "-m", "dr": "-g", "tun": "-i", "tun4": "-i"}
_INSIDE = 0xFD  # the first byte of a real server's address
_FOLDER = Path(__file__).with_name("recorded")
SCENARIOS = generate.SCENARIOS  # with each scheduler
SEED = 2460  # the number of RFC 2460
_SHORTEST_TIMEOUT = 9.0  # seconds; a connection in the state CLOSE is kept for ten
_TICKS = 0.02  # seconds, several ticks of the kernel's clock
_NETWORKS = 46  # scenarios in a network: as its tables grow, they take longer to read


class Result(NamedTuple):
    """The result of a scenario: the packets sent, the frames that each caused, and the tables at the end."""

    sent: list[bytes]
    out: list[list[Frame]]
    table: Table
    loads: Loads


class Plane(Protocol):
    """A director with its wires."""

    def rules(self, lines: Sequence[str]) -> None:
        """Carry out lines of ipvsadm; a refused one changes nothing."""

    def exchange(self, frame: Frame) -> list[Frame]:
        """Put a frame on the wire; returns what the director sends because of it."""

    def tables(self, at: str) -> tuple[Table, Loads]:
        """The connections, and the real servers, of the services at an address."""


# ---- scenarios ----


@cache
def scenarios(method: str) -> tuple[Scenario, ...]:
    """The scenarios in the order of their places: the first of each scheduler, then the second, and so on."""
    found = generate.standard(method, SEED, SCENARIOS)
    found.sort(key=lambda scenario: int(scenario.name.rpartition("/")[2]))
    return tuple(found if method == "tun4" else map(generate.for_ipv6, found))


def words(method: str, place: int) -> dict[str, str]:
    """What the words in a scenario stand for; the family of a tunnel's real server is drawn."""
    draw = Random(f"{SEED} {method} {place}")
    families = [draw.choice((4, 6)) if method.startswith("tun") else 6 for _ in range(9)]
    bracketed = {
        f"RS{number}": endpoint(real_server(number, family), 0)[:-2]
        for number, family in enumerate(families, start=1)
    }
    at = vip(place, _family(method))
    return {"VIP": endpoint(at, 0)[:-2], "HOW": METHODS[method], **bracketed}


def _family(method: str) -> int:
    return 4 if method == "tun4" else 6


# ---- running ----


def play(method: str, scenario: Scenario, place: int, plane: Plane) -> Result:
    talks, known = _Talks(method, place), words(method, place)
    sent: list[bytes] = []
    out: list[list[Frame]] = []
    for step in merged(scenario.steps):
        if step.kind == "ipvsadm":
            text = step.text.replace("ipvsadm ", "")
            for word, address in known.items():
                text = text.replace(word, address)
            plane.rules(text.splitlines())
            continue
        for side, frame in talks.frames(step):
            answer = plane.exchange((side, frame))
            talks.heard(step, answer)
            sent.append(frame)
            out.append(answer)
    return Result(sent, out, *plane.tables(vip(place, _family(method))))


@dataclass
class _Talk:
    client: Ends
    udp: bool
    server: tuple[str, int] | None = None  # in VS-NAT, the one that got its packets
    got: dict[str, bytes] = field(default_factory=dict)  # what arrived last, by side
    sent: int = 0


class _Talks:
    """The connections of one scenario."""

    def __init__(self, method: str, place: int) -> None:
        self._method, self._place = method, place
        self._talks: dict[int, _Talk] = {}

    def frames(self, step: Step) -> Iterator[Frame]:
        talk, options = self._talk(step), step.options
        packet = self._error(talk, step) if "icmp" in options else self._packet(talk, step)
        if packet is None:
            return
        for kind in options.get("ext", "").split(",")[::-1]:
            if kind:
                packet = ipv6_packets.behind(b"\0\0\1\4\0\0\0\0", int(kind), packet)
        pieces: Sequence[bytes] = (packet,)
        if "cut" in options and len(packet) > 48 + int(options["cut"]):
            pieces = ipv6_packets.fragments(packet, int(options["cut"]), step.number * 100 + talk.sent)
        side = CLIENTS if step.kind == "c" else SERVERS
        mac = GATEWAY_MAC if side == CLIENTS or not talk.server else mac_of_server(talk.server[0])
        for piece in pieces:
            yield side, ipv6_packets.framed(DIRECTOR_MACS[side], mac, piece)

    def heard(self, step: Step, out: Sequence[Frame]) -> None:
        """In VS-NAT, note what has arrived at the other end, and which server that is.

        What the sender gets is ignored: the host of kernel IPVS refuses packets that ours passes to its host.
        """
        if self._method != "nat":
            return
        talk = self._talks[step.number]
        receiving_side = SERVERS if step.kind == "c" else CLIENTS
        for side, frame in out:
            if side == receiving_side and frame[20] in (ipv6_packets.TCP, ipv6_packets.UDP):
                packet = frame[14:]
                talk.got[side] = packet
                if side == SERVERS:
                    port = int.from_bytes(packet[42:44], "big")
                    talk.server = str(IPv6Address(packet[24:40])), port

    def _talk(self, step: Step) -> _Talk:
        talk = self._talks.get(step.number)
        if talk is None:
            at = int(step.options.get("at", step.number))
            ends = Ends(self._client(at), 10000 + step.number, vip(self._place, _family(self._method)), 80)
            talk = self._talks[step.number] = _Talk(ends, "udp" in step.options)
        return talk

    def _client(self, number: int) -> str:
        if self._method == "tun4":
            return Place(self._place).client(number)
        draw = Random(f"{SEED} {self._place} {number}")
        return str(IPv6Address(int(IPv6Address("2001:db8:1::")) | draw.getrandbits(80)))

    def _packet(self, talk: _Talk, step: Step) -> bytes | None:
        ends, options = talk.client, step.options
        if step.kind == "s":
            if talk.server is None:
                return None
            ends = Ends(*talk.server, ends.source, ends.sport)
        talk.sent += 1
        data = bytes(zlib.crc32(b"%d" % step.number) >> shift & 0xFF for shift in (0, 8, 16, 24))
        data = (data * 400)[: int(options.get("len", 0))]
        flags = sum(packets.FLAGS.get(letter, 0) for word in step.words for letter in word)
        ttl, tos = int(options.get("ttl", 64)), int(options.get("tos", 0))
        extra = bytes.fromhex(options.get("opt", ""))
        if self._method == "tun4":
            fragment = packets.DONT_FRAGMENT if "df" in options else 0
            header = Header(int(options.get("id", talk.sent)), ttl, tos, fragment)
            if talk.udp:
                return packets.udp(ends, header, data)
            return packets.tcp(ends, header, flags, talk.sent, 0, extra, data)
        if talk.udp:
            four = ends.source, ends.dest, ends.sport, ends.dport
            return ipv6_packets.udp(*four, data, hop_limit=ttl, traffic_class=tos)
        four = ends.source, ends.dest, ends.sport, ends.dport
        return ipv6_packets.tcp(*four, flags, data, options=extra, hop_limit=ttl, traffic_class=tos)

    def _error(self, talk: _Talk, step: Step) -> bytes | None:
        """An ICMPv6 error about the last packet that its sender got."""
        got = talk.got.get(CLIENTS if step.kind == "c" else SERVERS)
        if got is None:
            return None
        kind, _, code = step.options["icmp"].partition("/")
        by, to = (str(IPv6Address(got[start : start + 16])) for start in (24, 8))
        number = {"2": 1300, "4": 40}.get(kind, 0)
        return ipv6_packets.error(by, to, int(kind), int(code), number, got)


# ---- recordings ----


def difference(frame: bytes, sent: bytes) -> bytes:
    """The exclusive or of a frame and what was sent, aligned at their ends; applied twice, the frame."""
    aligned = zip_longest(reversed(frame), reversed(sent[-len(frame) :]), fillvalue=0)
    return bytes(ours ^ theirs for ours, theirs in aligned)[::-1]


def plain(scenario: Scenario, result: Result) -> dict[str, Any]:
    """A result as JSON values; `sent` is a hash."""
    out = [
        [[side, difference(ipv6_packets.comparable(frame), sent).hex()] for side, frame in _by_side(frames)]
        for sent, frames in zip(result.sent, result.out, strict=True)
    ]
    sent = hashlib.sha256(b"".join(result.sent)).hexdigest()[:16]
    return {"name": scenario.name, "sent": sent, "out": out, "table": result.table, "loads": result.loads}


def _by_side(frames: Sequence[Frame]) -> list[Frame]:
    """Frames in the order of a recording; the order between the two cables is unknown."""
    return sorted(frames, key=itemgetter(0))


def unlike(recorded: Mapping[str, Any], now: Mapping[str, Any], sent: Sequence[bytes]) -> str:
    """The first difference between a recorded result and ours, after these frames; empty if there is none."""
    for number, (then, ours, frame) in enumerate(zip(recorded["out"], now["out"], sent, strict=False)):
        if then != ours:
            was, came = (
                [(side, difference(bytes.fromhex(data), frame)) for side, data in frames]
                for frames in (then, ours)
            )
            if not _same(was, came):
                shown = [
                    [(side, data.hex()) for side, data in frames] for frames in ([("", frame)], was, came)
                ]
                return "packet {}, {}\n  recorded {}\n  now      {}".format(number, *shown)
    for part in ("table", "loads"):
        if recorded[part] != now[part]:
            return "\n  ".join(
                f"{name}: recorded {recorded[part].get(name)}, now {now[part].get(name)}"
                for name in {**recorded[part], **now[part]}
                if recorded[part].get(name) != now[part].get(name)
            )
    if (len(recorded["out"]), recorded["sent"]) != (len(now["out"]), now["sent"]):
        return "the packets sent differ from the recorded ones: run ./inv vm-test --record"
    return ""


def _same(kernels: Sequence[Frame], ours: Sequence[Frame]) -> bool:
    """As in compare.py: what the host of kernel IPVS only routes or refuses is not compared."""
    kernels = [frame for frame in kernels if not _is_routed(frame)]
    if len(ours) == 1 and ours[0][0] == LOCAL:
        return all(_is_refusal(frame) for _, frame in kernels)
    return kernels == list(ours)


def _is_routed(frame: Frame) -> bool:
    side, data = frame
    return side == CLIENTS and data[12:14] == ipv6_packets.ETHERTYPES[6] and data[22] == _INSIDE


def _is_refusal(frame: bytes) -> bool:
    """Whether a host may have sent it because a port is closed."""
    old = frame[12:14] == ipv6_packets.ETHERTYPES[4]
    protocol, above = (frame[23], frame[34:]) if old else (frame[20], frame[54:])
    if protocol == ipv6_packets.TCP:
        return bool(above[13] & packets.FLAGS["R"])
    return protocol in (packets.ICMP, ipv6_packets.ICMP) and above[0] == (3 if old else 1)


def made_now(kernel: str = "") -> dict[str, str]:
    """How answers would be recorded now; `kernel` is a release, by default the running one."""
    network = fingerprint.essence(Path(ipv6_network.__file__).read_text())
    player = hashlib.sha256((fingerprint.player() + network).encode()).hexdigest()[:16]
    return {"player": player, "kernel": kernel or os.uname().release}


def holds(method: str, kernel: str = "", folder: Path = _FOLDER) -> bool:
    """Whether there is a recording of these scenarios, made in this way on this kernel."""
    if not path(method, folder).exists():
        return False
    recording = read(method, folder)
    names = {entry["name"] for entry in recording["scenarios"]}
    wanted = {scenario.name for scenario in scenarios(method)}
    made = made_now(kernel)
    return names == wanted and {name: recording[name] for name in made} == made


def path(method: str, folder: Path = _FOLDER) -> Path:
    return folder / f"ipv6-{method}.json.xz"


def recording(printed: str) -> json_xz.Recording:
    """A recording from the output of this module."""
    made, *found = map(json.loads, printed.splitlines())
    return {**made, "scenarios": found}


def read(method: str, folder: Path = _FOLDER) -> json_xz.Recording:
    """`kernel`, `player`, and the results of `scenarios`."""
    recording: json_xz.Recording = json_xz.read(path(method, folder))
    return recording


class _Kernel:
    """Kernel IPVS, which gets a new network after some scenarios."""

    def __init__(self) -> None:
        self._open()

    def _open(self) -> None:
        self._wires = IPv6Wires()
        self._kernel = Kernel(self._wires)
        for side in (CLIENTS, SERVERS):
            wait_for(partial(self._carries, side), 10, f"the cable of side {side}", BuildFailed)

    def _carries(self, side: str) -> bool:
        """Whether a cable carries frames: not before the kernel has noticed that both ends are up."""
        with suppress(OSError):
            self._wires.settle(side)
            return True
        return False

    def renew(self) -> None:
        self._kernel.close()
        self._wires.close()
        self._open()

    def rules(self, lines: Sequence[str]) -> None:
        self._kernel.rules(lines)

    def exchange(self, frame: Frame) -> list[Frame]:
        """Send a frame, and then a ping: ksoftirqd may forward the packet, or part of it, after `send`.

        A connection that a refused SYN has ended (ip_vs_conn_expire_now) is found until the next tick.
        """
        self._wires.send(frame)
        out = self._wires.settle(frame[0])
        if all(side == frame[0] for side, _ in out):
            sleep(_TICKS)
        return out

    def tables(self, at: str) -> tuple[Table, Loads]:
        """The tables at the end. Removes the services, because lists longer than a page lack some."""
        found = settled(self._wires, at)
        self.rules([f"-D -{letter} {endpoint(at, 80)}" for letter in "tu"])
        return found


def record(method: str, say: Callable[[str], object] = lambda _: None) -> Iterator[dict[str, Any]]:
    """This kernel's results; a scenario is run again if entries may have expired in it."""
    kernel = _Kernel()
    for place, scenario in enumerate(scenarios(method)):
        if place and place % _NETWORKS == 0:
            kernel.renew()
        for _ in range(4):
            began = monotonic()
            try:
                result = play(method, scenario, place, kernel)
            except Late as late:
                say(f"{scenario.name}: {late}")
            else:
                took = monotonic() - began
                say(f"{method} {scenario.name}: {took:.1f} s")
                if took < _SHORTEST_TIMEOUT:
                    break
            kernel.renew()
        else:
            raise Late(f"{scenario.name} took too long four times")
        yield plain(scenario, result)


if __name__ == "__main__":
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)  # for `ip netns`
    processors = sorted(os.sched_getaffinity(0))  # on one of them, frames stay in order
    os.sched_setaffinity(0, {processors[list(METHODS).index(sys.argv[1]) % len(processors)]})
    print(json.dumps(made_now()), flush=True)
    for line in record(sys.argv[1], lambda text: print(text, file=sys.stderr, flush=True)):
        print(json.dumps(line), flush=True)
