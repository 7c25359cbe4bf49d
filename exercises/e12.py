"""All three methods: whenever a real server is taken out for maintenance, someone complains.

The director has one more script than in the labs, drain.sh, which has been run when the exercise begins.
"""

from __future__ import annotations

from classroom.checks.open_connections import (
    DRAIN_SCRIPT,
    drain_script_succeeds,
    draining,
    new_connections_elsewhere,
    open_connections_continue,
)
from classroom.model import Edit, Exercise, Fault, Repair, Solution, Variant
from classroom.script_edits import script_editor
from labs.run.running import RunningLab
from realserver_setup.render import Script

# ---- Faults ----
# The script deletes the real server instead of draining it.

DELETE = ("ippfvsadm -D -t {vip}:80 -R {rip}:{port}", "ipvsadm -d -t {vip}:80 -r {rip}:{port}")

# The right last line of drain.sh; ipvsadm -e needs the forwarding method again.
QUIESCE = "ipvsadm -e -t {vip}:80 -r {rip}:{port} -w 0 {flag}"

FAULTS = tuple(Fault((Edit("d", DRAIN_SCRIPT, put=line),)) for line in DELETE)

# ---- Exercise ----

_DRAIN = """\
#!/bin/sh
# d: takes {server} out of the http service for maintenance.
# rules.sh puts it back.
set -e

"""


def _begin(running: RunningLab, variant: Variant) -> None:
    """Write drain.sh, and run it while connections are open."""
    script = Script(f"d/{DRAIN_SCRIPT}", variant.filled(_DRAIN))
    if variant.fault is None:
        script = Script(script.name, script.text + variant.filled(QUIESCE) + "\n")
    path = running.evidence.scripts / script.name
    altered = script_editor(variant)(script)
    assert altered is not None
    path.write_text(altered.text)
    path.chmod(0o755)
    draining(running, variant)


EXERCISE = Exercise(
    methods=("nat", "tun", "dr"),
    checks=(open_connections_continue, new_connections_elsewhere, drain_script_succeeds),
    prepare=_begin,
)

# ---- Solutions ----
# Weight 0: open connections go on, new ones go elsewhere.

SOLUTIONS = tuple(
    Solution(
        cause="server_deleted",
        host="d",
        evidence=("connections", "rules"),
        fails=("open_connections_continue",),
        repairs=(Repair("d", (f'sed -i "s/^{line}/{QUIESCE}/" drain.sh',)),),
    )
    for line in DELETE
)
