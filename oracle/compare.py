"""Where two directors differ in what they answered to the same scenario."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from oracle import packets
from oracle.play import Answer, Entry, merged
from oracle.scenario import Scenario
from oracle.site import CLIENTS, LOCAL, SERVERS, side_of
from oracle.talk import Frame

SLACK = 2  # seconds by which a slow machine may be late


@dataclass(frozen=True)
class Difference:
    """`place` is the number of the step, `what` differs there; `known` if the scenario says so."""

    place: int
    step: str
    known: str
    what: str
    ours: str
    kernels: str

    def __str__(self) -> str:
        return f"step {self.place}, {self.step}: {self.what}\n  ours    {self.ours}\n  kernel  {self.kernels}"


def differences(
    scenario: Scenario, ours: Sequence[Answer], kernels: Sequence[Answer]
) -> Iterator[Difference]:
    """In the order of the steps; what the tables have in common is not told twice."""
    ours_know, kernel_knows = _Known(), _Known()
    told: set[str] = set()
    for place, (step, our, its) in enumerate(zip(merged(scenario.steps), ours, kernels, strict=True)):
        if not _same_frames(our.out, its.out):
            yield Difference(place, step.text, step.differs, "packets", frames(our.out), frames(its.out))
        ours_know.learn(our)
        kernel_knows.learn(its)
        names = ours_know.entries.keys() | kernel_knows.entries.keys()
        different = {name for name in names if not _same_entry(*_both(name, ours_know, kernel_knows))}
        for name in sorted(different - told):
            one, other = _both(name, ours_know, kernel_knows)
            yield Difference(place, step.text, step.differs, name, _entry(one), _entry(other))
        told = different


class _Known:
    """The tables as the news of many steps add up to them."""

    def __init__(self) -> None:
        self.entries: dict[str, tuple[object, ...]] = {}

    def learn(self, answer: Answer) -> None:
        for name, entry in (*answer.connections.items(), *answer.servers.items()):
            if entry is None:
                self.entries.pop(name, None)
            else:
                self.entries[name] = entry


def _both(name: str, one: _Known, other: _Known) -> tuple[object, object]:
    return one.entries.get(name), other.entries.get(name)


def _same_frames(ours: Sequence[Frame], kernels: Sequence[Frame]) -> bool:
    ours, kernels = ([one for one in sent if not _is_routed(one)] for sent in (ours, kernels))
    if len(ours) == 1 and ours[0][0] == LOCAL:
        return all(_is_a_refusal(frame, ours[0][1]) for frame in kernels)
    return sorted(map(_comparable, ours)) == sorted(map(_comparable, kernels))


def _is_routed(frame: Frame) -> bool:
    """A real server's packet that has come through as it was: the host's routing is no part of this."""
    ends = packets.ends_of(frame[1][14:])
    return frame[0] == CLIENTS and side_of(ends.source) == SERVERS


def _is_a_refusal(frame: Frame, about: bytes) -> bool:
    """Whether the director's own kernel may have sent it to tell that nobody listens."""
    packet, came = frame[1][14:], about[14:]
    reset = packet[9] == packets.TCP and packet[33] & packets.FLAGS["R"]
    unreachable = packet[9] == packets.ICMP and packet[20] == 3
    return packet[16:20] == came[12:16] and bool(reset or unreachable)


def _comparable(frame: Frame) -> tuple[str, bytes]:
    """Without what a sender may choose: the identification of a packet of the director's own."""
    side, data = frame
    packet = data[14:]
    own = packet[9] == packets.IPIP or (packet[9] == packets.ICMP and packet[20] in (3, 11))
    if own:
        packet = packet[:4] + b"\0\0" + packet[6:10] + b"\0\0" + packet[12:]
    return side, data[:14] + packet


def _same_entry(one: object, other: object) -> bool:
    if isinstance(one, Entry) and isinstance(other, Entry):
        return one[:2] == other[:2] and abs(one.expires - other.expires) <= SLACK
    return one == other


def _entry(entry: object) -> str:
    return " ".join(map(str, entry)) if isinstance(entry, tuple) else "not there"


def frames(sent: Sequence[Frame]) -> str:
    """For people."""
    if not sent:
        return "nothing"
    return "; ".join("left to the own kernel" if side == LOCAL else _frame(side, data) for side, data in sent)


def _frame(side: str, data: bytes) -> str:
    from scapy.layers.inet import IP  # only for somebody who has to read it

    return f"{side} > {data[:6].hex(':')} {IP(data[14:]).summary()} [{data[14:].hex()}]"


def shrunk(scenario: Scenario, differs: Callable[[Scenario], bool]) -> Scenario:
    """A shorter scenario that still differs: lines are left out, many at first, then one by one."""
    size = len(scenario.lines) // 2
    while size:
        start = 0
        while start < len(scenario.lines):
            candidate = scenario.without(set(range(start, start + size)))
            if differs(candidate):
                scenario = candidate
            else:
                start += size
        size //= 2
    return scenario
