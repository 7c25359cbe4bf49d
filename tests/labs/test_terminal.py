"""Interactive commands on a pseudo terminal, as a user sees them.

Labs are slow: the tests of the prompt share one, in this order.
"""

from __future__ import annotations

import fcntl
import os
import re
import signal
import struct
import sys
import termios
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from classroom.variants import variant_for
from labs.wait import poll_until
from tests.labs.support import processes_with
from tests.labs.terminal import END, GO_ON, HOLD, INTERRUPT, SUSPEND, Terminal

ROOT = Path(__file__).resolve().parents[2]
MARK = "LVS_TEST_MARK"
PROMPT, SHELL = "mininet> ", "S> "
UTF_8 = {"LC_ALL": "C.UTF-8", "PYTHONUTF8": "1"}
LATIN_1 = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "iso-8859-1:strict"}
DUMB = {"LC_ALL": "C", "PYTHONUTF8": "0", "TERM": "dumb"}
FRAME = "│|╭╮├┤╰╯+"


def inv(*words: str) -> list[str]:
    return [sys.executable, str(ROOT / "tasks.py"), "--search-root", str(ROOT), *words]


def assert_whole(rows: list[str], columns: int) -> None:
    """Every row of a table ends with its border, within the terminal."""
    framed = [row for row in rows if row and row[0] in FRAME]
    assert len(framed) > 3, rows
    assert not [row for row in framed if len(row) > columns or row[-1] not in FRAME]


@pytest.fixture(scope="module")
def word() -> str:
    """In the environment of all processes of the shared lab."""
    return uuid.uuid4().hex


@pytest.fixture(scope="module")
def lab(runs: Path, word: str) -> Iterator[Terminal]:
    """lab-dr at its prompt, started from a shell, on a terminal of 80 columns in UTF-8."""
    environment = {**UTF_8, "LVS_RUNS": str(runs), "PS1": SHELL, "HISTFILE": "", MARK: word}
    with Terminal(["bash", "--norc", "-i"], environment=environment, folder=ROOT) as terminal:
        terminal.expect(SHELL)
        terminal.line(" ".join(inv("lab-dr", "--cli")))
        terminal.expect(PROMPT)
        yield terminal


def test_a_lab_shows_its_progress_in_80_columns(lab: Terminal) -> None:
    assert "⠋" in lab.shown  # a step that moves
    assert "checks" in lab.shown
    assert "PASSED" in lab.shown
    assert_whole(lab.rows, 80)


def test_the_prompt_shows_what_commands_print(lab: Terminal) -> None:
    assert lab.ask("c1 echo one", PROMPT) == "one\n"
    assert "203.0.113.1:80 wrr" in lab.ask("d ipvsadm -Ln", PROMPT)
    assert "No such file" in lab.ask("c1 ls /nonexistent", PROMPT)


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("nosuch", "Unknown command: nosuch"),
        ("c1", "Please enter a command for node: c1"),
        ("py 1/0", "division by zero"),
        ("x c1 xclock", "In another terminal, ./inv shell c1 opens"),
        ("c1 ping c0", "c0 is a switch or controller"),
        ('c1 "', '*** c1 ": unexpected EOF while looking for matching `"\': type the whole command'),
        ("c1 echo \\", "*** c1 echo \\: it ends with a backslash"),
        ("c1 for n in 1 2; do", "syntax error: unexpected end of file"),
        (r"c1 echo x\\", "x\\"),
        ("source /bin/true", "not a text file"),
        ("source /nonexistent", "/nonexistent: No such file or directory.\n"),
        ("source", "usage: source"),
        ("pingpair", "0% dropped (2/2 received)"),
        ("pingall", "c1 -> c2 r0 d rs1"),
        ("iperf c1 d", "bits/sec"),
        ("iperf c1", "Name two hosts"),
        ("dpctl show", "(OF1.3)"),
        ("help", "exit or Ctrl-D ends the lab"),
        ("sh nosuch", "not found"),
        ("nodes", "c1 c2 d r0"),
        ("dump", "c1-eth0:198.51.100.101"),
        ("c1 exit", "To end the lab, type exit without a host."),
        (r"c1 printf 'a\377b\n'", "a\N{REPLACEMENT CHARACTER}b"),
        (r"c1 printf 'a\001b\177c'; echo", "a"),
        ("c1 stty size", "40 80"),
        ("c1 stty -a", "rows 40"),
    ],
)
def test_no_line_ends_the_lab(lab: Terminal, typed: str, message: str) -> None:
    assert message in lab.ask(typed, PROMPT)
    assert "fine\n" in lab.ask("c1 echo fine", PROMPT)


