"""A program of test_compare.py: measures a lab in IPv6, intact and with a dead server and a cut cable."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from compare.experiment import build
from compare.scaling import Scaling
from compare.settings import Settings
from labs.network.sandbox import run_in_sandbox
from labs.plan import plan_for
from labs.run.options import LabOptions


def inside(folder: Path) -> int:
    settings = Settings(family=6, seconds=1.0, warm_up=1.0, patience=1.0)
    options = LabOptions(servers=3, scheduler="rr", family=settings.family)
    run = build(plan_for("dr", options), options, folder)
    lab = Scaling(run, settings)
    points = [lab.measure(3)]
    run.farm.kill("rs2")
    run.network.hosts["rs3"].run(["ip", "link", "set", "rs3-eth0", "down"])
    points.append(lab.measure(3))
    (folder / "points.json").write_text(json.dumps([point.as_dict() for point in points]))
    return 0


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    sys.exit(run_in_sandbox(lambda: inside(folder)))
