from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from director.control.channel import Message
from director.control.listener import Listener
from labs.controller.controller_client import ControllerClient, ControllerError
from labs.controller.state_queries import Port, PortCounters, Switch
from labs.errors import BuildFailed
from labs.wait import patient

S1 = {"name": "s1", "dpid": 1, "ports": [{"number": 1, "name": "s1-eth1"}]}
S2 = {"name": "s2", "dpid": 2, "ports": []}
COUNTERS = {
    "switch": "s1",
    "dpid": 1,
    "port": 1,
    "name": "s1-eth1",
    "rx_packets": 1,
    "rx_bytes": 2,
    "tx_packets": 3,
    "tx_bytes": 4,
}

Serve = Callable[..., ControllerClient]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """A client of a controller that gives prepared answers in order."""
    path, threads = str(tmp_path / "socket"), list[threading.Thread]()

    def begin(*answers: Message) -> ControllerClient:
        left = list(answers)
        listener = Listener(path, lambda _: left.pop(0))

        def loop() -> None:
            for _ in answers:
                listener.serve_one()
            listener.close()

        threads.append(threading.Thread(target=loop, daemon=True))
        threads[-1].start()
        return ControllerClient(path)

    yield begin
    for thread in threads:
        thread.join(patient(5))
        assert not thread.is_alive(), "not every prepared answer was asked for"


def test_answers_become_values(serve: Serve) -> None:
    client = serve({"ok": True, "switches": [S1]}, {"ok": True, "ports": [COUNTERS]})
    assert client.switches() == (Switch("s1", 1, (Port(1, "s1-eth1"),)),)
    assert client.ports() == (PortCounters("s1", 1, 1, "s1-eth1", 1, 2, 3, 4),)


def test_a_refusal_is_an_error_with_its_reason(serve: Serve) -> None:
    client = serve({"ok": False, "error": "no port counters from s2"})
    with pytest.raises(ControllerError, match="refused 'ports': no port counters from s2"):
        client.ports()


def test_a_missing_controller_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ControllerError, match="can't be queried"):
        ControllerClient(str(tmp_path / "nobody")).switches()


@pytest.mark.parametrize("wanted", [2, ["s1", "s2"], ("s2",)])
def test_waits_until_all_switches_are_connected(serve: Serve, wanted: Any) -> None:
    client = serve(
        {"ok": True, "switches": []}, {"ok": True, "switches": [S1]}, {"ok": True, "switches": [S1, S2]}
    )
    assert [switch.name for switch in client.wait_for_switches(wanted)] == ["s1", "s2"]


def test_the_wrong_switches_are_not_enough(serve: Serve) -> None:
    client = serve({"ok": True, "switches": [S1]})
    with pytest.raises(BuildFailed, match="switches s2, s3 at the controller"):
        client.wait_for_switches(["s3", "s2"], seconds=0)


def test_waiting_for_a_controller_that_never_starts(tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match="1 switches"):
        ControllerClient(str(tmp_path / "nobody")).wait_for_switches(1, seconds=0)


def test_no_switches_wanted(serve: Serve) -> None:
    client = serve({"ok": True, "switches": []})
    assert client.wait_for_switches(0) == ()
