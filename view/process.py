"""The process of a live view: `python -m view.process`, started inside the sandbox by live_view.py.

It gets its configuration as JSON on standard input, and the listening socket as a descriptor that was opened
outside. It reads captures and events only while a page is open, and catches up when one is opened.
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
# of a processor, spent on reading: normally, and while most packets are skipped
_SHARE, _SAMPLING = 0.05, 0.02
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
            "actions": [] if config["view_only"] else [action.as_json() for action in actions.available()],
        }

    act = None if config["view_only"] else actions.carry_out
    site = server.Site(config["secret"], present, log, host=config["host"], act=act)
    poller.start()
    story = Story(folder, document, RATE, first=int(config["first"]))
    threading.Thread(target=_read, args=(story, log, site), daemon=True).start()
    server.serve(site.app, socket.socket(fileno=int(config["socket"])))


def _read(story: Story, log: Log, site: server.Site) -> None:
    """Add new items of the run to the log for as long as a page is open; never returns.

    The lab comes first: after each read, pause long enough to stay within the share of a processor.
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
