"""The monitor's rules on a director: added, changed, restored; a director that refuses them or is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from availability.config import config_reader
from availability.monitor import from_rules
from availability.monitor.monitored_rules import (
    DirectorLost,
    Rules,
    RulesError,
    name_of,
    persistence_taken_away,
)
from availability.monitor.pool import Member, Pool
from director.control.channel import ChannelError, Message
from director.ipvsadm import save_format
from tests.unit.director.ipvsadm.support import Table

Fields = dict[str, Any]
WEB = {"protocol": "TCP", "address": "203.0.113.1:80"}
SERVICE: Fields = {
    "command": "AddService",
    "key": WEB,
    "scheduler": "rr",
    "flags": [],
    "persistent": 0,
    "netmask": "255.255.255.255",
    "one_packet": False,
}


def server(number: int, weight: int = 1) -> Fields:
    return {
        "command": "AddServer",
        "key": WEB,
        "server": f"192.0.2.{number}:80",
        "method": "NAT",
        "weight": weight,
        "upper": 0,
        "lower": 0,
    }


TWO = [SERVICE, server(2), server(3, 2)]
NAMES = [name_of(rule) for rule in TWO]


RULES = """\
-A -t 203.0.113.1:21 -s wlc -p 300
-a -t 203.0.113.1:21 -r 172.16.0.3:21 -m -w 1
-A -t 203.0.113.1:80 -s sh -b sh-port
-a -t 203.0.113.1:80 -r 172.16.0.2:80 -m -w 1
-a -t 203.0.113.1:80 -r 172.16.0.3:8000 -m -w 2 -x 9 -y 5
-A -u 203.0.113.1:53 -s rr -o
-a -u 203.0.113.1:53 -r 172.16.0.4:53 -i -w 1
-a -u 203.0.113.1:53 -r 172.16.0.5:54 -m -w 1
-A -f 7 -s wlc -p 100 -M 255.255.255.0
-a -f 7 -r 172.16.0.4:0 -g -w 1
"""


class Director(Table):
    """A director that can be lost."""

    lost = False

    def call(self, path: str, request: Message) -> Message:
        if self.lost:
            raise ChannelError("no answer", ConnectionRefusedError())
        return super().call(path, request)

    def lines(self) -> list[str]:
        return save_format.text(self.services, numeric=True).splitlines()

    def do(self, *lines: str) -> None:
        self.call("", {"do": "apply", "commands": save_format.read("\n".join(lines))})


@pytest.fixture
def director() -> Director:
    return Director()


@pytest.fixture
def rules(director: Director) -> Rules:
    made = Rules("socket", director.call)
    made.claim(NAMES)
    return made


def test_what_is_missing_is_added_and_what_is_there_left_alone(director: Director, rules: Rules) -> None:
    assert rules.apply(TWO) == 3
    assert director.lines() == [
        "-A -t 203.0.113.1:80 -s rr",
        "-a -t 203.0.113.1:80 -r 192.0.2.2:80 -m -w 1",
        "-a -t 203.0.113.1:80 -r 192.0.2.3:80 -m -w 2",
    ]
    assert rules.apply(TWO) == 0


def test_a_change_is_the_difference(director: Director, rules: Rules) -> None:
    rules.apply(TWO)
    director.requests.clear()
    assert rules.apply([SERVICE, server(2, 0)]) == 2
    (request,) = director.requests
    assert [command["command"] for command in request["commands"]] == ["DeleteServer", "EditServer"]


def test_other_services_and_servers_stay(director: Director) -> None:
    others = [
        "-A -t 203.0.113.9:25 -s wlc",
        "-A -t 203.0.113.1:80 -s wrr",
        "-a -t 203.0.113.1:80 -r 192.0.2.9 -m",
    ]
    director.do(*others, "-a -t 203.0.113.1:80 -r 192.0.2.3 -m -w 7")
    before = director.lines()
    rules = Rules("socket", director.call)
    rules.claim(NAMES)
    rules.apply(TWO)
    assert "-a -t 203.0.113.1:80 -r 192.0.2.9:80 -m -w 1" in director.lines()
    assert "-a -t 203.0.113.1:80 -r 192.0.2.3:80 -m -w 2" in director.lines()
    rules.apply([SERVICE, server(2)])
    rules.release()
    assert sorted(director.lines()) == sorted(before)


def test_at_the_end_nothing_is_left(director: Director, rules: Rules) -> None:
    rules.apply(TWO)
    rules.release()
    assert director.lines() == []


def test_a_change_by_someone_else_is_found_out_when_it_matters(director: Director, rules: Rules) -> None:
    rules.apply(TWO)
    director.do("-d -t 203.0.113.1:80 -r 192.0.2.3")
    assert not rules.are_lost()
    rules.apply([SERVICE, server(2), server(3, 0)])
    assert director.lines()[-1] == "-a -t 203.0.113.1:80 -r 192.0.2.3:80 -m -w 0"


def test_a_director_that_was_started_again_gets_everything(director: Director, rules: Rules) -> None:
    rules.apply(TWO)
    director.clear()
    assert rules.are_lost()
    assert rules.apply(TWO) == 3


def test_a_refusal_changes_nothing(director: Director, rules: Rules) -> None:
    wrong = [{**SERVICE, "scheduler": "no"}, server(2)]
    with pytest.raises(RulesError, match=r"^the director refuses the rules, and nothing has changed: .*'?no"):
        rules.apply(wrong)
    assert director.lines() == []


def test_flush_begins_without_rules(director: Director) -> None:
    director.do("-A -t 203.0.113.9:25 -s wlc")
    rules = Rules("socket", director.call)
    rules.claim(NAMES)
    rules.apply(TWO, [{"command": "Clear"}])
    assert len(director.lines()) == 3


def test_a_director_that_is_lost_is_a_sentence(director: Director, rules: Rules) -> None:
    director.lost = True
    with pytest.raises(DirectorLost, match=r"^no director listens on socket: start one with lvs-director"):
        rules.apply(TWO)
    director.lost = False
    assert rules.apply(TWO) == 3


def test_a_file_for_the_rules_that_exist_asks_for_the_same_rules(director: Director, tmp_path: Path) -> None:
    director.do(*RULES.splitlines())
    file = tmp_path / "keepalived.conf"
    file.write_text(from_rules.text(director.services))
    before = director.lines()
    configuration = config_reader.load(file)
    pools = [
        Pool(virtual, [Member(real, []) for real in virtual.servers]) for virtual in configuration.servers
    ]
    rules = Rules("socket", director.call)
    rules.claim((*key.values(), server) for pool in pools for key, server in pool.names())
    assert rules.apply([rule for pool in pools for rule in pool.rules()]) == 0
    assert director.lines() == before
    assert [
        [check.kind for real in virtual.servers for check in real.checks] for virtual in configuration.servers
    ] == [
        ["TCP_CHECK"],
        ["HTTP_GET", "HTTP_GET"],
        ["UDP_CHECK", "DNS_CHECK"],
        ["PING_CHECK"],
    ]


@pytest.mark.parametrize(
    ("rule", "method", "more", "warns"),
    [
        ("-A -t 203.0.113.1:21 -p 300", "DR", "", True),
        ("-A -t 203.0.113.1:21 -p 300", "TUN", "", True),
        ("-A -t 203.0.113.1:21 -p 300", "NAT", "", False),
        ("-A -t 203.0.113.1:21 -p 300", "DR", "persistence_timeout 60", False),
        ("-A -t 203.0.113.1:21", "DR", "", False),
        ("-A -t 203.0.113.9:21 -p 300", "DR", "", False),
    ],
)
def test_ftp_that_loses_its_persistence_is_told(
    director: Director, tmp_path: Path, rule: str, method: str, more: str, warns: bool
) -> None:
    director.do(rule)
    file = tmp_path / "keepalived.conf"
    file.write_text(
        f"\nvirtual_server 203.0.113.1 21 {{\n protocol TCP\n lvs_method {method}\n {more}\n"
        " real_server 192.0.2.2 21 {\n }\n}\n"
    )
    servers = config_reader.load(file).servers
    existing = Rules("socket", director.call).claim((*key.values(), "") for key in servers[0].keys)
    sentence = (
        f"{file}:2: 203.0.113.1:21 loses its persistence, and ftp clients their data connections: "
        "add persistence_timeout 300."
    )
    assert list(persistence_taken_away(servers, existing)) == ([sentence] if warns else [])
