"""The states of a connection as the director sees it: tables, and one function that reads them.

Each table says, for a direction and an event, which state follows each current one. They are
those of kernel IPVS (facts: ip_vs_proto_tcp.c). The director sees both directions in VS-NAT
(`in` from the client, `out` from the real server) and only the client's half in VS-TUN and
VS-DR (`half`). A packet with several flags counts as the first of RST, SYN, FIN, ACK; one with
none of the four, which no TCP sends, closes the connection.

Under attack, with `secure_tcp`, another table holds: what a client alone has said leads to
SYNACK or stays SYN_RECV, and only the real server's answer makes a connection of it.

Connections that are being opened or are established are active; all others are inactive.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import Enum

from director.core.errors import BadValue
from director.core.packet import ACK, FIN, RST, SYN, UDP

LONGEST_TIMEOUT = 31 * 24 * 3600  # seconds; ipvsadm's own limit


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
    """Which part of a connection a packet shows."""

    INPUT = "in"
    OUTPUT = "out"
    INPUT_ONLY = "half"


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds that a connection may stay silent in each state; the defaults are kernel IPVS's."""

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
            if not (isinstance(seconds, int | float) and 0 < seconds <= LONGEST_TIMEOUT):
                raise BadValue(f"timeout {field.name}", f"seconds, up to {LONGEST_TIMEOUT}", seconds)

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
  half syn  SR ES ES SR SR SR SR SR SR SR SR
  half fin  CL FW SS TW FW TW CL CW LA LI TW
  half ack  ES ES SS ES FW TW CL CW CL LI ES
  half rst  CL CL CL SR CL CL CL CL LA LI CL
  half none CL CL CL CL CL CL CL CL CL CL CL
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
  half syn  SA ES ES SR SA SA SA SA SA SA SA
  half fin  CL FW SS TW FW TW CL CW LA LI TW
  half ack  ES ES SS ES FW TW CL CW CL LI ES
  half rst  CL CL CL SR CL CL CL CL LA LI CL
  half none CL CL CL CL CL CL CL CL CL CL CL
"""

_FLAGS = ((RST, "rst"), (SYN, "syn"), (FIN, "fin"), (ACK, "ack"))
EVENTS = (*(event for _, event in _FLAGS), "none")


def _read(table: str) -> dict[tuple[Direction, str, State], State]:
    header, *rows = table.strip().splitlines()
    current = [_SHORT[name] for name in header.split()]
    transitions = {}
    for row in rows:
        view, event, *following = row.split()
        for before, after in zip(current, following, strict=True):
            transitions[Direction(view), event, before] = _SHORT[after]
    return transitions


TCP_TRANSITIONS = _read(_TCP)
SECURE_TCP_TRANSITIONS = _read(_SECURE_TCP)


def next_state(protocol: int, state: State, view: Direction, flags: int, *, secure: bool = False) -> State:
    """The state after a packet."""
    if protocol == UDP:
        return State.UDP
    transitions = SECURE_TCP_TRANSITIONS if secure else TCP_TRANSITIONS
    for flag, event in _FLAGS:
        if flags & flag:
            return transitions[view, event, state]
    return transitions[view, "none", state]


VIEWS = {"VS-NAT": (Direction.INPUT, Direction.OUTPUT), "VS-TUN and VS-DR": (Direction.INPUT_ONLY,)}
_WHO = {Direction.INPUT: "client", Direction.OUTPUT: "server", Direction.INPUT_ONLY: "client"}
_EVENTS = {"syn": "SYN", "ack": "ACK", "fin": "FIN", "rst": "RST", "none": "no flag"}


def mermaid(views: tuple[Direction, ...]) -> str:
    """The states that a connection comes to, and what leads there; nothing that changes nothing."""
    arrows: dict[tuple[State, State], list[str]] = {}
    found = [State.NONE]
    for state in found:
        for view in views:
            for event in _EVENTS:
                after = TCP_TRANSITIONS[view, event, state]
                if after is state or not _usual(view, event, state):
                    continue
                arrows.setdefault((state, after), []).append(f"{_WHO[view]} {_EVENTS[event]}")
                if after not in found:
                    found.append(after)
    timeouts = Timeouts().by_state()
    lines = ["stateDiagram-v2", "    [*] --> NONE"]
    for (before, after), causes in arrows.items():
        lines.append(f"    {before.value} --> {after.value}: {', '.join(causes)}")
    lines += [f"    {state.value}: {state.value} ({timeouts[state]:g} s)" for state in found]
    return "\n".join(lines) + "\n"


def _usual(view: Direction, event: str, state: State) -> bool:
    """A SYN counts where it opens a connection: elsewhere it begins another one."""
    if state is State.NONE:
        return view is not Direction.OUTPUT and event == "syn"
    return event != "syn"


if __name__ == "__main__":
    for name, views in VIEWS.items():
        print(f"{name}\n\n{mermaid(views)}")
