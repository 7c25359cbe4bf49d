"""The folder with what a student fills in or writes, inside that of the run."""

from __future__ import annotations

from pathlib import Path

from classroom import catalogue
from classroom.case import Case
from classroom.exercise import WORK
from labs.run.evidence import Evidence, give_to_owner_of


def folder_of(evidence: Evidence) -> Path:
    """Where it is; only an exercise that has such files has one."""
    return evidence.folder / WORK


def lay_out(case: Case, evidence: Evidence) -> None:
    """Write the files as the student gets them: any editor can change them, also outside the lab."""
    files = catalogue.load(case.exercise).files
    if files is None:
        return
    folder = folder_of(evidence)
    folder.mkdir()
    paths = [folder / name for name in files(case)]
    for path, text in zip(paths, files(case).values(), strict=True):
        path.write_text(text)
    give_to_owner_of(catalogue.FOLDER.parent, folder, *paths)
