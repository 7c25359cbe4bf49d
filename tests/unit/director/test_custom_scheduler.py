"""Custom schedulers: used like any other, and harmless when wrong."""

from __future__ import annotations

import gc
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from director import __main__ as command_line
from director import custom_scheduler
from director.core import schedulers
from director.core.commands import AddService, EditService, ServiceKey
from director.core.decision import Forward, Reject
from director.core.director import Director
from director.core.errors import BadValue, SchedulerFailed, UnknownScheduler
from director.core.events import Event
from director.core.packet import TCP, Endpoint
from director.core.real_server import Method, RealServer
from director.process import Settings
from labs.wait import patient, poll_until
from tests.unit.director.core.support import RS1, RS2, WEB, client, published, rules, tcp

FIRST = """\
class Scheduler:
    def pick(self, servers, packet, now):
        return servers[0], "first: the first"

    def changed(self, servers):
        pass
"""
PICK = """\
class Scheduler:
    def pick(self, servers, packet, now):
        {}

    def changed(self, servers): pass
"""
ROOT = Path(custom_scheduler.__file__).parents[1]
KILLED = """
import sys
from pathlib import Path
from director.custom_scheduler import CustomScheduler
scheduler = CustomScheduler(Path(sys.argv[1]))
scheduler._process._extra_time = 100.0
print(scheduler._process._runner[0], flush=True)
scheduler.changed([])
"""
FULL = """
import sys
from pathlib import Path
from director.custom_scheduler import CustomScheduler
from tests.unit.director.test_custom_scheduler import PACKET, new_server
scheduler, server = CustomScheduler(Path(sys.argv[1])), new_server()
for _ in range(50):
    assert scheduler.pick([server], PACKET, 0.0)
"""
KEY = ServiceKey(TCP, WEB)
OTHER = WEB._replace(port=81)
PACKET = tcp(client(1), WEB)


@pytest.fixture(autouse=True)
def _only_built_in() -> Iterator[None]:
    yield
    schedulers._registered.clear()
    schedulers.names.cache_clear()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "first.py"
    file.write_text(FIRST)
    return file


def with_scheduler(file: Path, text: str, events: list[Event] | None = None) -> Director:
    """A director whose web service uses the file with this text."""
    file.write_text(text)
    custom_scheduler.add(file)
    director = Director(on_event=events.append if events is not None else None)
    director.apply([AddService(KEY, scheduler="first"), *rules(WEB, (RS1, 1), (RS2, 1))], 0.0)
    return director


def made(file: Path, text: str) -> custom_scheduler.CustomScheduler:
    file.write_text(text)
    return custom_scheduler.CustomScheduler(file)


def process_of(director: Director) -> custom_scheduler._Process:
    scheduler = next(service.scheduler for service in director.rules if service.key == KEY)
    assert isinstance(scheduler, custom_scheduler.CustomScheduler)
    return scheduler._process


def has_ended(stat: Path) -> bool:
    try:
        return ") Z " in stat.read_text()
    except OSError:
        return True


def new_server() -> RealServer:
    return RealServer(Endpoint("172.16.0.9", 80), 1, Method.NAT)


def complaint(file: Path, text: str) -> str:
    """Why the first connection is refused."""
    answer = with_scheduler(file, text).decide(tcp(client(1), WEB), 1.0)
    assert isinstance(answer, Reject)
    return "; ".join(answer.reasons)


def test_it_is_a_scheduler_name(file: Path) -> None:
    custom_scheduler.add(file)
    assert "first" in schedulers.names()
    assert "rr" in schedulers.names()


def test_it_picks(file: Path) -> None:
    decision = with_scheduler(file, FIRST).decide(tcp(client(1), WEB), 1.0)
    assert isinstance(decision, Forward)
    assert decision.destination == RS2  # the newest is the first of the list
    assert "first: the first" in decision.reasons


