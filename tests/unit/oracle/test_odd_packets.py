"""IP options, fragments and UDP without a checksum: what kernel IPVS did with each packet.

A scenario can't say such packets. They were made with Scapy and played once to oracle/kernel.py in the
machine of `./inv vm`, in this order, to a service of TCP and one of UDP at port 80 of the first place. Those
whose answer has the time in it, or a difference that is listed, were left out.
"""

from __future__ import annotations

import json
import lzma
from typing import Any

import pytest

from labs.methods import FLAGS, METHODS
from oracle import packets
from oracle.in_process import InProcessDirector
from oracle.recordings import FOLDER
from oracle.site import LOCAL, Place, server

VIP = Place(1).vip
OF_ITS_OWN = (packets.IPIP, packets.ICMP)  # their identification is the director's choice


def comparable(side: str, frame: bytes) -> tuple[str, str]:
    if frame[23] in OF_ITS_OWN:
        frame = frame[:18] + b"\0\0" + frame[20:24] + b"\0\0" + frame[26:]
    return side, frame.hex()


def recorded() -> list[dict[str, Any]]:
    with lzma.open(FOLDER / "odd-packets.json.xz", "rt", encoding="ascii") as stream:
        found: list[dict[str, Any]] = json.load(stream)["packets"]
    return found


@pytest.mark.parametrize("method", METHODS)
def test_the_director_does_what_the_kernel_did(method: str) -> None:
    director = InProcessDirector(method)
    for protocol in ("-u", "-t"):
        service = f"{protocol} {VIP}:80"
        director.rules([f"-A {service} -s rr", f"-a {service} -r {server(1)}:80 {FLAGS[method]}"])
    for packet in recorded():
        if method not in packet["answers"]:
            continue
        if packet["name"].startswith("wrong"):
            director.wait(1)  # one answer a second, where the kernel had no limit
        out = director.exchange((packet["side"], bytes.fromhex(packet["frame"])))
        ours = sorted(comparable(*each) for each in out if each[0] != LOCAL)
        kernels = sorted(comparable(side, bytes.fromhex(frame)) for side, frame in packet["answers"][method])
        assert ours == kernels, packet["name"]
