"""Our director does with odd packets what kernel IPVS did: oracle/odd_packets.py."""

from __future__ import annotations

import pytest

from labs.methods import METHODS
from oracle import odd_packets, recordings
from oracle.in_process import InProcessDirector
from oracle.odd_packets import comparable


@pytest.mark.parametrize("method", METHODS)
def test_the_director_does_what_the_kernel_did(method: str) -> None:
    recording = odd_packets.read()
    ours = odd_packets.play(recording, method, InProcessDirector(method), pause=1)
    for packet, frames in zip(odd_packets.packets_of(recording, method), ours, strict=True):
        kernels = [(side, bytes.fromhex(frame)) for side, frame in packet["answers"][method]]
        assert comparable(frames) == comparable(kernels), packet["name"]


def test_another_answer_is_a_difference() -> None:
    before = odd_packets.read()
    assert odd_packets.differences(before, odd_packets.read()) == []
    now = odd_packets.read()
    now["packets"][0]["answers"]["tun"] = []
    (found,) = odd_packets.differences(before, now)
    assert found.startswith("udp (tun): recorded [['s', '0200")


def test_another_kernel_outdates_the_recording() -> None:
    recording = {**odd_packets.read(), **recordings.Made("player", "6.1")._asdict()}
    assert odd_packets.holds(recording, recordings.Made("player", "6.1"))
    assert not odd_packets.holds(recording, recordings.Made("player", "6.12"))
    assert not odd_packets.holds(recording, recordings.Made("another", "6.1"))
