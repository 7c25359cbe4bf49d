"""The states of a connection as the director sees it: tables, a function that reads them, and their diagram.

For each direction and event, a table gives the state that follows each current one. The tables are those
of kernel IPVS (ip_vs_proto_tcp.c). In VS-NAT the director sees both directions (`in` from the client, `out`
from the real server), in VS-TUN and VS-DR only the client's (`only`). A packet with several flags counts as
the first of RST, SYN, FIN, ACK; one with none of the four, which no TCP sends, closes the connection.

Under overload, with `secure_tcp`, another table is used: packets from the client alone lead no further than
SYNACK or SYN_RECV, and only the real server's answer establishes the connection.

Connections that are being opened or are established are active; all others are inactive.
`python -m director.core.states` prints the diagrams that docs/director.md shows.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import Enum

from director.core.errors import BadValue
from director.core.packet import ACK, FIN, RST, SYN, UDP

MAX_TIMEOUT = 31 * 24 * 3600  # seconds; ipvsadm's own limit


class State(Enum):
    """A connection's state; the value is what a listing prints."""

    NONE = "NONE"
    ESTABLISHED = "ESTABLISHED"
    SYN_SENT = "SYN_SENT"
    SYN_RECV = "SYN_RECV"
    FIN_WAIT = "FIN_WAIT"
    TIME_WAIT = "TIME_WAIT"
    CLOSE = "CLOSE"
    CLOSE_WAIT = "CLOSE_WAIT"
    LAST_ACK = "LAST_ACK"
    LISTEN = "LISTEN"
    SYNACK = "SYNACK"
    UDP = "UDP"


ACTIVE = frozenset({State.ESTABLISHED, State.SYN_SENT, State.SYN_RECV, State.SYNACK})


class Direction(Enum):
    """Where a packet comes from, and whether the director sees the other direction, too (IP_VS_DIR_*)."""

    INPUT = "in"
    OUTPUT = "out"
    INPUT_ONLY = "only"


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds that a connection may be idle in each state; the defaults are kernel IPVS's."""

    none: float = 2
    established: float = 900
    syn_sent: float = 120
    syn_recv: float = 60
    fin_wait: float = 120
    time_wait: float = 120
    close: float = 10
    close_wait: float = 60
    last_ack: float = 30
    listen: float = 120
    synack: float = 120
    udp: float = 300

    def __post_init__(self) -> None:
        for field in fields(self):
            seconds = getattr(self, field.name)
            if not (isinstance(seconds, int | float) and 0 < seconds <= MAX_TIMEOUT):
                raise BadValue(f"timeout {field.name}", f"seconds, up to {MAX_TIMEOUT}", seconds)

    def by_state(self) -> dict[State, float]:
        return {state: getattr(self, state.value.lower()) for state in State}


_SHORT = {
    "NO": State.NONE,
    "ES": State.ESTABLISHED,
    "SS": State.SYN_SENT,
    "SR": State.SYN_RECV,
    "FW": State.FIN_WAIT,
    "TW": State.TIME_WAIT,
    "CL": State.CLOSE,
    "CW": State.CLOSE_WAIT,
    "LA": State.LAST_ACK,
    "LI": State.LISTEN,
    "SA": State.SYNACK,
}

_TCP = """
            NO ES SS SR FW TW CL CW LA LI SA
    in syn  SR ES ES SR SR SR SR SR SR SR SR
    in fin  CL CW SS TW TW TW CL CW LA LI TW
    in ack  ES ES SS ES FW TW CL CW CL LI ES
    in rst  CL CL CL SR CL CL CL CL LA LI SR
    in none CL CL CL CL CL CL CL CL CL CL CL
   out syn  SS ES SS SR SS SS SS SS SS LI SR
   out fin  TW FW SS TW FW TW CL TW LA LI TW
   out ack  ES ES SS ES FW TW CL CW LA ES ES
   out rst  CL CL SS CL CL TW CL CL CL CL CL
   out none CL CL CL CL CL CL CL CL CL CL CL
  only syn  SR ES ES SR SR SR SR SR SR SR SR
  only fin  CL FW SS TW FW TW CL CW LA LI TW
  only ack  ES ES SS ES FW TW CL CW CL LI ES
  only rst  CL CL CL SR CL CL CL CL LA LI CL
  only none CL CL CL CL CL CL CL CL CL CL CL
"""

