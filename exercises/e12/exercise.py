"""All three methods: each time a real server is taken out for maintenance, somebody complains.

The director has one script more than in the labs, drain.sh. It has been run when the exercise begins.
"""

from __future__ import annotations

from classroom.checks.drain import nothing_new, script_runs, talks_go_on
from classroom.exercise import Exercise
from classroom.probes.drain import SCRIPT, draining
from classroom.script_edits import alteration
from classroom.variants import Variant
from exercises.e12.faults import right
from labs.run.running import RunningLab
from realserver_setup.render import Script

_BEGINNING = """\
#!/bin/sh
# d: takes {server} out of the http service, for maintenance.
# rules.sh takes it in again.
set -e

"""


def _begin(running: RunningLab, variant: Variant) -> None:
    """Write drain.sh down, and run it while there are connections."""
    script = Script(f"d/{SCRIPT}", variant.filled(_BEGINNING))
    if variant.fault is None:
        script = Script(script.name, script.text + variant.filled(right(variant.method)) + "\n")
    path = running.evidence.scripts / script.name
    altered = alteration(variant)(script)
    assert altered is not None
    path.write_text(altered.text)
    path.chmod(0o755)
    draining(running, variant)


EXERCISE = Exercise(
    title="Maintenance, and the telephone rings",
    methods=("nat", "tun", "dr"),
    checks=(talks_go_on, nothing_new, script_runs),
    prepare=_begin,
)
