"""What the doctor takes from a state: which of a host's processes is which program."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import availability
from doctor.queries import checks_of, program_of, takeover_of
from doctor.state import HostState, Process
from labs.wait import patient

BIN = Path(availability.__file__).parent / "bin"


@pytest.mark.parametrize(
    ("program", "find"),
    [("lvs-vrrp", takeover_of), ("lvs-heartbeat", takeover_of), ("lvs-monitor", checks_of)],
)
def test_a_program_is_known_by_the_command_line_that_starts_it(program: str, find: object) -> None:
    """The command line is that of the start script, which here runs `echo` as its Python."""
    variables = {"LVS_PYTHON": "/bin/echo", "PATH": "/usr/bin:/bin"}
    done = subprocess.run([BIN / program, "FILE"], env=variables, capture_output=True, timeout=patient(20))
    process = Process(7, f"python {done.stdout.decode()}", "S")
    others = (Process(8, "bash", "S"), Process(9, f"tail -f {program}.log", "S"))
    host = HostState("d1", "director", (), processes=(*others, process))
    assert callable(find)
    assert find(host) == [process]
    assert program_of(process) == program
