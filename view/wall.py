"""The wall: every exercise running on this machine, for a teacher.

It shows what `./inv status` shows, from the journals in the exercises' folders; other users' labs only if
this user may read them. In a checkout with the doctor's causes, such as a teacher's, it also diagnoses an
exercise; the exercise's journal records that, as it does for ./inv doctor.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from classroom import catalogue
from classroom.journal import Journal
from doctor.command import knows_causes
from labs.errors import LabError
from labs.run import attach
from labs.run.attach import AttachedLab
from labs.run.control_server import ABOUT
from view.server import Refused


def tiles() -> list[dict[str, Any]]:
    """One entry per running exercise, the newest first."""
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
        "has_doctor": knows_causes(),
    }


def examine(what: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The doctor's findings in the exercise whose folder is named in `arguments["run"]`. Raises Refused."""
    if what != "doctor" or not knows_causes():
        raise Refused("This checkout has no diagnoses: use the teacher's checkout.")
    wanted = str(arguments.get("run"))
    found = next((lab for lab in attach.running_labs() if lab.folder.name == wanted), None)
    if found is None:
        raise Refused("This exercise has ended.")
    from doctor.causes import diagnose, titles
    from doctor.state import LabState

    try:
        found.ask("note", entry="doctor", details={"from": "the wall"})
        causes = diagnose(LabState.from_dict(found.ask("state")["state"]))
    except (LabError, ValueError) as error:
        raise Refused(str(error)) from None
    known = titles()
    rows = ({"host": cause.host, "title": known[cause.cause], "evidence": cause.evidence} for cause in causes)
    return {"findings": list(rows)}
