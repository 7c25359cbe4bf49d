"""A rules file, loaded at the start and reloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from director.control.handler import RequestHandler
from director.core.director import Director
from director.core.packet import SYN, TCP, Endpoint, Packet
from director.engines.engine import Engine, EngineError
from director.ipvsadm import save_format
from director.rules_file import RulesFileError, load
from tests.unit.director.idle import Idle

RULES = """\
-A -t 203.0.113.1:21 -s wlc -p 300
-a -t 203.0.113.1:21 -r 172.16.0.3:21 -m -w 1
-A -t 203.0.113.1:80 -s wrr
-a -t 203.0.113.1:80 -r 172.16.0.2:80 -m -w 1
-a -t 203.0.113.1:80 -r 172.16.0.3:8000 -m -w 2
-A -f 7 -s sh -b sh-port
-a -f 7 -r 172.16.0.4:0 -g -w 1 -x 9
"""
WEB = Packet(TCP, Endpoint("198.51.100.101", 4000), Endpoint("203.0.113.1", 80), flags=SYN, length=40)


class Refusing(Idle):
    """An engine that refuses changes on request."""

    refuses = False

    def install_rules(self) -> None:
        if self.refuses:
            raise EngineError("no room.")


@pytest.fixture
def director() -> Director:
    return Director()


@pytest.fixture
def engine(director: Director) -> Refusing:
    return Refusing(director)


@pytest.fixture
def handler(director: Director, engine: Refusing) -> RequestHandler:
    return RequestHandler(director, cast(Engine, engine), lambda: 1.0, {"method": "NAT"})


def rules(handler: RequestHandler) -> set[str]:
    return set(save_format.text(handler({"do": "list"})["services"], numeric=True).splitlines())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = tmp_path / "rules"
    found.write_text(RULES)
    return found


def test_a_director_gets_its_rules_from_a_file(handler: RequestHandler, file: Path) -> None:
    assert load(file, handler) == f"The rules are those of {file}: services 3, real servers 4, changes 7."
    assert rules(handler) == set(RULES.splitlines())


def test_reloading_the_same_rules_changes_nothing(handler: RequestHandler, file: Path) -> None:
    load(file, handler)
    asked: list[Any] = []

    def ask(request: dict[str, Any]) -> dict[str, Any]:
        asked.append(request["do"])
        return handler(request)

    assert load(file, ask).endswith("changes 0.")
    assert asked == ["list"]


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        ("-m -w 2\n", "-m -w 5\n", 1),
        ("-s wrr\n", "-s lc\n", 1),
        ("-p 300", "-p 60 -M 255.255.255.0", 1),
        ("-a -f 7 -r 172.16.0.4:0 -g -w 1 -x 9\n", "", 1),
        ("-A -f 7 -s sh -b sh-port\n-a -f 7 -r 172.16.0.4:0 -g -w 1 -x 9\n", "", 1),
        ("-x 9\n", "-x 9\n-a -f 7 -r 172.16.0.5:0 -g -w 1\n-A -u 203.0.113.1:53 -s rr\n", 2),
        (RULES, "# nothing\n", 3),
    ],
)
def test_only_differences_are_applied(
    handler: RequestHandler, file: Path, before: str, after: str, changes: int
) -> None:
    load(file, handler)
    wanted = RULES.replace(before, after)
    assert wanted != RULES
    file.write_text(wanted)
    assert load(file, handler).endswith(f"changes {changes}.")
    assert rules(handler) == {line for line in wanted.splitlines() if not line.startswith("#")}


def test_connections_and_counters_go_on(handler: RequestHandler, director: Director, file: Path) -> None:
    load(file, handler)
    director.decide(WEB, 1.0)
    before = handler({"do": "connections"})["connections"]
    file.write_text(RULES.replace("-m -w 2\n", "-m -w 5\n"))
    load(file, handler)
    assert handler({"do": "connections"})["connections"] == before != []
    assert director.rules.find(WEB).stats.connections == 1  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("-A -t 203.0.113.1\n", "can't be understood: line 1: port 0"),
        (RULES + "-a -t\n", "can't be understood: line 8: "),
        ("\x00\xff\n", "can't be understood: line 1: "),
        ("-L\n", "line 1: -L lists rules and does not create any."),
        (RULES + "-Sn\n", "line 8: -S lists rules and does not create any."),
        (RULES + "-C\n", "lines with -A and -a only"),
        (RULES + RULES, "have TCP 203.0.113.1:21 twice."),
        (RULES + "-A -t 203.0.113.1:81 -s best\n", "are refused, and nothing has changed: "),
        (RULES + "-a -t 203.0.113.1:82 -r 172.16.0.2:82\n", "Service not defined: TCP 203.0.113.1:82."),
    ],
)
def test_a_file_that_makes_no_sense_changes_nothing(
    handler: RequestHandler, file: Path, text: str, says: str
) -> None:
    load(file, handler)
    file.write_text(text)
    with pytest.raises(RulesFileError) as refused:
        load(file, handler)
    assert str(refused.value).startswith(f"The rules in {file} ")
    assert says in str(refused.value)
    assert rules(handler) == set(RULES.splitlines())


def test_a_file_that_is_not_there(handler: RequestHandler, tmp_path: Path) -> None:
    for place, why in ((tmp_path / "none", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(RulesFileError, match=rf"^The rules in .* can't be read: {why}.*\.$"):
            load(place, handler)


def test_what_the_engine_refuses_changes_nothing(
    handler: RequestHandler, engine: Refusing, file: Path
) -> None:
    engine.refuses = True
    with pytest.raises(RulesFileError, match=r"are refused, and nothing has changed: no room\.$"):
        load(file, handler)
    assert rules(handler) == set()


def test_a_file_without_an_end_is_refused(handler: RequestHandler) -> None:
    with pytest.raises(RulesFileError, match="/dev/zero can't be understood: the input has more than 64 MiB"):
        load(Path("/dev/zero"), handler)
