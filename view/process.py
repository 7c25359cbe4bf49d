"""The process of a live view: `python -m view.process`, started inside the sandbox by live_view.py.

It gets its configuration on standard input, as JSON, and the listening socket as a descriptor that was opened
outside. Captures and events are read only while a page is open; then they are caught up with.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from view import run, server
from view.act import Actions
from view.command import RATE
from view.log import Log
from view.poll import Poller
from view.story import Story

_READ_EVERY = 0.03  # seconds
_NICENESS = 15  # a 30th of a processor that others want as well


def main() -> None:
    _give_way()
    config: dict[str, Any] = json.load(sys.stdin)
    folder, hosts = Path(config["folder"]), dict(config["hosts"])
    document = run.document(folder, live=True, view_only=bool(config["view_only"]))
    log = Log(first=int(config["first"]))
    owners = {
        one["mac"]: one["name"] for host in document["hosts"] for one in host["interfaces"] if one["mac"]
    }
    poller = Poller(
        folder,
        hosts,
        owners,
        lambda: site.streams > 0,
        hide=config["exercise"] is not None,
        directors=dict(config["directors"]),
    )
    actions = Actions(
        folder,
        hosts,
        document,
        config["method"],
        lambda: poller.services,
        netem=config["netem"],
        note=poller.write,
    )

    def present() -> dict[str, Any]:
        return {
            **document,
            "actions": [] if config["view_only"] else [one.as_json() for one in actions.known()],
        }

    act = None if config["view_only"] else actions.carry_out
    site = server.Site(config["secret"], present, log, host=config["host"], act=act)
    poller.start()
    story = Story(folder, document, RATE, first=int(config["first"]))
    threading.Thread(target=_read, args=(story, log, site), daemon=True).start()
    server.serve(site.app, socket.socket(fileno=int(config["socket"])))


def _read(story: Story, log: Log, site: server.Site) -> None:
    """Add what the run has more, for ever, while somebody watches; what was before is read as a whole."""
    watched = False
    while True:
        if site.streams:
            items = story.more(until=time.time(), skip=watched)
            if items:
                log.add(items)
                site.wake()
        watched = site.streams > 0
        time.sleep(_READ_EVERY)


def _give_way() -> None:
    """To the lab, which the view may not slow down; also where the kernel groups tasks by session."""
    os.nice(_NICENESS)
    with suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(_NICENESS))  # sched(7)


if __name__ == "__main__":
    main()
