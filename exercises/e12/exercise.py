"""All three methods: each time a real server is taken out for maintenance, somebody complains.

The director has one script more than in the labs, drain.sh. It has been run when the exercise begins.
"""

from __future__ import annotations

from classroom.altered import alteration
from classroom.case import Case
from classroom.checks.drain import nothing_new, script_runs, talks_go_on
from classroom.exercise import Exercise
from classroom.probes.drain import SCRIPT, draining
from exercises.e12.faults import right
from labs.run.running import Running
from realserver_setup.render import Script

_BEGINNING = """\
#!/bin/sh
# d: takes {server} out of the http service, for maintenance.
# rules.sh takes it in again.
set -e

"""


def _begin(running: Running, case: Case) -> None:
    """Write drain.sh down, and run it while there are connections."""
    script = Script(f"d/{SCRIPT}", case.filled(_BEGINNING))
    if case.fault is None:
        script = Script(script.name, script.text + case.filled(right(case.method)) + "\n")
    path = running.evidence.scripts / script.name
    altered = alteration(case)(script)
    assert altered is not None
    path.write_text(altered.text)
    path.chmod(0o755)
    draining(running, case)


EXERCISE = Exercise(
    title="Maintenance, and the telephone rings",
    methods=("nat", "tun", "dr"),
    checks=(talks_go_on, nothing_new, script_runs),
    prepare=_begin,
)