def test_a_command_gets_input_until_ctrl_d(lab: Terminal) -> None:
    lab.line("c1 echo ready; sed -u s/^/got:/; echo over")
    lab.expect("\nready\n")
    lab.line("word")
    lab.expect("got:word\n")
    lab.send(END)
    lab.expect("over\n")
    lab.expect(PROMPT)
    assert lab.ask("c1 echo fine", PROMPT) == "fine\n"


def test_pasted_lines_run_in_order(lab: Terminal) -> None:
    lab.send("c1 echo 1\rc2 echo 2\rrs1 echo 3\r")
    lab.expect("3\n3\n")
    lab.expect(PROMPT)


def test_ctrl_c_ends_the_command_and_nothing_else(lab: Terminal) -> None:
    lab.line("c1 ping 203.0.113.1")
    lab.expect("icmp_seq=2")
    lab.send(INTERRUPT)
    assert "statistics" in lab.expect(PROMPT)
    lab.send(INTERRUPT)
    assert "Interrupt" in lab.expect(PROMPT)
    assert "rs" in lab.ask("c1 curl -sS -m 30 http://203.0.113.1/name", PROMPT)  # they are alive
    # Open vSwitch reports it every five seconds only.
    connected = "ovs-vsctl -t 60 wait-until controller s1 is_connected=true && echo connected"
    assert "connected" in lab.ask(f"sh {connected}", PROMPT)


def test_ctrl_z_stops_the_lab_and_fg_continues_it(lab: Terminal, word: str, runs: Path) -> None:
    lab.send("c1 ech")
    lab.expect("c1 ech")  # Ctrl-Z discards unread output
    lab.send(SUSPEND)
    lab.expect("Stopped")
    lab.expect(SHELL)
    assert poll_until(lambda: running_of(word), lambda left: not left, 10) == []
    with Terminal(inv("shell", "c1"), environment={"LVS_RUNS": str(runs)}, folder=ROOT) as other:
        assert other.wait() == 2
        assert other.shown == "lab-dr is suspended: type fg in its terminal.\n"
    lab.line(" ".join(inv("doctor")))
    lab.expect("lab-dr is suspended")
    lab.expect(SHELL)
    lab.line("fg")
    lab.expect(f"{PROMPT}c1 ech")
    lab.send("o on")
    lab.line("")
    assert PROMPT not in lab.expect("\non\n")  # it was printed once
    lab.expect(PROMPT)
    lab.line("c1 ping 203.0.113.1")
    lab.expect("icmp_seq=2")
    lab.send(SUSPEND)
    lab.expect(SHELL)
    lab.line("fg")
    lab.expect("icmp_seq=")
    lab.send(INTERRUPT)
    lab.expect(PROMPT)
    assert "rs" in lab.ask("c1 curl -sS -m 30 http://203.0.113.1/name", PROMPT)


def test_a_lab_that_was_stopped_while_it_wrote_shows_its_prompt(lab: Terminal, word: str) -> None:
    """Its echo waits, as on a slow terminal, when SIGCONT comes."""
    (process, *_) = running_of(word)
    lab.send("c1 ech")
    lab.expect("c1 ech")
    lab.send(f"{HOLD}o")
    keyboard = os.open(f"/proc/{process.split()[0]}/fd/0", os.O_RDONLY | os.O_NOCTTY)
    unread = poll_until(
        lambda: struct.unpack("i", fcntl.ioctl(keyboard, termios.FIONREAD, bytes(4)))[0],
        lambda length: length == 0,
        10,
    )
    os.close(keyboard)
    assert unread == 0
    for running in running_of(word):
        os.kill(int(running.split()[0]), signal.SIGCONT)
    lab.send(GO_ON)
    lab.expect(f"{PROMPT}c1 echo")
    lab.line(" on")
    lab.expect("on\n")
    lab.expect(PROMPT)


