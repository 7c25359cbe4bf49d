"""A virtual router's states, with the time passed in; two on one network; its settings from a file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from availability.config import ConfigError, config_reader
from availability.vrrp import instances, process
from availability.vrrp.instances import Address
from availability.vrrp.router import RESIGN, Action, Advertisement, Router, Settings, State
from availability.vrrp.tracking import Tracked
from tests.unit.availability.keepalived_files import FILES

SETTINGS = Settings("a", "eth0", 51, addresses=("203.0.113.1",))
TAKEOVER = [Action.ADVERTISE, Action.ADD_ADDRESSES, Action.ANNOUNCE]
GIVE_UP = [Action.REMOVE_ADDRESSES]


def new_router(address: str = "203.0.113.2", **changes: Any) -> Router:
    return Router(replace(SETTINGS, **changes), address)


def heard(priority: int, source: str = "203.0.113.3", interval: float = 1.0) -> Advertisement:
    return Advertisement(source, priority, interval)


def new_master(**changes: Any) -> Router:
    router = new_router(**changes)
    router.start(0.0)
    router.tick(router.due)
    return router


def test_the_times_are_those_of_the_rfcs() -> None:
    assert new_router().master_down == pytest.approx(3 + 156 / 256)  # RFC 3768: 3.61 s at the defaults
    assert new_router(version=3, interval=0.01).master_down == pytest.approx(0.03 + 0.01 * 156 / 256)
    assert new_router(priority=254, missed=1).master_down == pytest.approx(1 + 2 / 256)


def test_silence_makes_a_master_which_advertises_first() -> None:
    router = new_router()
    assert router.start(10.0) == []
    assert (router.state, router.tick(13.6)) == (State.BACKUP, [])
    assert (router.tick(13.61), router.state) == (TAKEOVER, State.MASTER)
    assert router.next == pytest.approx(14.61)
    assert router.tick(14.61) == [Action.ADVERTISE]


def test_gratuitous_arp_is_repeated_as_asked_for() -> None:
    router = new_master(interval=100.0, announce_again=5.0, refresh=20.0)
    began = router.due - 100
    assert router.next == began + 5
    observed = [router.tick(began + after) for after in (4, 5, 6, 24, 25, 45)]
    assert observed == [[], [Action.ANNOUNCE], [], [], [Action.REFRESH], [Action.REFRESH]]


def test_a_router_of_lower_priority_is_contradicted_twice() -> None:
    router = new_master(interval=100.0, announce_again=0.0, contradict_again=3.0)
    began = router.due - 100
    assert router.receive(heard(50), began + 1) == [Action.ADVERTISE, Action.CONTRADICT]
    assert [router.tick(began + after) for after in (3, 4, 5)] == [[], [Action.CONTRADICT], []]


def test_the_owner_of_the_address_begins_as_master() -> None:
    assert new_router(priority=255, first_master=True).start(0.0) == TAKEOVER
    assert new_router(priority=255).start(0.0) == []
    assert new_router(first_master=True).start(0.0) == []


def test_a_backup_waits_as_long_as_it_hears_a_better_one() -> None:
    router = new_router()
    router.start(0.0)
    for now in range(1, 20):
        assert router.receive(heard(150), now) + router.tick(now) == []
    assert router.tick(19 + 3.62) == TAKEOVER


def test_a_master_that_resigns_is_followed_after_the_skew() -> None:
    router = new_router()
    router.start(0.0)
    router.receive(heard(RESIGN), 1.0)
    assert router.due == pytest.approx(1 + 156 / 256)


@pytest.mark.parametrize(
    ("changes", "taken_over_at"),
    [({}, 3.609375), ({"preempt": False}, None), ({"preempt_delay": 5.0}, 8.7)],
)
def test_a_worse_master_is_preempted(changes: dict[str, Any], taken_over_at: float | None) -> None:
    router = new_router(**changes)
    router.start(0.0)
    at = None
    for step in range(1, 200):
        now = step / 10
        if step % 10 == 0:
            router.receive(heard(50), now)
        if router.tick(now) and at is None:
            at = now
    assert at == (None if taken_over_at is None else pytest.approx(taken_over_at, abs=1.2))


def test_version_3_learns_the_masters_interval() -> None:
    router = new_router(version=3, interval=0.1)
    router.start(0.0)
    router.receive(heard(150, interval=2.0), 1.0)
    assert router.due == pytest.approx(1 + 6 + 2 * 156 / 256)


@pytest.mark.parametrize(
    ("other", "actions", "state"),
    [
        (heard(150), GIVE_UP, State.BACKUP),
        (heard(100), GIVE_UP, State.BACKUP),  # the same priority, and the higher address
        (heard(100, "203.0.113.1"), [Action.ADVERTISE, Action.CONTRADICT], State.MASTER),
        (heard(50), [Action.ADVERTISE, Action.CONTRADICT], State.MASTER),
        (heard(RESIGN), [Action.ADVERTISE], State.MASTER),
    ],
)
def test_a_master_hears_another(other: Advertisement, actions: list[Action], state: State) -> None:
    router = new_master()
    assert (router.receive(other, router.due), router.state) == (actions, state)


def test_a_new_priority_counts_at_once() -> None:
    router = new_router(priority=150)
    router.start(0.0)
    router.set_priority(50)
    assert router.due == router.master_down == pytest.approx(3 + 206 / 256)
    router.receive(heard(100), 3.0)
    assert router.due == pytest.approx(3 + router.master_down)  # it no longer takes over from 100
    leader = new_master(priority=150)
    leader.set_priority(50)
    assert leader.receive(heard(100), leader.due) == GIVE_UP


def test_the_end_and_a_fault() -> None:
    assert new_master().stop() == [Action.RESIGN, Action.REMOVE_ADDRESSES]
    assert new_master().fail() == GIVE_UP
    router = new_router()
    router.start(0.0)
    assert (router.stop(), router.next) == ([], None)
    assert router.receive(heard(1), 1.0) + router.tick(9.0) == []


@given(
    st.integers(1, 254),
    st.integers(1, 254),
    st.lists(st.integers(0, 40), max_size=20),
    st.sampled_from([2, 3]),
)
def test_two_routers_agree_on_the_better_one(first: int, second: int, lost: list[int], version: int) -> None:
    """Whatever is lost for a while, in the end the better one is master, and has the addresses."""
    assume(first != second)  # equal ones stay as they are
    pair = [
        Router(replace(SETTINGS, priority=priority, version=version), f"203.0.113.{host}")
        for host, priority in ((2, first), (3, second))
    ]
    owns = [False, False]

    def do(index: int, actions: list[Action], now: float, step: int) -> None:
        """All actions, and then what the other one hears."""
        for action in actions:
            if action in (Action.ADD_ADDRESSES, Action.REMOVE_ADDRESSES):
                owns[index] = action is Action.ADD_ADDRESSES
        if Action.ADVERTISE in actions and step not in lost:
            me, other = pair[index], 1 - index
            advertisement = Advertisement(me.address, me.settings.priority, 1.0)
            do(other, pair[other].receive(advertisement, now), now, step)

    for router in pair:
        router.start(0.0)
    for step in range(60):
        for index, router in enumerate(pair):
            do(index, router.tick(step * 0.5), step * 0.5, step)
    better = 0 if first > second else 1
    assert [router.state for router in pair][better] is State.MASTER
    assert owns == [better == 0, better == 1]


# ---- from a file ----


def settings(folder: Path, content: str) -> list[instances.Instance]:
    file = folder / "keepalived.conf"
    file.write_text(content)
    return instances.read(config_reader.load(file))[0]


def test_the_settings_of_a_file(tmp_path: Path) -> None:
    first, second = settings(tmp_path, FILES["routers"])
    assert (first.settings.version, first.settings.interval, first.settings.preempt) == (3, 0.1, False)
    assert first.tracked == (Tracked("interface", "eth0"), Tracked("interface", "eth1"))
    assert first.addresses == (Address("203.0.113.1", 32, "eth0"),)
    assert second.addresses == (Address("203.0.113.2", 24, "eth0", "203.0.113.255", 253, "eth0:second"),)
    assert (second.settings.vrid, second.settings.priority, second.settings.announce_again) == (52, 100, 5.0)


def test_a_first_master_without_a_priority_owns_the_addresses(tmp_path: Path) -> None:
    """keepalived 2.2.7 takes it for 255: with vrrp_strict it finds nothing to object to."""
    (master,) = settings(tmp_path, FILES["tight"])
    assert (master.settings.first_master, master.settings.priority) == (True, 255)


def test_gratuitous_arp_after_a_lower_priority_has_defaults_of_global_defs(tmp_path: Path) -> None:
    """And not those of the instance: keepalived 2.2.7 sent five requests where the instance had three."""
    text = FILES["routers"].replace("nopreempt", "garp_master_delay 2\n garp_master_repeat 3")
    first, _ = settings(tmp_path, text)
    assert (first.settings.announce_again, first.settings.announce_times) == (2.0, 3)
    assert (first.settings.contradict_again, first.settings.contradict_times) == (5.0, 5)
    text = FILES["routers"].replace("vrrp_version 3", "vrrp_version 3\n vrrp_garp_master_repeat 2")
    first, _ = settings(tmp_path, text)
    assert (first.settings.announce_times, first.settings.contradict_times) == (2, 2)
    text = FILES["routers"]
    first, _ = settings(
        tmp_path, text.replace("nopreempt", "garp_lower_prio_delay 9\n garp_lower_prio_repeat 0")
    )
    assert (first.settings.contradict_again, first.settings.contradict_times) == (9.0, 0)
    assert first.settings.announce_times == 5


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        (
            "advert_int 0.1",
            "advert_int 50",
            ":12: advert_int: version 3 takes hundredths of a second, up to 40.95 s.",
        ),
        (
            "advert_int 0.1",
            "advert_int 0.5\n version 2",
            ":12: advert_int: version 2 takes whole seconds, up to 255 s.",
        ),
        ("interface eth0", "", ":7: a vrrp_instance needs interface."),
        ("203.0.113.1/32 dev eth0", "", ":7: a vrrp_instance needs 1 to 255 addresses"),
        ("203.0.113.1/32", "203.0.113.1/33", "a prefix length of 0 to 32, got '33'."),
        ("203.0.113.1/32 dev", "203.0.113.1/32 via", "[label NAME], got '203.0.113.1/32 via eth0'."),
        ("virtual_router_id 52", "virtual_router_id 51", "there is another vrrp_instance with this name"),
        ("advert_int 0.1", "vmac_xmit_base", ":12: vmac_xmit_base needs use_vmac."),
        ("state BACKUP", "state MASTER", ":13: nopreempt needs state BACKUP and a priority below 255."),
        (
            "nopreempt",
            "nopreempt\n preempt_delay 3",
            ":14: preempt_delay needs state BACKUP, without nopreempt.",
        ),
        ("priority 100", "priority 255", ":13: nopreempt needs state BACKUP and a priority below 255."),
        ("advert_int 0.1", "use_vmac a b c", ":12: use_vmac: expected [NAME] [MAC]"),
        ("advert_int 0.1", "use_vmac ../x", ":12: use_vmac: expected [NAME] [MAC]"),
        ("advert_int 0.1", "use_vmac 01:00:5e:00:01:33", ":12: use_vmac: expected [NAME] [MAC]"),
        ("        second\n", "        third\n", "vrrp_sync_group: there is no vrrp_instance 'third' in this"),
        ("group both", "group", ":31: a vrrp_sync_group needs a name, and a group with its instances."),
        (
            "        eth1\n",
            "        eth1 weight 3\n",
            ":31: vrrp_sync_group: interface eth1 has a weight, but first changes state with the group",
        ),
    ],
)
def test_what_is_wrong_is_a_sentence(tmp_path: Path, before: str, after: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as refused:
        settings(tmp_path, FILES["routers"].replace(before, after, 1))
    assert sentence in str(refused.value)
    assert str(refused.value).startswith(f"{tmp_path}/keepalived.conf:")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("use_vmac", ("vrrp.51", "00:00:5e:00:01:33", True)),
        ("use_vmac own", ("own", "00:00:5e:00:01:33", True)),
        ("use_vmac 02:AA:00:00:00:01", ("vrrp.51", "02:aa:00:00:00:01", True)),
        ("use_vmac own 02:00:00:00:00", ("own", "02:00:00:00:00:33", True)),
        ("use_vmac\n vmac_xmit_base", ("vrrp.51", "00:00:5e:00:01:33", False)),
    ],
)
def test_the_addresses_move_to_the_virtual_mac(
    tmp_path: Path, line: str, expected: tuple[str, str, bool]
) -> None:
    file = tmp_path / "keepalived.conf"
    file.write_text(
        "vrrp_instance a {\n interface eth0\n virtual_router_id 51\n " + line + "\n virtual_ipaddress {\n"
        " 203.0.113.1/32\n 203.0.113.2/32 dev eth1\n }\n}\n"
    )
    (found,), _ = instances.read(config_reader.load(file))
    virtual = found.virtual_mac
    assert virtual is not None
    assert (virtual.interface, virtual.address, virtual.advertises) == expected
    assert virtual.base == "eth0"
    assert [one.interface for one in found.addresses] == [expected[0], "eth1"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (FILES["web"], "FILE has no vrrp_instance."),
        (
            FILES["routers"].replace("eth0", "none0"),
            "it can't run (there is no interface none0): name interfaces that exist",
        ),
        (
            FILES["routers"].replace("/bin/echo", "/no/such"),
            "FILE:14: notify_master: /no/such is not a program",
        ),
    ],
)
def test_what_cannot_run_is_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, sentence: str
) -> None:
    file = tmp_path / "keepalived.conf"
    file.write_text(content)
    assert process.main([str(file)]) == 2
    assert (
        capsys.readouterr()
        .err.splitlines()[-1]
        .startswith(f"lvs-vrrp: {sentence}".replace("FILE", str(file)))
    )
