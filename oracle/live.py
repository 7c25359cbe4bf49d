"""Our director as a process between two cables, with any of its engines."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from time import sleep

from director.control.channel import Message, call
from labs.errors import BuildFailed
from labs.wait import patient, wait_for
from oracle.control import ControlledDirector
from oracle.site import CLIENTS, GATEWAY, GATEWAY_MAC, SERVERS, is_server, mac_of
from oracle.talk import Frame
from oracle.wire import Wires

_SOCKET = "/run/lvs-oracle.sock"
_ENOUGH = 4096  # connections at a time, for any scenario
_ARP, _REQUEST = b"\x08\x06", b"\x00\x01"


class Live(ControlledDirector):
    def __init__(self, wires: Wires, method: str, engine: str) -> None:
        self._wires = wires
        if engine != "ipvs":
            wires.run("sysctl", "-qw", "net.ipv4.ip_forward=0")
        options = ["--method", method, "--engine", engine, "--socket", _SOCKET]
        if engine == "ebpf":  # it counts what has ended when it has walked the table, slowly if that is large
            options += ["--conn-limit", str(_ENOUGH)]
        interfaces = [f"d-{side}" for side in (CLIENTS, SERVERS)]
        self._process = wires.start(sys.executable, "-m", "director", *options, *interfaces)
        wait_for(self._is_up, 30, "the director's control socket", BuildFailed)

    def _is_up(self) -> bool:
        if self._process.poll() is not None:
            raise RuntimeError(f"the director has ended with {self._process.returncode}")
        return Path(_SOCKET).exists()

    def _ask(self, request: Message) -> Message:
        return call(_SOCKET, request, timeout=patient(10))

    def wait(self, seconds: float) -> None:
        sleep(seconds)  # what is waited for is that nothing happens

    def exchange(self, frame: Frame) -> list[Frame]:
        """The director's loop has looked at its wires before it answers a second question."""
        self._wires.send(frame)
        out: list[Frame] = []
        asked = True
        while asked:
            for _ in range(2):
                self._ask({"do": "counters"})
            heard = list(self._wires.received(arp=True))
            asked = any(self._is_answered(side, each) for side, each in heard)
            out += [(side, each) for side, each in heard if each[12:14] != _ARP]
        return out

    def _is_answered(self, side: str, frame: bytes) -> bool:
        """A question by ARP, for which packets may wait: clients' gateway and real servers answer."""
        if frame[12:14] != _ARP or frame[20:22] != _REQUEST:
            return False
        address = ".".join(map(str, frame[38:42]))
        if not (is_server(address) if side == SERVERS else address == GATEWAY):
            return False
        own = bytes.fromhex((mac_of(address) if side == SERVERS else GATEWAY_MAC).replace(":", ""))
        answer = frame[6:12] + own + frame[12:20] + b"\x00\x02" + own + frame[38:42] + frame[22:32]
        self._wires.send((side, answer))
        return True

    def failed(self) -> int:
        """How many frames have ended in an exception that nobody expected."""
        return int(self._ask({"do": "counters"})["engine"]["failed"])

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(patient(10))
        subprocess.run(["rm", "-f", _SOCKET], check=True)