def running_of(word: str) -> list[str]:
    """The lab's own processes, those of tasks.py, that are not stopped."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            mine = word.encode() in (process / "environ").read_bytes()
            mine = mine and b"tasks.py" in (process / "cmdline").read_bytes()
            state = (process / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if mine and state != "T":
            found.append(f"{process.name} {state}")
    return found


def test_hosts_know_the_current_size_of_the_window(lab: Terminal) -> None:
    lab.resize(120, 30)
    assert lab.ask("c1 stty size", PROMPT) == "30 120\n"
    lab.resize(80, 40)


def test_a_host_without_its_shell_is_reported(lab: Terminal) -> None:
    assert "shell of c2 has ended" in lab.ask("c2 kill -9 $$", PROMPT)
    assert "shell of c2 has ended" in lab.ask("c2 echo lost", PROMPT)
    assert lab.ask("c1 echo fine", PROMPT) == "fine\n"


def test_exit_ends_the_lab_with_its_code_and_leaves_nothing(lab: Terminal, word: str, runs: Path) -> None:
    assert [socket for socket in runs.glob("*/*") if socket.is_socket()]
    lab.ask("exit", SHELL)
    assert lab.ask("echo code $?", SHELL).strip() == "code 0"
    lab.line("exit")
    assert poll_until(lambda: processes_with(word), lambda left: not left, 10) == []
    assert [socket for socket in runs.glob("*/*") if socket.is_socket()] == []


@pytest.mark.parametrize(
    ("name", "columns", "environment", "encoding", "left", "code"),
    [
        ("lab-nat", 120, LATIN_1, "iso-8859-1", END, 0),
        ("lab-tun", 80, DUMB, "ascii", "px raise SystemExit(7)\r", 7),
    ],
)
def test_a_lab_on_an_ascii_terminal(
    name: str,
    columns: int,
    environment: dict[str, str],
    encoding: str,
    left: str,
    code: int,
    runs: Path,
    mark: str,
) -> None:
    environment = {**environment, "LVS_RUNS": str(runs), MARK: mark}
    with Terminal(
        inv(name, "--cli"), columns=columns, environment=environment, folder=ROOT, encoding=encoding
    ) as terminal:
        terminal.expect("done")
        terminal.resize(columns, 25)
        shown = terminal.expect(PROMPT)
        assert shown.isascii(), shown
        assert "PASSED" in shown
        assert_whole(terminal.rows, columns)
        assert terminal.ask(r"c1 printf 'K\303\244the\n'", PROMPT) in ("Käthe\n", "K?the\n")
        assert "\N{REPLACEMENT CHARACTER}" not in terminal.ask(r"c1 printf '\342\224\200\377\n'", PROMPT)
        terminal.send(left)
        assert terminal.wait() == code


def test_an_exercise_and_its_other_terminals(tmp_path: Path, mark: str) -> None:
    """The exercise in Latin-1, the others in turn; in a folder of runs without any other lab."""
    runs = tmp_path / "runs"

    def opened(*words: str, columns: int, **environment: str) -> Terminal:
        environment = {**environment, "LVS_RUNS": str(runs), MARK: mark}
        encoding = "iso-8859-1" if environment.get("PYTHONIOENCODING") else "utf-8"
        return Terminal(
            inv(*words), columns=columns, environment=environment, folder=tmp_path, encoding=encoding
        )

    variant = variant_for("e04", "ada")
    with opened("exercise", "e04", "--student", "ada", columns=80, **LATIN_1) as exercise:
        assert poll_until(lambda: list(runs.glob("*/control.sock")), bool, 60)
        with opened("check", columns=80, **UTF_8) as early:
            assert early.wait() == 1
            assert "NOT YET" in early.shown
        exercise.expect("has begun")
        message = exercise.expect(PROMPT)
        assert "Type commands for any host here, too" in message
        assert exercise.ask("c1 echo one", PROMPT) == "one\n"
        assert exercise.shown.isascii()
        assert [
            row for row in exercise.rows if len(row) > 80 and "./inv" not in row and str(runs) not in row
        ] == []
        for columns, environment in ((80, UTF_8), (120, DUMB)):
            with opened("check", columns=columns, **environment) as check:
                assert check.wait() == 1
                assert "NOT YET" in check.shown
                assert_whole(check.rows, columns)
        with opened("shell", variant.server, columns=80, **UTF_8) as shell:
            shell.expect(f"{variant.server}# ")
            assert f"{variant.server}-eth0" in shell.ask("ip -o address", f"{variant.server}# ")
            shell.line("ping 127.0.0.1")
            shell.expect("icmp_seq=2")
            shell.send(INTERRUPT)
            shell.expect(f"{variant.server}# ")
            shell.line("exit")
            shell.wait()
        for environment in (LATIN_1, DUMB):  # Ctrl-C between prompt and reading is lost in CPython
            with opened("submit", columns=80, **environment) as form:
                form.expect("Number or words: ")
                form.send(END)
                assert form.wait() == 2
                assert "Nothing was written" in form.shown
                assert "Traceback" not in form.shown
        assert not list(tmp_path.glob("*.lvs"))
        with opened("submit", columns=80, **UTF_8) as form:
            form.expect("Which host was it?")
            host = variant.server.encode()
            cause, back = (b"vip_mising", b"arp", b"does not have the vip"), b"b"
            for typed in (b"\xe4\xff", b"99", back, b"d", back, host, *cause, back, b"4", b"I don't know"):
                form.expect("Number or words")
                form.send_bytes(typed + b"\r")
            form.expect("The file will contain:")
            message = " ".join(form.expect("Enter writes it").split())
            shown = " ".join(form.shown.split())
            assert "'99' is none of these: type a number from 0 to" in shown
            assert "This is the first question" in shown
            assert "Did you mean vip_missing?" in shown
            assert re.search(r"'arp' matches [2-9] words", shown)
            for part in ("student ada", "class none", "1 of 3 pass now", f"host {variant.server}", "file /"):
                assert part in message
            assert "cause vip_missing (a real server does not have the VIP)" in message
            assert "evidence I don't know" in message
            assert "PRACTICE KEY" in message
            assert not list(tmp_path.glob("*.lvs"))
            form.line("")
            assert form.wait() == 0
            assert [row for row in form.rows if len(row) > 80 and str(tmp_path) not in row] == []
        assert list(tmp_path.glob("*.lvs"))
        with opened("check", "--lab", "e99", columns=80, **UTF_8) as check:
            assert check.wait() == 2
            assert check.shown.startswith("No exercise called 'e99' is running; running: e04 of ada.\n")
        with opened("shell", "c1", columns=80, **UTF_8) as shell:
            shell.expect("c1# ")
            exercise.close()
            shell.expect("e04 of ada has ended; you are back on your own machine.\n")
            assert shell.wait() == 1
        assert poll_until(lambda: processes_with(mark), lambda left: not left, 10) == []


def test_ctrl_c_while_a_lab_is_built_leaves_nothing(runs: Path, mark: str) -> None:
    environment = {**UTF_8, "LVS_RUNS": str(runs), MARK: mark}
    with Terminal(inv("lab-dr"), environment=environment, folder=ROOT) as terminal:
        terminal.expect("done")
        terminal.resize(60, 20)
        terminal.send(INTERRUPT)
        assert terminal.wait() == 130
        assert "Interrupted" in terminal.shown
        assert "Traceback" not in terminal.shown


@pytest.mark.parametrize(
    ("command", "columns", "environment"),
    [("exercises", 80, UTF_8), ("diagnosis", 80, LATIN_1), ("exercises", 120, DUMB)],
)
def test_tables_fit_any_terminal(command: str, columns: int, environment: dict[str, str]) -> None:
    with Terminal(inv(command), columns=columns, environment=environment, folder=ROOT) as terminal:
        assert terminal.wait() == 0
        assert_whole(terminal.rows, columns)
        assert environment is UTF_8 or terminal.shown.isascii()
