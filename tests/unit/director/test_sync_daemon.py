"""Synchronisation daemons as administrators see them: what is checked, started, listed and stopped."""

from __future__ import annotations

import socket
import struct
from errno import ENOSPC
from selectors import DefaultSelector
from typing import Any, cast

import pytest

from director.control.handler import RequestHandler
from director.core import sync_protocol
from director.core.errors import BadValue, LvsError
from director.core.sync_protocol import DaemonConfig
from director.core.transaction import exhaust
from director.engines.engine import EngineError
from director.engines.ipvs.daemons import KernelDaemons, parse
from director.ipvsadm import arguments, listing, requests
from director.sync_daemon import SyncDaemons
from tests.unit.director.core.support import published
from tests.unit.director.idle import Idle

LISTED = """\
master sync daemon (mcast=eth1, syncid=7, maxlen=1472, group=224.0.0.81, port=8848, ttl=1)
backup sync daemon (mcast=eth2, syncid=0, maxlen=9000, group=224.0.0.82, port=9000, ttl=2)
"""
MASTER = DaemonConfig("master", "eth1", 7, 1472)
BACKUP = DaemonConfig("backup", "eth2", 0, 9000, "224.0.0.82", 9000, 2)


class Daemons:
    """Keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def start(self, config: DaemonConfig) -> None:
        self.told.append(config)

    def stop(self, role: str) -> None:
        self.told.append(role)

    def running(self) -> list[dict[str, Any]]:
        return [{"role": "master", "counters": {"messages": 5}}]

    def tick(self, now: float) -> None:
        self.told.append(now)

    def close(self) -> None:
        self.told.append("closed")


def handler_with(daemons: Daemons) -> RequestHandler:
    director = published()
    engine: Any = Idle(director)
    handler = RequestHandler(director, engine, lambda: 0.0, {})
    handler.open_daemons = lambda: daemons
    return handler


def request(words: str) -> dict[str, Any]:
    return requests.daemon(arguments.parse(words.split()))


def test_a_line_of_ipvsadm_becomes_a_daemon() -> None:
    daemons = Daemons()
    handler = handler_with(daemons)
    assert handler(request("--start-daemon master")) == {"ok": True}
    words = (
        "--start-daemon backup --mcast-interface eth2 --syncid 0 --sync-maxlen 9000 "
        "--mcast-group 224.0.0.82 --mcast-port 9000 --mcast-ttl 2"
    )
    assert handler(request(words)) == {"ok": True}
    assert handler(request("--stop-daemon backup")) == {"ok": True}
    handler.tick(4)
    assert handler({"do": "counters"})["sync"] == {"master": {"messages": 5}}
    handler.close()
    assert daemons.told == [DaemonConfig("master", "eth0", 255), BACKUP, "backup", 4, "closed"]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({}, "expected role and interface"),
        ({"role": "master", "interface": "eth0", "colour": "red"}, "expected role and interface"),
        ({"role": "mistress", "interface": "eth0"}, "daemon: expected master or backup"),
        ({"role": "master", "interface": ""}, "mcast-interface"),
        ({"role": "master", "interface": 7}, "mcast-interface"),
        ({"role": "master", "interface": "eth0", "syncid": 256}, "syncid"),
        ({"role": "master", "interface": "eth0", "syncid": True}, "syncid"),
        ({"role": "master", "interface": "eth0", "maxlen": 65508}, "maxlen"),
        ({"role": "master", "interface": "eth0", "group": "203.0.113.1"}, "multicast"),
        ({"role": "master", "interface": "eth0", "group": "?"}, "mcast-group"),
        ({"role": "master", "interface": "eth0", "port": 0}, "port"),
        ({"role": "master", "interface": "eth0", "ttl": 0}, "ttl"),
        ({"role": "master", "interface": "eth0", "resync": 1}, "resync"),
    ],
)
def test_a_wrong_request_starts_nothing(wrong: dict[str, Any], says: str) -> None:
    daemons = Daemons()
    answer = handler_with(daemons)({"do": "start_daemon", **wrong})
    assert not answer["ok"]
    assert says in answer["error"]
    assert daemons.told == []


@pytest.mark.parametrize("role", ["master", "backup", None, 5])
def test_without_a_daemon_there_is_nothing_to_stop(role: object) -> None:
    answer = handler_with(Daemons())({"do": "stop_daemon", "role": role})
    assert answer["error"] == f"No daemon is running as {role}."


def test_an_interface_that_does_not_exist_is_named() -> None:
    director = published()
    engine: Any = Idle(director)
    with DefaultSelector() as selector:
        daemons = SyncDaemons(director, engine, selector, lambda: 0.0, exhaust)
        for role in ("master", "backup"):
            with pytest.raises(LvsError, match="interface nosuch"):
                daemons.start(DaemonConfig(role, "nosuch"))
        assert daemons.running() == []
        assert director.sender is None


class FullSelector(DefaultSelector):
    def register(self, *_: object) -> Any:
        raise OSError(ENOSPC, "No space left on device")


@pytest.mark.parametrize("role", ["master", "backup"])
def test_a_daemon_that_cannot_be_watched_is_not_left_half_started(role: str) -> None:
    director = published()
    engine: Any = Idle(director)
    with FullSelector() as selector:
        daemons = SyncDaemons(director, engine, selector, lambda: 0.0, exhaust)
        for _ in range(2):
            with pytest.raises(LvsError, match="No space left"):
                daemons.start(DaemonConfig(role, "lo", resync=True))
        assert daemons.running() == []
        assert director.sender is None


def test_the_listing_is_read_as_it_is_written() -> None:
    read = parse(LISTED)
    assert [DaemonConfig(**daemon) for daemon in read] == [MASTER, BACKUP]
    assert listing.daemons(read) == LISTED


def test_the_kernels_daemons_are_started_with_ipvsadm() -> None:
    lines = []

    class Kernel:
        def ipvsadm(self, *words: str) -> str:
            lines.append(" ".join(words))
            return LISTED

    daemons = KernelDaemons(Kernel())  # type: ignore[arg-type]
    daemons.start(MASTER)
    assert len(daemons.running()) == 2
    daemons.close()
    assert lines == [
        "--start-daemon master --mcast-interface eth1 --syncid 7 --mcast-group 224.0.0.81 --mcast-port 8848 "
        "--mcast-ttl 1 --sync-maxlen 1472",
        "-L --daemon",
        "--stop-daemon master",
    ]


def test_a_backup_asks_for_the_whole_table_five_times() -> None:
    """Also when it hears something: that need not be the answer, and the first request may be lost."""
    config = DaemonConfig("backup", "lo", 7, resync=True, port=18848)
    director, selector = published(), DefaultSelector()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as master, selector:
        master.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        master.bind((config.group, config.port))
        index = socket.if_nametoindex("lo")
        group = struct.pack("4s4si", socket.inet_aton(config.group), bytes(4), index)
        master.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
        master.settimeout(5)
        daemons = SyncDaemons(director, cast(Any, Idle(director)), selector, lambda: 0.0, list)
        daemons.start(config)
        asked = [master.recv(100)]
        for second in range(4):
            for key, _ in selector.select(5):  # what it hears: its own requests
                key.data()
            daemons.tick(second)
            asked.append(master.recv(100))
        daemons.tick(5)
        master.settimeout(0)
        with pytest.raises(BlockingIOError):
            master.recv(100)
        assert daemons.running()[0]["counters"]["messages"] > 0
        daemons.close()
    assert asked == [sync_protocol.request(7)] * 5


def test_the_kernels_daemons_cannot_ask_for_the_whole_table() -> None:
    kernel: Any = None
    with pytest.raises(EngineError, match="--resync"):
        KernelDaemons(kernel).start(DaemonConfig("backup", "eth1", resync=True))
    assert request("--start-daemon backup --resync")["resync"] is True
    assert listing.daemons([{**parse(LISTED)[0], "resync": True}]).endswith("ttl=1, resync)\n")


def test_a_config_is_checked_when_it_is_made() -> None:
    with pytest.raises(BadValue, match="syncid"):
        DaemonConfig("master", "eth0", syncid=-1)
