"""IP options, fragments in any order, UDP without a checksum: packets that a scenario can't express.

They are kept as frames in recorded/, with the kernel's answer in each method. Packets whose answer contains
the time, or shows a listed difference, are left out. Inside `unshare --net --mount` as root,
`python -m oracle.odd_packets` runs them on this kernel and prints a new recording as JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from labs.methods import FLAGS, METHODS
from oracle import json_xz, packets
from oracle.kernel import Kernel
from oracle.play import Plane
from oracle.recordings import made_now
from oracle.site import LOCAL, Place, server
from oracle.talk import Frame
from oracle.wire import Wires

FILE = Path(__file__).with_name("recorded") / "odd-packets.json.xz"
_VIP = Place(1).vip
_OWN = (packets.IPIP, packets.ICMP)  # whose identification the director chooses

# player, kernel; packets: name, side, frame, and the answers by method
Recording = json_xz.Recording


def read(file: Path = FILE) -> Recording:
    recording: Recording = json_xz.read(file)
    return recording


def write(recording: Recording, file: Path = FILE) -> None:
    json_xz.write(recording, file)


def holds(recording: Recording, made: Sequence[str]) -> bool:
    """Whether it was made by this player, on this kernel."""
    return (recording.get("player", ""), recording["kernel"]) == tuple(made)


def play(recording: Recording, method: str, plane: Plane, pause: float = 0.0) -> Iterator[list[Frame]]:
    """What a director sends for each packet of a method: a service of TCP and one of UDP, in this order.

    `pause` is in seconds, before a packet that gets an ICMP error: a director may send one a second only.
    """
    for protocol in ("-u", "-t"):
        service = f"{protocol} {_VIP}:80"
        plane.rules([f"-A {service} -s rr", f"-a {service} -r {server(1)}:80 {FLAGS[method]}"])
    for packet in packets_of(recording, method):
        if pause and packet["name"].startswith("wrong"):
            plane.wait(pause)
        yield [frame for frame in plane.exchange(frame_of(packet)) if frame[0] != LOCAL]


def packets_of(recording: Recording, method: str) -> list[dict[str, Any]]:
    """The packets that are sent in a method."""
    return [packet for packet in recording["packets"] if method in packet["answers"]]


def frame_of(packet: dict[str, Any]) -> Frame:
    return packet["side"], bytes.fromhex(packet["frame"])


def comparable(frames: Sequence[Frame]) -> list[tuple[str, str]]:
    """Frames in a fixed order, without the identification of the director's own packets."""
    return sorted((side, _comparable(frame).hex()) for side, frame in frames)


def _comparable(frame: bytes) -> bytes:
    return frame[:18] + b"\0\0" + frame[20:24] + b"\0\0" + frame[26:] if frame[23] in _OWN else frame


def differences(before: Recording, now: Recording) -> list[str]:
    """The packets whose answer has changed, with the method."""
    return [
        f"{packet['name']} ({method}): recorded {kept[method]}, now {packet['answers'][method]}"
        for packet, kept in zip(
            now["packets"], (packet["answers"] for packet in before["packets"]), strict=True
        )
        for method in kept
        if comparable(_frames(kept[method])) != comparable(_frames(packet["answers"][method]))
    ]


def _frames(answer: Sequence[Sequence[str]]) -> list[Frame]:
    return [(side, bytes.fromhex(frame)) for side, frame in answer]


def record(before: Recording) -> Recording:
    """Send the same packets again, to the kernel between cables of this network namespace."""
    answers: dict[str, list[list[list[str]]]] = {}
    for method in METHODS:
        wires = Wires()
        kernel = Kernel(wires)
        played = play(before, method, kernel)
        answers[method] = [[[side, frame.hex()] for side, frame in frames] for frames in played]
        kernel.close()
        wires.close()
    now = [
        {**packet, "answers": {method: answers[method].pop(0) for method in packet["answers"]}}
        for packet in before["packets"]
    ]
    return {**made_now()._asdict(), "packets": now}


if __name__ == "__main__":
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)  # for `ip netns`
    json.dump(record(read()), sys.stdout)
