"""lvs_sync_daemon: what the file says, and which daemons run in which state."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from availability.config import ConfigError, config_reader
from availability.vrrp import instances, sync_follower
from availability.vrrp.sync_follower import Follower, SyncDaemon
from director.control.channel import ChannelError, Message
from labs.wait import patient
from tests.unit.availability.keepalived_files import FILES


def read(folder: Path, line: str) -> SyncDaemon | None:
    file = folder / "keepalived.conf"
    before = "lvs_sync_daemon eth0 inst first id 5 maxlen 1472 port 8848 ttl 1 group 224.0.0.81"
    file.write_text(FILES["routers"].replace(before, line))
    configuration = config_reader.load(file)
    routers, _ = instances.read(configuration)
    return sync_follower.read(configuration.settings, [router.settings for router in routers])


@pytest.mark.parametrize(
    ("line", "instance", "fields"),
    [
        ("lvs_sync_daemon eth1", None, {"interface": "eth1", "syncid": 0}),
        ("lvs_sync_daemon eth1 second", "second", {"interface": "eth1", "syncid": 52}),
        (
            "lvs_sync_daemon eth1 inst first id 7 maxlen 1000 port 9 ttl 3 group 224.0.0.82",
            "first",
            {
                "interface": "eth1",
                "syncid": 7,
                "maxlen": 1000,
                "port": 9,
                "ttl": 3,
                "group": "224.0.0.82",
            },
        ),
    ],
)
def test_what_the_file_says(tmp_path: Path, line: str, instance: str | None, fields: dict[str, Any]) -> None:
    assert read(tmp_path, line) == SyncDaemon(instance, fields)
    assert read(tmp_path, "") is None


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("lvs_sync_daemon", ":3: lvs_sync_daemon: expected an interface, and a value for each word."),
        ("lvs_sync_daemon eth0 id", ":3: lvs_sync_daemon: expected an interface, and a value for each word."),
        ("lvs_sync_daemon eth0 id 256", ":3: lvs_sync_daemon: expected a number from 0 to 255, got '256'."),
        ("lvs_sync_daemon eth0 third", ":3: lvs_sync_daemon: there is no vrrp_instance 'third'."),
        ("lvs_sync_daemon eth0 group x", ":3: lvs_sync_daemon: expected an IPv4 address, got 'x'."),
    ],
)
def test_what_is_wrong_is_a_sentence(tmp_path: Path, line: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read(tmp_path, line)
    assert str(refused.value) == f"{tmp_path}/keepalived.conf{sentence}"


class Director:
    """Has daemons, and may be lost."""

    def __init__(self) -> None:
        self.running: dict[str, Message] = {}
        self.lost = False

    def call(self, _path: str, request: Message) -> Message:
        if self.lost:
            raise ChannelError("no answer", ConnectionRefusedError())
        if request["do"] == "start_daemon":
            if request["interface"] == "none":
                return {"ok": False, "error": "There is no interface none."}
            self.running[request["role"]] = request
        if request["do"] == "stop_daemon":
            del self.running[request["role"]]
        return {"ok": True, "daemons": [{"role": role} for role in self.running]}


async def until(director: Director, roles: set[str]) -> set[str]:
    """The daemons, once they are these or the time is over."""
    loop = asyncio.get_running_loop()
    end = loop.time() + patient(10)
    while set(director.running) != roles and loop.time() < end:
        await asyncio.sleep(0.01)
    return set(director.running)


def test_the_daemons_follow_the_instance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync_follower, "POLL", 0.02)
    director, lines = Director(), list[str]()

    async def story() -> list[set[str]]:
        follower = Follower(SyncDaemon("first", {"interface": "eth0"}), "socket", lines.append, director.call)
        running = asyncio.ensure_future(follower.run())
        observed = [await until(director, {"backup"})]
        follower.follow("first", True)
        observed.append(await until(director, {"master"}))
        follower.follow("second", False)
        director.running.clear()  # the director has been started again
        observed.append(await until(director, {"master"}))
        director.lost = True
        follower.follow("first", False)
        while not lines:
            await asyncio.sleep(0.01)
        director.lost = False
        observed.append(await until(director, {"backup"}))
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await follower.stop()
        return [*observed, set(director.running)]

    assert asyncio.run(story()) == [{"backup"}, {"master"}, {"master"}, {"backup"}, set()]
    assert [sentence.partition(":")[0] for sentence in lines] == ["no director listens on socket"]


def test_a_daemon_that_cannot_start_is_a_sentence_and_both_run_without_an_instance() -> None:
    director, lines = Director(), list[str]()

    async def once(interface: str) -> None:
        follower = Follower(SyncDaemon(None, {"interface": interface}), "socket", lines.append, director.call)
        running = asyncio.ensure_future(follower.run())
        while not lines and len(director.running) < 2:
            await asyncio.sleep(0.01)
        running.cancel()

    asyncio.run(once("eth0"))
    assert set(director.running) == {"master", "backup"}
    director.running.clear()
    asyncio.run(once("none"))
    assert lines == ["The director's synchronisation daemon: There is no interface none."]
