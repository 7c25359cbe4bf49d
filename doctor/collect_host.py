"""Runs on a host of the lab and prints the state of its kernel as one Python literal.

    python collect_host.py TARGET...     with the next hop to each target

It is started once per host, so it imports little and leaves parsing to parse_host.py. What cannot be read is
left out.
"""

from __future__ import annotations

import array
import fcntl
import os
import socket
import struct
import sys
from collections.abc import Iterator

_IPV4 = "/proc/sys/net/ipv4"
_SETTINGS = ("forwarding", "arp_ignore", "arp_announce", "rp_filter", "send_redirects")
_GENERAL = ("ip_forward", "ip_no_pmtu_disc")
_LISTENS, _UNCONNECTED = "0A", "07"  # states of a socket in /proc/net/tcp and udp
_SIOCETHTOOL, _GET_TX_CHECKSUMS = 0x8946, 0x16  # linux/sockios.h, linux/ethtool.h
_ANY = "0.0.0.0"


def collect(targets: list[str]) -> dict[str, object]:
    """Everything; `ip`, `nft` and `rules` are the output of these programs."""
    asked = ["address show", "route show", "neighbour show", *(f"route get {target}" for target in targets)]
    nft = _output("", "nft", "-j", "list", "ruleset")
    return {
        "ip": _output("\n".join(asked) + "\n", "ip", "-j", "-force", "-batch", "-"),
        "settings": dict(_settings()),
        "offloads": {name: _offloads(name) for name in os.listdir("/sys/class/net") if name != "lo"},
        "counters": dict(_counters()),
        "listeners": [*_listeners("tcp", _LISTENS), *_listeners("udp", _UNCONNECTED)],
        "nft": nft,
        "rules": _output("", "nft", "-a", "list", "ruleset") if '"rule"' in nft else "",
    }


def _output(text: str, *command: str) -> str:
    """A program's output for the input `text`; importing subprocess would take longer."""
    reads, writes = os.pipe(), os.pipe()
    os.write(reads[1], text.encode())
    os.close(reads[1])
    actions = [
        (os.POSIX_SPAWN_DUP2, reads[0], 0),
        (os.POSIX_SPAWN_DUP2, writes[1], 1),
        (os.POSIX_SPAWN_OPEN, 2, "/dev/null", os.O_WRONLY, 0),
    ]
    try:
        process = os.posix_spawnp(command[0], command, os.environ, file_actions=actions)
    except OSError:
        process = 0
    os.close(reads[0])
    os.close(writes[1])
    with open(writes[0], errors="replace") as output:
        printed = output.read()
    if process:
        os.waitpid(process, 0)
    return printed


def _settings() -> Iterator[tuple[str, int]]:
    names = [f"conf.{interface}.{name}" for interface in os.listdir(f"{_IPV4}/conf") for name in _SETTINGS]
    for setting in (*_GENERAL, *names):
        where, _, rest = setting.partition(".")
        interface, _, name = rest.rpartition(".")  # an interface's name may have dots
        path = f"{_IPV4}/{where}/{interface}/{name}" if rest else f"{_IPV4}/{where}"
        try:
            with open(path) as file:
                yield setting, int(file.read())
        except (OSError, ValueError):
            continue


def _offloads(interface: str) -> bool:
    """Whether TCP checksums of sent packets are left to the device."""
    value = array.array("B", struct.pack("II", _GET_TX_CHECKSUMS, 0))
    request = struct.pack("16sP16x", interface.encode(), value.buffer_info()[0])
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            fcntl.ioctl(any_socket, _SIOCETHTOOL, request)
    except OSError:
        return False
    return bool(struct.unpack("II", value.tobytes())[1])


def _counters() -> Iterator[tuple[str, int]]:
    """The counters that are not 0, by nstat's names."""
    for file in ("snmp", "netstat"):
        with open(f"/proc/net/{file}") as lines:
            words = [line.split() for line in lines]
        for names, values in zip(words[::2], words[1::2]):  # noqa: B905 (pairs of lines)
            for name, value in zip(names[1:], values[1:]):  # noqa: B905
                if value != "0":
                    yield names[0].rstrip(":") + name, int(value)


def _listeners(protocol: str, state: str) -> Iterator[tuple[str, str, int]]:
    """Protocol, address and port; an IPv6 socket that listens on all addresses accepts IPv4 as well."""
    for file in (protocol, f"{protocol}6"):
        try:
            with open(f"/proc/net/{file}") as lines:
                words = [line.split() for line in lines][1:]
        except OSError:
            continue
        for word in words:
            address, port = word[1].split(":")
            if word[3] == state and (file == protocol or not int(address, 16)):
                yield protocol.upper(), _dotted(address) if file == protocol else _ANY, int(port, 16)


def _dotted(hexadecimal: str) -> str:
    return socket.inet_ntoa(struct.pack("=I", int(hexadecimal, 16)))


if __name__ == "__main__":
    print(collect(sys.argv[1:]))
