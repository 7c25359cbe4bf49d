"""The director's command line: settings, refusals and their messages."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any, cast

import pytest

from director import __main__ as command_line
from director import engines, process
from director.core.real_server import Method
from director.core.states import Timeouts
from director.core.sysctls import Sysctls
from director.engines import interfaces
from director.engines.engine import EngineError
from director.process import Settings
from labs.wait import patient


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """The settings of every director that would have been started."""
    settings: list[Settings] = []
    monkeypatch.setattr(command_line, "run", settings.append)
    monkeypatch.setattr(interfaces, "with_an_address", lambda: ["d-eth0", "d-eth1"])
    return settings


def test_defaults(started: list[Settings], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LVS_SOCKET", raising=False)
    assert command_line.main([]) == 0
    both = ("d-eth0", "d-eth1")
    expected = Settings(
        method=Method.NAT,
        scheduler="wrr",
        engine="scapy",
        short_cut=False,
        socket="/run/lvs-director.sock",
        events=None,
        conn_tab_bits=12,
        conn_limit=1 << 20,
        ftp_helper=True,
        sysctls=Sysctls(),
        timeouts=Timeouts(),
        interfaces=both,
    )
    assert started == [expected]


def test_the_socket_can_come_from_the_environment(
    started: list[Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LVS_SOCKET", "/tmp/d.sock")
    command_line.main(["--method", "tun", "d-eth1", "d-eth1"])
    assert (started[0].socket, started[0].method, started[0].interfaces) == (
        "/tmp/d.sock",
        Method.TUN,
        ("d-eth1",),
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--method", "teleport"], "--method"),
        (["--scheduler", "best"], "--scheduler"),
        (["--engine", "steam"], "--engine"),
        (["--conn-tab-bits", "many"], "--conn-tab-bits"),
        (["--verbose"], "--verbose"),
        (["--no-ftp-helper", "--engine", "ipvs"], "ip_vs_ftp"),
        (["--reload"], "--rules"),
    ],
)
@pytest.mark.usefixtures("started")
def test_bad_arguments_are_one_sentence(
    capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        command_line.main(arguments)
    error = capsys.readouterr().err
    assert (ended.value.code, error.count("\n")) == (2, 1)
    assert error.startswith("lvs-director: ")
    assert says in error


def test_the_ftp_helper_can_be_left_out(started: list[Settings]) -> None:
    command_line.main(["--no-ftp-helper"])
    assert started[0].ftp_helper is False


def test_sysctls_and_timeouts(started: list[Settings]) -> None:
    command_line.main(
        ["--sysctl", "net.ipv4.vs.sloppy_tcp=1", "--sysctl", "drop_entry=3", "--timeout", "SYN_RECV=9"]
    )
    assert (started[0].sysctls.sloppy_tcp, started[0].sysctls.drop_entry) == (1, 3)
    assert started[0].timeouts == Timeouts(syn_recv=9)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--sysctl", "nosuch=1"], "nosuch"),
        (["--sysctl", "drop_entry=4"], "drop_entry"),
        (["--sysctl", "sloppy_tcp"], "NAME=NUMBER"),
        (["--timeout", "asleep=1"], "asleep"),
        (["--timeout", "udp=0"], "timeout udp"),
    ],
)
def test_settings_that_make_no_sense(
    started: list[Settings], capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    assert command_line.main(arguments) == 2
    error = capsys.readouterr().err
    assert (error.count("\n"), started) == (1, [])
    assert says in error


def test_a_machine_that_cannot_do_it(
    monkeypatch: pytest.MonkeyPatch, started: list[Settings], capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(_settings: Settings) -> None:
        raise EngineError("nft is not installed.")

    monkeypatch.setattr(command_line, "run", refuse)
    assert command_line.main([]) == 2
    assert capsys.readouterr().err == "lvs-director: nft is not installed.\n"
    assert started == []


def test_no_interface_has_an_address(
    monkeypatch: pytest.MonkeyPatch, started: list[Settings], capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(interfaces, "with_an_address", list)
    with pytest.raises(SystemExit) as ended:
        command_line.main([])
    assert (ended.value.code, started) == (2, [])
    assert "no network interface has an address" in capsys.readouterr().err


def test_the_rules_to_start_with(started: list[Settings]) -> None:
    command_line.main(["--rules", "/etc/lvs.rules"])
    assert started[0].rules == Path("/etc/lvs.rules")


@pytest.mark.parametrize(
    ("file", "says"),
    [("rules", "no director listens on "), ("none", "can't be read: No such file or directory.")],
)
def test_a_reload_that_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str, says: str
) -> None:
    (tmp_path / "rules").write_text("")
    words = ["--reload", "--rules", str(tmp_path / file), "--socket", str(tmp_path / "nobody.sock")]
    assert command_line.main(words) == 2
    error = capsys.readouterr().err
    assert error.startswith("lvs-director: ")
    assert error.count("\n") == 1
    assert says in error


def test_engines_are_known_without_being_imported() -> None:
    assert "scapy" in engines.names()
    program = "import sys, director.engines; director.engines.names(); sys.exit('scapy' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=patient(60))


def test_internal_errors_are_counted_and_the_first_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    handler: Any = SimpleNamespace(internal_errors=0)
    for _ in range(2):
        try:
            raise KeyError("forgotten")
        except KeyError as error:
            process._note_error(handler, error)
    assert handler.internal_errors == 2
    output = capsys.readouterr().err
    assert output.startswith("lvs-director: Internal error (KeyError: 'forgotten', in ")
    assert output.count("\n") == 1


def test_rules_are_read_before_anything_is_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "kept_for_the_next_director", lambda *_: pytest.fail("too early"))
    (tmp_path / "rules").write_text("-A -t nonsense\n")
    assert command_line.main(["--rules", str(tmp_path / "rules"), "lo"]) == 2
    assert "nonsense" in capsys.readouterr().err


def test_whatever_fails_the_loop_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    """A descriptor's function, or what is done every second: it is counted, and the others are called."""
    signals: Any = SimpleNamespace(end=False)
    called: list[str] = []

    def failing(name: str) -> Any:
        def step(*_arguments: object) -> None:
            called.append(name)
            raise OSError(24, "Too many open files")

        return step

    def end() -> None:
        signals.end = True

    ready = [(SimpleNamespace(data=step), 1) for step in (failing("descriptor"), end)]
    selector: Any = SimpleNamespace(select=lambda _seconds: ready)
    director: Any = SimpleNamespace(tick=failing("director"))
    engine: Any = SimpleNamespace(sync_schedulers=failing("schedulers"), tick=failing("engine"))
    listener: Any = SimpleNamespace(
        busy=False, work=failing("work"), expire=failing("expire"), run_in_background=None
    )
    handler: Any = SimpleNamespace(internal_errors=0, tick=failing("handler"))
    process._loop(selector, signals, director, engine, listener, handler, lambda: 0.0)
    assert called == ["descriptor", "work", "schedulers", "director", "engine", "handler", "expire"]
    assert handler.internal_errors == len(called)
    assert capsys.readouterr().err.count("Too many open files") == 1


def test_a_reload_does_not_wait_for_a_fifo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    messages: SimpleQueue[str] = SimpleQueue()
    monkeypatch.setattr(process, "say", messages.put)
    rules = tmp_path / "rules"
    os.mkfifo(rules)
    process._reload(cast(Settings, SimpleNamespace(rules=rules, socket=str(tmp_path / "none"))))
    assert messages.get(timeout=patient(10)) == f"The rules were not reloaded: {rules} is not a regular file."


def test_a_reload_takes_no_interfaces(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        command_line.main(["--reload", "--rules", "rules", "eth0"])
    assert "--reload takes no interfaces" in capsys.readouterr().err
