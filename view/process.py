"""The process of a live view: `python -m view.process`, started inside the sandbox by live_view.py.

It gets its configuration on standard input, as JSON, and the listening socket as a descriptor that was opened
outside. Captures and events are read only while a page is open; then they are caught up with.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

from view import run, server
from view.act import Actions
from view.captures import MOST_BEHIND, MOST_HISTORY
from view.command import RATE
from view.log import Log
from view.poll import Poller
from view.story import Story

_READ_EVERY = 0.03  # seconds
_SHARE, _SAMPLING = 0.05, 0.02  # of a processor, for reading: of all packets, and where most are left out
_LONGEST_PAUSE = 5.0  # seconds


def main() -> None:
    config: dict[str, Any] = json.load(sys.stdin)
    folder, hosts = Path(config["folder"]), dict(config["hosts"])
    document = run.document(folder, live=True, view_only=bool(config["view_only"]))
    log = Log(first=int(config["first"]))
    owners = {
        interface["mac"]: interface["name"]
        for host in document["hosts"]
        for interface in host["interfaces"]
        if interface["mac"]
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
            "actions": [] if config["view_only"] else [action.as_json() for action in actions.known()],
        }

    act = None if config["view_only"] else actions.carry_out
    site = server.Site(config["secret"], present, log, host=config["host"], act=act)
    poller.start()
    story = Story(folder, document, RATE, first=int(config["first"]))
    threading.Thread(target=_read, args=(story, log, site), daemon=True).start()
    server.serve(site.app, socket.socket(fileno=int(config["socket"])))


def _read(story: Story, log: Log, site: server.Site) -> None:
    """Add what the run has more, for ever, while a page is open.

    The lab comes first: time that reading has taken of a processor is followed by so much more without.
    """
    watched = False
    while True:
        before = time.thread_time()
        if site.streams:
            items = story.more(until=time.time(), most=MOST_BEHIND if watched else MOST_HISTORY)
            if items or site.behind:
                log.add(items)
                site.behind = False
                site.wake()
        else:
            site.behind = True
        taken = time.thread_time() - before if watched else 0.0
        watched = site.streams > 0
        share = _SAMPLING if story.leaves_most_out else _SHARE
        time.sleep(min(max(_READ_EVERY, taken / share), _LONGEST_PAUSE))


if __name__ == "__main__":
    main()
