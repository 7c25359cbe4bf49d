"""start.py PROGRAM ARGUMENT...: runs a program of this checkout (start.sh chooses the Python).

A Python that is too old for the rest can still run this file, and says so.
Exit codes: the program's own; 2, with one sentence, if this Python can't run it.
"""

import importlib
import os
import sys

OLDEST = (3, 10)
PROGRAMS = {
    "lvs-director": "director.__main__",
    "lvs-explain": "director.explain",
    "lvs-vrrp": "availability.vrrp.process",
    "lvs-heartbeat": "availability.heartbeat.beating",
}


def main(program: str) -> int:
    here = os.path.dirname(os.path.realpath(__file__))
    checkout = os.path.dirname(os.path.dirname(here))
    if sys.version_info < OLDEST:
        needed, found = (".".join(map(str, version[:2])) for version in (OLDEST, sys.version_info))
        return refuse(program, f"Python {needed} or later is needed, and {sys.executable} is {found}")
    sys.path[:] = [checkout, *(folder for folder in sys.path if folder != here)]
    try:
        code: int = importlib.import_module(PROGRAMS[program]).main(sys.argv[2:])
    except ModuleNotFoundError as missing:
        return refuse(program, f"{sys.executable} lacks the package {missing.name}: run {checkout}/inv once")
    except KeyboardInterrupt:
        return 130
    return code


def refuse(program: str, sentence: str) -> int:
    sys.stderr.write(f"{program}: {sentence}, or name another Python in LVS_PYTHON.\n")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
