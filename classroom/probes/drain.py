"""Draining: what the director's maintenance script drain.sh does to connections, old and new."""

from __future__ import annotations

from typing import Any

from classroom.probes.conversations import Conversation
from classroom.probes.requests import MANY, ask
from classroom.variants import Variant
from labs.run.running import RunningLab

SCRIPT = "drain.sh"
_LONGEST = 12  # seconds for a script: a moment, on a machine that has nothing else to do


def draining(running: RunningLab, variant: Variant) -> dict[str, Any]:
    """With fresh rules, drain.sh is run while there are connections to every real server.

    `talks`: what those answered before (`first`) and after it (`then`); `requests`: what became of
    new ones; `said`: what drain.sh complained of. The real server stays taken out of the service.
    """
    _run(running, "rules.sh")
    talk = Conversation(running.clients[0], 2 * len(variant.plan.servers))
    talk.wait()
    said = _run(running, SCRIPT)
    talk.go_on()
    requests = ask(running.clients[1], 80, MANY)
    return {"said": said, "talks": talk.answers(), "requests": requests}


def _run(running: RunningLab, script: str) -> str:
    """Run a script of the director; what it said where it has failed, or nothing."""
    path = running.evidence.scripts / "d" / script
    done = running.network.hosts["d"].run(["sh", str(path)], timeout=_LONGEST)
    return (done.stderr.strip() or f"ended with {done.exit_code}") if done.exit_code else ""