def test_it_is_loaded_anew_for_each_service_that_selects_it(file: Path) -> None:
    director = with_scheduler(file, FIRST)
    file.write_text(FIRST.replace("servers[0]", "servers[1]"))
    assert director.decide(tcp(client(1), WEB), 1.0).destination == RS2  # type: ignore[union-attr]
    director.apply([EditService(KEY, scheduler="rr")], 1.0)
    director.apply([EditService(KEY, scheduler="first")], 1.0)
    assert director.decide(tcp(client(2), WEB), 1.0).destination == RS1  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("import os\nos._exit(3)\n", "its process has ended (exit code 3)."),
        ("class Scheduler\n", "line 1: SyntaxError"),
        ("import math\n\nmath.pi.nothing\n", "line 3: AttributeError"),
        ("while True:\n    pass\n", "it did not finish within"),
        ("x = 1\n", "it defines no class Scheduler"),
        ("class Scheduler:\n    pass\n", "no method pick"),
        ("class Scheduler:\n    def __init__(self, more): pass\n", "TypeError"),
        ("raise SystemExit(3)\n", "line 1: SystemExit: 3"),
        ("\0", "SyntaxError" if sys.version_info >= (3, 12) else "ValueError"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_its_line(file: Path, text: str, says: str) -> None:
    director = published()
    custom_scheduler.add(file)
    file.write_text(text)
    with pytest.raises(SchedulerFailed) as refused:
        director.apply([EditService(KEY, scheduler="first")], 1.0)
    sentence = str(refused.value)
    assert says in sentence
    assert sentence.startswith(f"scheduler first: {file}")
    assert "\n" not in sentence
    assert "new connections are refused" not in sentence
    assert isinstance(director.decide(tcp(client(1), WEB), 1.0), Forward)  # with the scheduler that it had


def test_a_file_that_is_gone(file: Path) -> None:
    custom_scheduler.add(file)
    file.unlink()
    with pytest.raises(SchedulerFailed, match="No such file"):
        schedulers.make("first")


@pytest.mark.parametrize(
    ("pick", "says"),
    [
        ("return 1 // 0", "line 3: ZeroDivisionError"),
        ("while True: pass", "line 3: it did not finish within"),
        ("return servers[0]", r"expected None or (server, why)"),
        ("return servers[0], 7", r"expected None or (server, why)"),
        ("return packet, 'why'", "an available server of the list"),
        ("servers.clear()", "line 3: AttributeError"),
        ("import sys; sys.exit()", "line 3: SystemExit"),
    ],
)
def test_a_failure_refuses_the_connection_and_says_where(file: Path, pick: str, says: str) -> None:
    assert says in complaint(file, PICK.format(pick))


def test_an_endless_loop_that_catches_every_exception_is_stopped(file: Path) -> None:
    loop = "while True:\n            try: pass\n            except Exception: pass"
    assert "it did not finish within" in complaint(file, PICK.format(loop))


def test_a_server_that_is_not_available_is_not_taken(file: Path) -> None:
    director = with_scheduler(file, FIRST)
    director.apply(rules(WEB, (RS1._replace(port=81), 0)), 1.0)
    answer = director.decide(tcp(client(1), WEB), 1.0)
    assert isinstance(answer, Reject)
    assert f"got {RS1.address}:81" in answer.reasons[0]


def test_a_failure_is_an_event(file: Path) -> None:
    events: list[Event] = []
    with_scheduler(file, PICK.format("return 1 // 0"), events).decide(tcp(client(1), WEB), 1.0)
    assert [event.kind for event in events][-1] == "rejected"
    assert "ZeroDivisionError" in events[-1].data["why"]


def test_the_director_goes_on(file: Path) -> None:
    """It serves other services, and this one as soon as a pick works."""
    director = with_scheduler(
        file, PICK.format("return (servers[0], '') if packet.source.port > 1 else 1 // 0")
    )
    assert isinstance(director.decide(tcp(client(1), WEB), 1.0), Reject)
    assert isinstance(director.decide(tcp(client(2), WEB), 1.0), Forward)


def test_a_failure_after_a_rule_change_is_reported_with_the_next_connection(file: Path) -> None:
    text = FIRST.replace("pass", "assert len(servers) < 3")
    director = with_scheduler(file, text)
    director.apply(rules(WEB, (RS1._replace(port=81), 1)), 1.0)  # it is carried out
    answer = director.decide(tcp(client(1), WEB), 1.0)
    assert isinstance(answer, Reject)
    assert "line 6: AssertionError" in answer.reasons[0]


def test_a_dry_run_works_on_a_copy_of_its_state(file: Path) -> None:
    text = PICK.format("self.turn = getattr(self, 'turn', -1) + 1; return servers[self.turn % 2], 'turn'")
    director = with_scheduler(file, text)
    observed = [director.dry_run(tcp(client(1), WEB), 1.0)[0].destination for _ in range(2)]  # type: ignore[union-attr]
    assert observed == [RS2, RS2]
    assert director.decide(tcp(client(1), WEB), 1.0).destination == RS2  # type: ignore[union-attr]


def test_state_that_cannot_be_copied_is_reported(file: Path) -> None:
    text = PICK.format("self.turns = (x for x in servers); return servers[0], ''")
    director = with_scheduler(file, text)
    director.decide(tcp(client(1), WEB), 1.0)
    with pytest.raises(SchedulerFailed, match="generator"):
        director.dry_run(tcp(client(2), WEB), 1.0)


HANGS = [
    "sum(iter(int, 1))",
    "exec('while True: pass')",
    "import time; time.sleep(100)",
    "import sys; sys.settrace(None)\n        while True: pass",
    "import os, signal; signal.signal(signal.SIGUSR1, signal.SIG_IGN); signal.pause()",
]
ENDS = [
    ("import os; os._exit(3)", "its process has ended (exit code 3)"),
    ("import os; os.kill(os.getppid(), 9); os._exit(4)", "its process has ended (exit code 4)"),
    ("import ctypes; ctypes.string_at(0)", "its process was killed (SIGSEGV)"),
    ("import os; os.closerange(3, 100); return servers[0], ''", "its process"),
    (
        "import os; [os.write(n, b'x\\n') for n in range(3, 9) if os.path.exists(f'/proc/self/fd/{n}')]",
        "sent something other than an answer",
    ),
]


def refusals(director: Director, ports: Iterable[int]) -> list[str]:
    """Why these connections are refused, while another service is served."""
    answers = []
    for port in ports:
        answer = director.decide(tcp(client(port), WEB), 1.0)
        assert isinstance(answer, Reject)
        answers.append("; ".join(answer.reasons))
        assert isinstance(director.decide(tcp(client(port), OTHER), 1.0), Forward)
    return answers


def with_another_service(file: Path, text: str) -> Director:
    director = with_scheduler(file, text)
    director.apply([AddService(ServiceKey(TCP, OTHER)), *rules(OTHER, (RS1, 1))], 0.0)
    return director


@pytest.mark.parametrize("pick", HANGS)
def test_it_cannot_block_the_director(file: Path, pick: str) -> None:
    """The director waits once, however many connections come; the line is reported if it is known."""
    director = with_another_service(file, PICK.format(pick))
    process_of(director)._extra_time = 0.3
    began = time.monotonic()
    first, *later = refusals(director, range(1001, 1012))
    assert time.monotonic() - began < patient(2)
    where = f"{file}: " if "SIG_IGN" in pick else f"{file}, line "
    assert first.startswith(f"scheduler first: {where}")
    assert "it did not finish within 0.32 s; new connections are refused until ipvsadm -E" in first
    assert set(later) == {first}
    assert isinstance(director.dry_run(tcp(client(1), OTHER), 1.0)[0], Forward)
    assert first in director.dry_run(tcp(client(3000), WEB), 1.0)[0].reasons
    director.apply([EditService(KEY, scheduler="rr")], 2.0)
    assert isinstance(director.decide(tcp(client(2000), WEB), 2.0), Forward)


@pytest.mark.parametrize(("pick", "says"), ENDS)
def test_it_cannot_end_the_director(file: Path, pick: str, says: str) -> None:
    first, later = refusals(with_another_service(file, PICK.format(pick)), range(1, 3))
    assert says in first
    assert later == first
    assert "\n" not in first


def test_a_file_that_hangs_when_it_is_read_is_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    director = published()
    custom_scheduler.add(file)
    file.write_text("import time\ntime.sleep(100)\n")
    monkeypatch.setattr(custom_scheduler, "_EXTRA_TIME", 0.5)
    with pytest.raises(SchedulerFailed, match=r"line 2: it did not finish within 0\.52 s\.$"):
        director.apply([EditService(KEY, scheduler="first")], 1.0)
    assert isinstance(director.decide(tcp(client(1), WEB), 1.0), Forward)


@pytest.mark.parametrize("pick", ["[0] * 10**9", "self.more = [bytes(2**20) for _ in range(10**6)]"])
def test_its_memory_is_limited(file: Path, pick: str) -> None:
    first, later = refusals(with_another_service(file, PICK.format(pick)), range(1, 3))
    assert first == later == f"scheduler first: {file}, line 3: MemoryError."


def test_prints_are_passed_on_and_cut_off_when_they_are_too_many(
    file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The director's output may be a file, and the limit on file sizes must not end the call."""
    scheduler = made(file, PICK.format("print(packet.source.port, 'x' * 9999); return servers[0], 'printed'"))
    server = new_server()
    for port in range(150):
        picked = scheduler.pick([server], tcp(client(port), WEB), 1.0)
        assert picked is not None
        assert picked[1] == "printed"
    del scheduler
    gc.collect()  # the process has ended, and all of its output is there
    printed, complaint = capfd.readouterr()
    assert printed.startswith(f"0 {'x' * 9999}\n1 xxx")
    assert 2**18 <= len(printed) < 2**19
    assert complaint == "\nscheduler first: it prints too much; the rest is not shown.\n"


def test_output_without_a_reader_is_dropped(file: Path) -> None:
    """The director's output is a full pipe."""
    file.write_text(PICK.format("print('x' * 9999); return servers[0], ''"))
    with subprocess.Popen(
        [sys.executable, "-c", FULL, str(file)], cwd=ROOT, stdout=subprocess.PIPE
    ) as process:
        assert process.wait(patient(20)) == 0


def test_what_it_leaves_running_ends_with_it(file: Path) -> None:
    """A child process, in the PID namespace that ends with it."""
    text = PICK.format("import os, time; os.fork() or time.sleep(100); return servers[0], str(os.getpid())")
    scheduler = made(file, text)
    process = scheduler._process
    keeper, runner = process._keeper, process._runner[0]
    with suppress(SchedulerFailed):  # where the limit on processes holds
        scheduler.pick([new_server()], PACKET, 0.0)
    del scheduler, process
    gc.collect()
    assert keeper.returncode is not None
    assert not Path(f"/proc/{runner}").exists()


def test_it_ends_with_a_director_that_is_killed(file: Path) -> None:
    """Even in the middle of a call that never ends."""
    file.write_text(FIRST.replace("pass", "import time; time.sleep(100)"))
    command = [sys.executable, "-c", KILLED, str(file)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as director:
        assert director.stdout is not None
        runner = Path("/proc") / director.stdout.readline().strip() / "stat"
        assert runner.exists()
        director.kill()
    assert poll_until(lambda: has_ended(runner), bool, 10)


def test_it_goes_when_the_service_has_another_scheduler(file: Path) -> None:
    director = with_scheduler(file, FIRST)
    keeper = process_of(director)._keeper
    assert keeper.poll() is None
    director.apply([EditService(KEY, scheduler="rr")], 1.0)
    director.tick(2.0)
    director.apply([EditService(KEY, scheduler="wrr")], 2.0)
    gc.collect()
    assert keeper.poll() is not None


def test_it_sees_what_a_built_in_one_sees(file: Path) -> None:
    """Servers keep their identity from call to call and are up to date; so is the packet."""
    expression = "f'{servers[0].active} {servers[0].stats.connections} {servers[0].method.name} '"
    more = "f'{packet.source} {packet.payload!r} {now} {servers[0] in self.known}'"
    text = PICK.format(f"return servers[0], {expression} + {more}").replace(
        "def changed(self, servers): pass", "def changed(self, servers): self.known = set(servers)"
    )
    scheduler, server = made(file, text), new_server()
    scheduler.changed([server])
    server.active, server.stats.connections = 7, 9
    picked = scheduler.pick([server], replace(PACKET, payload=bytes(range(250, 256))), 5.5)
    assert picked is not None
    assert picked[0] is server
    assert picked[1] == f"7 9 NAT {PACKET.source} {bytes(range(250, 256))!r} 5.5 True"


@pytest.mark.parametrize("name", ["rr.py", "9.py", "a-b.py", "sixteen_letters_.py"])
def test_an_unsuitable_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(FIRST)
    with pytest.raises(BadValue, match="scheduler file: expected a new name"):
        custom_scheduler.add(tmp_path / name)


def test_the_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(BadValue, match="an existing file"):
        custom_scheduler.add(tmp_path / "none.py")


def test_it_knows_no_flags(file: Path) -> None:
    custom_scheduler.add(file)
    with pytest.raises(BadValue, match="none at all"):
        schedulers.make("first", ("first-port",))
    with pytest.raises(UnknownScheduler):
        schedulers.make("second")


def test_the_command_line(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started: list[Settings] = []
    monkeypatch.setattr(command_line, "run", started.append)
    assert command_line.main(["--scheduler-file", str(file), "lo"]) == 0
    assert [settings.scheduler_file for settings in started] == [file]
    with pytest.raises(SystemExit):
        command_line.main(["--scheduler-file", str(file), "--engine", "ipvs", "lo"])
    assert "--scheduler-file" in capsys.readouterr().err
