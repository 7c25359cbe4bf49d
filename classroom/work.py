"""The folder with what a student fills in or writes, inside that of the run."""

from __future__ import annotations

from pathlib import Path

from classroom import catalogue
from classroom.exercise import WORK
from classroom.variants import Variant
from labs.run.evidence import Evidence, give_to_owner_of


def folder_of(evidence: Evidence) -> Path:
    """Where it is; only an exercise that has such files has one."""
    return evidence.folder / WORK


def lay_out(variant: Variant, evidence: Evidence) -> None:
    """Write the files as the student gets them: any editor can change them, also outside the lab."""
    files = catalogue.load(variant.exercise).files
    if files is None:
        return
    folder = folder_of(evidence)
    folder.mkdir()
    paths = [folder / name for name in files(variant)]
    for path, text in zip(paths, files(variant).values(), strict=True):
        path.write_text(text)
    give_to_owner_of(catalogue.FOLDER.parent, folder, *paths)
