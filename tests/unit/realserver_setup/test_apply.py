"""Applying a script: the interpreter gets all of it, and a failure is told in full."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

import pytest

from labs.wait import patient
from realserver_setup.apply import Result, apply, apply_all
from realserver_setup.errors import ScriptFailed
from realserver_setup.render import Script


class Fake:
    """A host that records commands and returns prepared results."""

    def __init__(self, name: str, answer: Result) -> None:
        self.name = name
        self.answer = answer
        self.asked: list[list[str]] = []

    def run(self, argv: Sequence[str], text: str | None = None) -> Result:
        assert text is None
        self.asked.append(list(argv))
        return self.answer


class ThisMachine:
    """A host that runs the commands."""

    name = "here"

    def run(self, argv: Sequence[str], text: str | None = None) -> Result:
        done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=patient(20))
        return Result(done.returncode, done.stdout, done.stderr)


def failure(text: str) -> ScriptFailed:
    with pytest.raises(ScriptFailed) as failed:
        apply(Script("rs1/realserver.sh", text), ThisMachine())
    return failed.value


def test_the_host_gets_the_script_and_its_name() -> None:
    host = Fake("rs1", Result(0, "out", "+ true\n"))
    assert apply(Script("rs1/x.sh", "#!/bin/sh\ntrue\n"), host) == host.answer
    assert host.asked == [["/bin/sh", "-exc", "#!/bin/sh\ntrue\n", "rs1/x.sh"]]


def test_the_failed_command_is_named_with_its_output() -> None:
    error = failure(
        "#!/bin/sh\necho before\nf() { echo 'no such device' >&2; return 7; }\nf rs1-eth0\necho after\n"
    )
    assert (error.host, error.script, error.exit_code) == ("here", "rs1/realserver.sh", 7)
    assert "no such device" in error.output
    assert "after" not in error.output
    assert "here: rs1/realserver.sh failed at `" in str(error)


def test_a_missing_command_is_named() -> None:
    error = failure("#!/bin/sh\nno-such-command --now\necho after\n")
    assert error.command == "no-such-command --now"
    assert error.exit_code == 127


def test_a_setting_that_the_kernel_lacks_is_named_by_its_line() -> None:
    error = failure("#!/bin/sh\ntrue\necho 1 > /proc/sys/net/no/such\necho after\n")
    assert error.command == "echo 1 > /proc/sys/net/no/such"


def test_the_message_of_a_script_that_exits_is_in_the_error() -> None:
    assert (
        failure("#!/bin/sh\necho rs1: there is no device. >&2\nexit 1\n").output == "rs1: there is no device."
    )


def test_many_hosts_keep_their_order_and_the_first_failure_is_raised() -> None:
    hosts = [Fake(f"rs{number}", Result(0, str(number), "")) for number in range(20)]
    script = Script("x.sh", "true\n")
    assert [result.stdout for result in apply_all((script, host) for host in hosts)] == [
        h.answer.stdout for h in hosts
    ]
    hosts[3].answer = Result(1, "", "+ true\n")
    with pytest.raises(ScriptFailed, match=r"^rs3: x\.sh failed at `true` with exit code 1: no output$"):
        apply_all((script, host) for host in hosts)
