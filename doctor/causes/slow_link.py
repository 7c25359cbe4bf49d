"""A queueing discipline delays packets, or drops them."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.queries import ends_at
from doctor.state import CLIENT, DIRECTOR, ROUTER, SERVER, LabState

TITLE = "a queueing discipline delays or drops packets"

_LIMITING = ("tbf", "htb", "hfsc", "netem", "cake", "plug", "blackhole")
# limited in length only
_LIMITED = ("pfifo", "bfifo", "prio", "drr", "red", "sfq", "codel", "fq_codel", "fq")


def find(state: LabState) -> Iterator[Cause]:
    if all(trial.served for trial in state.trials):
        return
    for host in state.by_role(CLIENT, ROUTER, DIRECTOR, SERVER):
        for plug in host.plugs:
            link = host.link(plug.interface)
            # The labs' options --delay and --loss.
            is_option = host.role == CLIENT and link and link.qdisc == "netem"
            drops = link and link.qdisc in _LIMITED and ends_at(state, host)
            if link and (link.qdisc in _LIMITING or drops) and not is_option:
                yield Cause(
                    "slow_link",
                    host.name,
                    f"the queueing discipline of {plug.interface} is {link.qdisc}, and trials fail",
                    f"Packets that {host.name} sends through {plug.interface} wait in a queue that is "
                    "emptied too slowly, or they are dropped when it is full.",
                    f"tc qdisc del dev {plug.interface} root",
                )
