"""Our director for scenarios, controlled through requests; here as a process of its own.

The process runs between the two cables of wire.py, with any of the engines; in_process.py has the same
director without a process.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from time import sleep
from typing import Any

from director.control.channel import Message, call
from director.ipvsadm import save_format
from labs.errors import BuildFailed
from labs.wait import patient, wait_for
from oracle import packets
from oracle.play import Entry, Load, Tables
from oracle.site import CLIENTS, GATEWAY, GATEWAY_MAC, SERVERS, Place, is_server, mac_of
from oracle.talk import Frame
from oracle.wire import Wires

_SOCKET = "/run/lvs-oracle.sock"
_CONN_LIMIT = 4096  # enough for any scenario
_ARP, _REQUEST = b"\x08\x06", b"\x00\x01"


class ControlledDirector:
    """Rules, settings and tables through control requests, which a subclass sends."""

    def _request(self, request: dict[str, Any]) -> dict[str, Any]:
        raise NotImplementedError

    def rules(self, lines: Sequence[str]) -> None:
        """Carry out lines of ipvsadm one by one, as the kernel's tool does: a refused one changes nothing."""
        for line in lines:
            self._apply(save_format.read(line))

    def sysctl(self, name: str, value: int) -> None:
        self._apply([{"command": "SetSysctl", "name": name, "value": value}])

    def mark(self, protocol: str, vip: str, ports: str, mark: int) -> None:
        first, _, last = ports.partition("-")
        target = {"network": vip, "protocol": packets.TCP if protocol == "tcp" else packets.UDP}
        range_of_ports = {"first": int(first), "last": int(last or first)}
        self._apply([{"command": "AddMark", "mark": mark, **target, **range_of_ports}])

    def _apply(self, commands: list[dict[str, Any]]) -> None:
        self._request({"do": "apply", "commands": commands})

    def look(self, place: Place) -> Tables:
        """The connections of the place's clients, and the real servers of its services."""
        own = place.client(0).rpartition(".")[0] + "."
        connections = {
            f"{row['protocol']} {row['client']} {row['vip']}": Entry(
                row["server"], row["state"], int(row["expires"])
            )
            for row in self._request({"do": "connections"})["connections"]
            if row["client"].startswith(own)
        }
        loads = {
            f"{_name(service)} {server['address']}:{server['port']}": Load(
                server["weight"], server["active"], server["inactive"]
            )
            for service in self._request({"do": "list", "at_once": True})["services"]
            if service["address"] == place.vip or service["mark"] == place.mark
            for server in service["servers"]
        }
        return Tables(connections, loads)


def _name(service: dict[str, Any]) -> str:
    if service["mark"]:
        return f"FWM {service['mark']}"
    return f"{service['protocol']} {service['address']}:{service['port']}"


class Live(ControlledDirector):
    """The director as a process on the wires' host."""

    def __init__(self, wires: Wires, method: str, engine: str) -> None:
        self._wires = wires
        if engine != "ipvs":
            wires.run("sysctl", "-qw", "net.ipv4.ip_forward=0")
        options = ["--method", method, "--engine", engine, "--socket", _SOCKET]
        if engine == "ebpf":  # it counts expired connections after sweeping the table, which must be small
            options += ["--conn-limit", str(_CONN_LIMIT)]
        interfaces = [f"d-{side}" for side in (CLIENTS, SERVERS)]
        self._process = wires.start(sys.executable, "-m", "director", *options, *interfaces)
        wait_for(self._is_up, 30, "the director's control socket", BuildFailed)

    def _is_up(self) -> bool:
        if self._process.poll() is not None:
            raise RuntimeError(f"the director has ended with {self._process.returncode}")
        return Path(_SOCKET).exists()

    def _request(self, request: Message) -> Message:
        return call(_SOCKET, request, timeout=patient(10))

    def wait(self, seconds: float) -> None:
        sleep(seconds)  # what is waited for is that nothing happens

    def exchange(self, frame: Frame) -> list[Frame]:
        """Send a frame; when the director answers a second request, its loop has read its wires."""
        self._wires.send(frame)
        out: list[Frame] = []
        replied = True
        while replied:
            for _ in range(2):
                self._request({"do": "counters"})
            received = list(self._wires.received(arp=True))
            replied = any(self._reply_to_arp(side, data) for side, data in received)
            out += [(side, data) for side, data in received if data[12:14] != _ARP]
        return out

    def _reply_to_arp(self, side: str, frame: bytes) -> bool:
        """Reply to an ARP request as the clients' gateway or a real server: packets may be waiting for it."""
        if frame[12:14] != _ARP or frame[20:22] != _REQUEST:
            return False
        address = ".".join(map(str, frame[38:42]))
        if not (is_server(address) if side == SERVERS else address == GATEWAY):
            return False
        own = bytes.fromhex((mac_of(address) if side == SERVERS else GATEWAY_MAC).replace(":", ""))
        reply = frame[6:12] + own + frame[12:20] + b"\x00\x02" + own + frame[38:42] + frame[22:32]
        self._wires.send((side, reply))
        return True

    def failed(self) -> int:
        """The number of frames that have ended in an unexpected exception."""
        return int(self._request({"do": "counters"})["engine"]["failed"])

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(patient(10))
        subprocess.run(["rm", "-f", _SOCKET], check=True)
