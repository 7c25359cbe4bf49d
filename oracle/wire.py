"""A director's network namespace, and the outer ends of its cables.

Runs as root of the machine or of a namespace, inside `unshare --net --mount`.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

from labs.wait import patient
from oracle import packets
from oracle.site import (
    BOTH,
    CLIENTS,
    DIP,
    DIRECTOR_MACS,
    GATEWAY,
    GATEWAY_MAC,
    INSIDE,
    MTU,
    SERVER_COUNT,
    SERVERS,
    VIPS,
    mac_of,
    server,
)
from oracle.talk import Frame

_SOL_PACKET, _IGNORE_OUTGOING, _ALL = 263, 23, 3  # linux/if_packet.h, if_ether.h
_BUFFER = 4 * 1024 * 1024
_IPV4, _ARP = b"\x08\x00", b"\x08\x06"
_SETTINGS = {
    "net/ipv4/ip_forward": 1,
    "net/ipv4/conf/all/rp_filter": 0,
    "net/ipv4/conf/default/rp_filter": 0,
    "net/ipv4/conf/all/send_redirects": 0,
    "net/ipv4/conf/default/send_redirects": 0,
    "net/ipv6/conf/all/disable_ipv6": 1,
    "net/ipv6/conf/default/disable_ipv6": 1,
    "net/ipv4/icmp_ratelimit": 0,
}


class Late(Exception):
    """Something was sent when all should have been quiet: the machine is too slow for the time limits."""


class Wires:
    """The outer ends of the director's two cables, and the namespace `d` between them."""

    def __init__(self) -> None:
        _sh("ip", "netns", "add", "d")
        holder = ("ip", "netns", "exec", "d", "cat")
        self._holder = subprocess.Popen(holder, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        for side, address in ((CLIENTS, f"{DIP}/24"), (SERVERS, f"{INSIDE}/24")):
            self._plug(side, address)
        lines = [f"route add local {VIPS} dev lo", f"route add {BOTH} via {GATEWAY}"]
        lines.append(f"neigh add {GATEWAY} lladdr {GATEWAY_MAC} dev d-{CLIENTS} nud permanent")
        for number in range(1, SERVER_COUNT + 1):
            address = server(number)
            lines.append(f"neigh add {address} lladdr {mac_of(address)} dev d-{SERVERS} nud permanent")
        self.run("ip", "-batch", "-", text="\n".join(lines))
        self.run(
            "sh", "-c", "".join(f"echo {value} > /proc/sys/{name}; " for name, value in _SETTINGS.items())
        )
        self._sockets = {side: _socket(side) for side in (CLIENTS, SERVERS)}
        self._pings = 0

    def _plug(self, side: str, address: str) -> None:
        ours, theirs = side, f"d-{side}"
        _sh("ip", "link", "add", ours, "address", GATEWAY_MAC, "type", "veth", "peer", "name", theirs)
        _sh("sysctl", "-qw", f"net.ipv6.conf.{ours}.disable_ipv6=1")
        _sh("ip", "link", "set", ours, "up")
        _sh("ip", "link", "set", theirs, "netns", "d")
        self.run("ip", "link", "set", "lo", "up")
        self.run("ip", "link", "set", theirs, "address", DIRECTOR_MACS[side], "mtu", str(MTU[side]))
        self.run("ip", "addr", "add", address, "dev", theirs)
        self.run("ip", "link", "set", theirs, "up")
        self.run("ethtool", "-K", theirs, "tx", "off")

    def run(self, *command: str, text: str | None = None) -> str:
        """A command on the director's host."""
        return _sh("ip", "netns", "exec", "d", *command, text=text)

    def start(self, *command: str) -> subprocess.Popen[str]:
        """A program on the director's host that reads from us."""
        program = ("nsenter", f"--net=/proc/{self._holder.pid}/ns/net", *command)
        return subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)

    def proc(self, name: str) -> str:
        """A file of the director's /proc/net."""
        return Path("/proc", str(self._holder.pid), "net", name).read_text()

    def send(self, frame: Frame) -> None:
        self._sockets[frame[0]].send(frame[1])

    def received(self, *, arp: bool = False) -> Iterator[Frame]:
        """The frames that the director has sent: IPv4, and ARP if asked for."""
        for side, wire in self._sockets.items():
            with contextlib.suppress(BlockingIOError):
                while True:
                    frame = wire.recv(65536)
                    if frame[12:14] == _IPV4 or (arp and frame[12:14] == _ARP):
                        yield side, frame

    def settle(self, side: str) -> list[Frame]:
        """Ping the director from this side: it works in order, so the reply comes after all that it sends."""
        self._pings += 1
        source, dest = (GATEWAY, DIP) if side == CLIENTS else (server(1), INSIDE)
        mac = GATEWAY_MAC if side == CLIENTS else mac_of(server(1))
        ping = packets.echo_request(source, dest, self._pings)
        macs = DIRECTOR_MACS[side].replace(":", "") + mac.replace(":", "")
        self.send((side, bytes.fromhex(macs) + _IPV4 + ping))
        seen: list[Frame] = []
        deadline = monotonic() + patient(5)
        while monotonic() < deadline:
            for frame in self.received():
                if _is_pong(frame[1], self._pings):
                    return seen
                seen.append(frame)
        raise Late(f"no answer to a ping of {dest}")

    def close(self) -> None:
        for side, wire in self._sockets.items():
            wire.close()
            _sh("ip", "link", "del", side)
        self._holder.communicate()
        _sh("ip", "netns", "del", "d")


def _is_pong(frame: bytes, number: int) -> bool:
    packet = frame[14:]
    return packet[9] == packets.ICMP and packet[20] == 0 and packet[26:28] == struct.pack("!H", number)


def _socket(side: str) -> socket.socket:
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL))
    wire.setsockopt(_SOL_PACKET, _IGNORE_OUTGOING, 1)
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
    wire.bind((side, _ALL))
    wire.setblocking(False)
    return wire


def _sh(*command: str, text: str | None = None) -> str:
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, check=False, timeout=patient(20)
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
