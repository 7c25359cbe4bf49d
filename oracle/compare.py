"""Where the answers of two directors to the same scenario differ."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from oracle import packets
from oracle.play import Answer, Entry, merged
from oracle.scenario import Scenario
from oracle.site import CLIENTS, LOCAL, SERVERS, side_of
from oracle.talk import Frame

SLACK = 2  # seconds that a slow machine may be late


@dataclass(frozen=True)
class Difference:
    """`what` differs at step number `place`; `known` is its name if the scenario declares it."""

    place: int
    step: str
    known: str
    what: str
    ours: str
    kernels: str

    def __str__(self) -> str:
        return f"step {self.place}, {self.step}: {self.what}\n  ours    {self.ours}\n  kernel  {self.kernels}"


def differences(
    scenario: Scenario, our_answers: Sequence[Answer], kernels_answers: Sequence[Answer], took: float = 0
) -> Iterator[Difference]:
    """The differences in the order of the steps; one between the tables that lasts is reported once.

    `took` is the duration of our director's run in seconds: its timers may have run down by as much.
    """
    ours, kernel = _Known(), _Known()
    reported: set[str] = set()
    steps = zip(merged(scenario.steps), our_answers, kernels_answers, strict=True)
    for place, (step, our, its) in enumerate(steps):
        if not _same_frames(our.out, its.out):
            yield Difference(place, step.text, step.differs, "packets", frames(our.out), frames(its.out))
        ours.update(our)
        kernel.update(its)
        names = ours.entries.keys() | kernel.entries.keys()
        different = {name for name in names if not _same_entry(*_both(name, ours, kernel), took)}
        for name in sorted(different - reported):
            ours_entry, kernels_entry = _both(name, ours, kernel)
            row = _entry(ours_entry), _entry(kernels_entry)
            yield Difference(place, step.text, step.differs, name, *row)
        reported = different


class _Known:
    """A director's tables, built from the changes at each step."""

    def __init__(self) -> None:
        self.entries: dict[str, tuple[object, ...]] = {}

    def update(self, answer: Answer) -> None:
        for name, entry in (*answer.connections.items(), *answer.servers.items()):
            if entry is None:
                self.entries.pop(name, None)
            else:
                self.entries[name] = entry


def _both(name: str, ours: _Known, kernel: _Known) -> tuple[object, object]:
    return ours.entries.get(name), kernel.entries.get(name)


def _same_frames(ours: Sequence[Frame], kernels: Sequence[Frame]) -> bool:
    ours, kernels = ([frame for frame in sent if not _is_routed(frame)] for sent in (ours, kernels))
    if len(ours) == 1 and ours[0][0] == LOCAL:
        return all(_is_a_refusal(frame, ours[0][1]) for frame in kernels)
    return sorted(map(_comparable, ours)) == sorted(map(_comparable, kernels))


def _is_routed(frame: Frame) -> bool:
    """A real server's packet that was forwarded unchanged: the host's routing is not compared."""
    ends = packets.ends_of(frame[1][14:])
    return frame[0] == CLIENTS and side_of(ends.source) == SERVERS


def _is_a_refusal(frame: Frame, about: bytes) -> bool:
    """Whether the director's own kernel may have sent it because the port is closed."""
    packet, original = frame[1][14:], about[14:]
    reset = packet[9] == packets.TCP and packet[33] & packets.FLAGS["R"]
    unreachable = packet[9] == packets.ICMP and packet[20] == 3
    return packet[16:20] == original[12:16] and bool(reset or unreachable)


def _comparable(frame: Frame) -> tuple[str, bytes]:
    """A frame without the identification of the director's own packets, which it may choose."""
    side, data = frame
    packet = data[14:]
    own = packet[9] == packets.IPIP or (packet[9] == packets.ICMP and packet[20] in (3, 11))
    if own:
        packet = packet[:4] + b"\0\0" + packet[6:10] + b"\0\0" + packet[12:]
    return side, data[:14] + packet


def _same_entry(ours: object, kernels: object, took: float) -> bool:
    if isinstance(ours, Entry) and isinstance(kernels, Entry):
        late = kernels.expires - ours.expires
        return ours[:2] == kernels[:2] and -SLACK <= late <= SLACK + took
    return ours == kernels


def _entry(entry: object) -> str:
    return " ".join(map(str, entry)) if isinstance(entry, tuple) else "missing"


def frames(sent: Sequence[Frame]) -> str:
    """Frames in readable form."""
    if not sent:
        return "nothing"
    return "; ".join("passed to its kernel" if side == LOCAL else _frame(side, data) for side, data in sent)


def _frame(side: str, data: bytes) -> str:
    from scapy.layers.inet import IP  # only if it is printed

    return f"{side} > {data[:6].hex(':')} {IP(data[14:]).summary()} [{data[14:].hex()}]"


def shrunk(scenario: Scenario, differs: Callable[[Scenario], bool]) -> Scenario:
    """A shorter scenario that still differs: lines are removed, many at first, then one by one."""
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
