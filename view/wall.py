"""The wall: every exercise that is running on this machine, for a teacher.

What `./inv status` knows of each, read from the journals of their folders; of labs of other users as far as
this user may read them.
"""

from __future__ import annotations

from typing import Any

from classroom import catalogue
from classroom.journal import Journal
from labs.run import attach
from labs.run.attach import AttachedLab
from labs.run.control_server import ABOUT


def tiles() -> list[dict[str, Any]]:
    """One entry for each exercise, the newest first."""
    return [tile(lab) for lab in attach.running_labs() if lab.about.get("exercise") in catalogue.names()]


def tile(lab: AttachedLab) -> dict[str, Any]:
    name, journal = str(lab.about["exercise"]), Journal(lab.folder)
    began = next((entry["at"] for entry in journal.entries() if "at" in entry), None)
    checked = journal.last("check")
    return {
        "run": lab.folder.name,
        "exercise": name,
        "user": str(lab.about.get("student", "")),
        "since": began if began is not None else (lab.folder / ABOUT).stat().st_mtime,
        "checks_passed": len(checked.get("passed", ())),
        "checks": len(catalogue.load(name).checks),
        "hints": journal.count("hint"),
        "symptom": catalogue.title(name),
    }
