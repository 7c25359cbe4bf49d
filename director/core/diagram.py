"""The state tables as a picture: `python -m director.core.diagram` prints it in Mermaid's language.

docs/director.md shows it, and a test holds the two against each other.
"""

from __future__ import annotations

from director.core.states import TCP_TRANSITIONS, State, Timeouts, View

VIEWS = {"VS-NAT": (View.IN, View.OUT), "VS-TUN and VS-DR": (View.HALF,)}
_WHO = {View.IN: "client", View.OUT: "server", View.HALF: "client"}
_EVENTS = {"syn": "SYN", "ack": "ACK", "fin": "FIN", "rst": "RST", "none": "no flag"}


def mermaid(views: tuple[View, ...]) -> str:
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


def _usual(view: View, event: str, state: State) -> bool:
    """A SYN counts where it opens a connection: elsewhere it begins another one."""
    if state is State.NONE:
        return view is not View.OUT and event == "syn"
    return event != "syn"


if __name__ == "__main__":
    for name, views in VIEWS.items():
        print(f"{name}\n\n{mermaid(views)}")
