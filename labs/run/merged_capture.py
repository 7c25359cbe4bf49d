"""`./inv wireshark`: the merged capture of a run, and how to open it with the lab's profile.

The run is the one that was named, or else the newest with captures.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from labs.errors import BadRequest, Unable
from labs.run import pcapng
from labs.run.evidence import give_to_owner_of, runs_folder
from labs.terminal.exits import os_error_text
from labs.terminal.screen import busy, make_console

PROFILE = Path(__file__).resolve().parent / "wireshark"
NAME = "LVS"  # of the profile, as Wireshark shows it
_PCAPS = "pcap"


def merged(lab: str = "") -> int:
    """Merge a run's captures; `lab` is the lab's name or its folder's. Raises LabError."""
    folder = _run(lab)
    target = folder / pcapng.FILE
    try:
        with busy("merging the captures"):
            interfaces, packets = pcapng.merge(folder / _PCAPS, target)
    except (ValueError, TypeError):
        raise Unable(f"{folder / _PCAPS / pcapng.ABOUT} is damaged: run the lab again.") from None
    except OSError as error:
        raise Unable(f"The captures could not be merged: {os_error_text(error)}.") from None
    give_to_owner_of(PROFILE.parents[2], target)
    console = make_console()
    console.print(f"Written: {target}", soft_wrap=True)
    console.print(f"{packets} packets, from {interfaces} interfaces, in chronological order.")
    console.print(f"To open it: {_command(target)}", soft_wrap=True, markup=False)
    return 0


def _run(lab: str) -> Path:
    """The newest run that has captures and is called `lab`. Raises BadRequest."""
    found = sorted(runs_folder().glob(f"*/{_PCAPS}/{pcapng.ABOUT}"), reverse=True)
    folders = [capture.parent.parent for capture in found]
    if not folders:
        raise BadRequest(f"{runs_folder()} contains no captures: run a lab first, such as ./inv lab-nat.")
    for folder in folders:
        if not lab or folder.name == lab or _lab_of(folder) in (lab, f"lab-{lab}", f"exercise-{lab}"):
            return folder
    names = dict.fromkeys(map(_lab_of, folders))
    raise BadRequest(f"--lab {lab!r}: no run of that name has captures; there are {', '.join(names)}.")


def _lab_of(folder: Path) -> str:
    """`lab-nat` of 20261128-090253-lab-nat."""
    return folder.name.split("-", 2)[-1]


def _command(target: Path) -> str:
    """The command that opens it; if necessary, it first copies the profile to Wireshark's folder."""
    profiles = Path("~/.config/wireshark/profiles").expanduser()
    opening = f"wireshark -C {NAME} {shlex.quote(str(target))}"
    if (profiles / NAME).is_dir():
        return opening
    there = shlex.quote(str(profiles))
    return f"mkdir -p {there} && cp -r {shlex.quote(str(PROFILE))} {there}/{NAME} && {opening}"
