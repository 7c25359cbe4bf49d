"""A program of test_compare.py: one approach to dispatching, for a short time."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from compare.dispatch.approaches import APPROACHES
from compare.dispatch.server_death import observe
from compare.experiment import build
from labs.network.sandbox import run_in_sandbox
from labs.plan import plan_for
from labs.run.options import LabOptions


def inside(name: str, folder: Path) -> int:
    (approach,) = (approach for approach in APPROACHES if approach.name == name)
    options = LabOptions(servers=4, scheduler="rr")
    outcome = observe(approach, build(plan_for(approach.lab, options), options, folder), seed=1999, phase=3.5)
    (folder / "outcome.json").write_text(json.dumps(outcome.as_dict()))
    return 0


if __name__ == "__main__":
    name, folder = sys.argv[1], Path(sys.argv[2])
    sys.exit(run_in_sandbox(lambda: inside(name, folder)))
