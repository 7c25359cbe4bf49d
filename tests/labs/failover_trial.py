"""The part of test_failover.py that runs in its own namespaces: a director's death, in two of the modes.

Started as `python failover_trial.py FOLDER` inside `unshare`; writes FOLDER/results.json.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from pathlib import Path

from failover.pair import DIRECTORS, Pair, other
from failover.survival import MODES, death
from labs.methods import METHODS
from labs.network.namespaces import run
from tests.labs.director_net import ROOT

COUNT = 30  # connections


def main(folder: Path) -> None:
    os.chdir(ROOT)
    run("mount", "-t", "tmpfs", "tmpfs", "/run")
    pair = Pair(folder / "pair", "scapy")
    active = DIRECTORS[0]
    pair.take_over(active)
    results: dict[str, list[str]] = {}
    try:
        for mode in MODES:
            if not mode.sync:  # there, age decides, and the machine's speed
                found = Counter(
                    f"{connection['method']} {connection['fate']}"
                    for connection in death(pair, active, mode, COUNT, 100.0, 0.0)
                )
                results[mode.name] = sorted(f"{what}: {count}" for what, count in found.items())
                results[f"{mode.name}, owners"] = list(pair.owners())
                active = other(active)
    finally:
        pair.close()
    (folder / "results.json").write_text(json.dumps({"seen": results, "methods": METHODS}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