_SECURE_TCP = """
            NO ES SS SR FW TW CL CW LA LI SA
    in syn  SR ES ES SR SR SR SR SR SR SR SA
    in fin  CL CW SS TW TW TW CL CW LA LI SA
    in ack  ES ES SS SR FW TW CL CW CL LI SA
    in rst  CL CL CL SR CL CL CL CL LA LI CL
    in none CL CL CL CL CL CL CL CL CL CL CL
   out syn  SS ES SS SA SS SS SS SS SS LI SA
   out fin  TW FW SS TW FW TW CL TW LA LI TW
   out ack  ES ES SS ES FW TW CL CW LA ES ES
   out rst  CL CL SS CL CL TW CL CL CL CL CL
   out none CL CL CL CL CL CL CL CL CL CL CL
  only syn  SA ES ES SR SA SA SA SA SA SA SA
  only fin  CL FW SS TW FW TW CL CW LA LI TW
  only ack  ES ES SS ES FW TW CL CW CL LI ES
  only rst  CL CL CL SR CL CL CL CL LA LI CL
  only none CL CL CL CL CL CL CL CL CL CL CL
"""

_FLAGS = ((RST, "rst"), (SYN, "syn"), (FIN, "fin"), (ACK, "ack"))
EVENTS = (*(event for _, event in _FLAGS), "none")


def _read(table: str) -> dict[tuple[Direction, str, State], State]:
    header, *rows = table.strip().splitlines()
    current = [_SHORT[name] for name in header.split()]
    transitions = {}
    for row in rows:
        direction, event, *following = row.split()
        for before, after in zip(current, following, strict=True):
            transitions[Direction(direction), event, before] = _SHORT[after]
    return transitions


TCP_TRANSITIONS = _read(_TCP)
SECURE_TCP_TRANSITIONS = _read(_SECURE_TCP)


def next_state(
    protocol: int, state: State, direction: Direction, flags: int, *, secure: bool = False
) -> State:
    """The state of a connection after a packet with these TCP flags."""
    if protocol == UDP:
        return State.UDP
    transitions = SECURE_TCP_TRANSITIONS if secure else TCP_TRANSITIONS
    for flag, event in _FLAGS:
        if flags & flag:
            return transitions[direction, event, state]
    return transitions[direction, "none", state]


# ---- the tables as a diagram ----

DIAGRAMS = {"VS-NAT": (Direction.INPUT, Direction.OUTPUT), "VS-TUN and VS-DR": (Direction.INPUT_ONLY,)}
_SENDER = {Direction.INPUT: "client", Direction.OUTPUT: "server", Direction.INPUT_ONLY: "client"}
_LABELS = {"syn": "SYN", "ack": "ACK", "fin": "FIN", "rst": "RST", "none": "no flag"}


def transitions(directions: tuple[Direction, ...]) -> dict[tuple[State, State], list[str]]:
    """The transitions between reachable states that a diagram shows, each with what causes it."""
    arrows: dict[tuple[State, State], list[str]] = {}
    found = [State.NONE]
    for state in found:
        for direction in directions:
            for event in _LABELS:
                after = TCP_TRANSITIONS[direction, event, state]
                if after is state or not _is_shown(direction, event, state):
                    continue
                arrows.setdefault((state, after), []).append(f"{_SENDER[direction]} {_LABELS[event]}")
                if after not in found:
                    found.append(after)
    return arrows


def mermaid(directions: tuple[Direction, ...]) -> str:
    """The reachable states and the transitions between them, as a state diagram in Mermaid's language."""
    arrows = transitions(directions)
    found = dict.fromkeys([State.NONE, *(after for _, after in arrows)])
    timeouts = Timeouts().by_state()
    lines = ["stateDiagram-v2", "    [*] --> NONE"]
    for (before, after), causes in arrows.items():
        lines.append(f"    {before.value} --> {after.value}: {', '.join(causes)}")
    lines += [f"    {state.value}: {state.value} ({timeouts[state]:g} s)" for state in found]
    return "\n".join(lines) + "\n"


def _is_shown(direction: Direction, event: str, state: State) -> bool:
    """A SYN is shown only where it opens the connection: elsewhere it begins another one."""
    if state is State.NONE:
        return direction is not Direction.OUTPUT and event == "syn"
    return event != "syn"


if __name__ == "__main__":
    for name, directions in DIAGRAMS.items():
        print(f"{name}\n\n{mermaid(directions)}")
