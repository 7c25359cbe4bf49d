"""Runs on a host of the lab and prints the state of its kernel as one Python literal.

    python collect_host.py TARGET... FOLDER... FILE...

TARGET   an argument of `ip route get`: the output has its next hop
FOLDER   an absolute path: whether files can be written there
FILE     `has:SIZE:CRC32:PATH`: whether there is no such file, or, with a slash at its end, no such folder;
         and whether its size or its sum, if given, is another

Folders and files are checked here because a file system may be mounted on this host only. The program runs
once per host, so it imports little and leaves parsing to parse_host.py. What cannot be read is left out.
"""

from __future__ import annotations

import array
import fcntl
import os
import socket
import struct
import sys
import zlib
from collections.abc import Iterator

_TREES = {4: "/proc/sys/net/ipv4", 6: "/proc/sys/net/ipv6"}
_SETTINGS = (
    *("forwarding", "arp_ignore", "arp_announce", "arp_filter", "rp_filter", "send_redirects"),
    *("proxy_arp", "proxy_arp_pvlan", "accept_local", "drop_gratuitous_arp"),
    *("disable_ipv6", "accept_dad", "accept_ra", "drop_unsolicited_na", "hop_limit"),
)
_SOLICITS = "mcast_solicit"  # the number of ARP requests for a neighbour
_RANGES = ("ip_local_port_range", "ip_local_reserved_ports")  # of both IP versions
_GENERAL = ("ip_forward", "ip_no_pmtu_disc", "ip_default_ttl")
_LISTENS, _UNCONNECTED = "0A", "07"  # states of a socket in /proc/net/tcp and udp
_ACCEPTS = 0x10000  # flag of a socket in /proc/net/unix (SO_ACCEPTCON)
_TUN = "/dev/net/tun"
_LONGEST = 400  # characters of a command line, with a Python program's name after its options
_SIOCETHTOOL, _GET_TX_CHECKSUMS = 0x8946, 0x16  # linux/sockios.h, linux/ethtool.h
HAS = "has:"  # before SIZE:CRC32:PATH of a file that should be there; size and sum may be empty
_ANY6, _BOTH = "::", "*"


def collect(asked_for: list[str]) -> dict[str, object]:
    """The whole state; `ip`, `nft`, `rules` and `tc` are the output of those programs."""
    folders = [name for name in asked_for if name.startswith("/")]
    files = [name[len(HAS) :].split(":", 2) for name in asked_for if name.startswith(HAS)]
    targets = [name for name in asked_for if not name.startswith(("/", HAS))]
    version = 6 if any(":" in target for target in targets) else 4
    asked = [
        "route show",
        "neighbour show nud all",  # also those in state NOARP
        "rule show",
        *(f"route get {target}" for target in targets),
    ]
    nft = _output("", "nft", "-j", "list", "ruleset")
    processes, sockets = _processes()
    return {
        "ip": _output("", "ip", "-j", "address", "show")
        + _output("\n".join(asked) + "\n", "ip", f"-{version}", "-j", "-force", "-batch", "-"),
        "settings": dict(_settings(_TREES[version])),
        "ranges": dict(_ranges(_TREES[4])),
        "offloads": {name: _offloads(name) for name in os.listdir("/sys/class/net") if name != "lo"},
        "counters": dict(_counters()),
        "listeners": [
            (*end, *sockets.get(inode, (0, "", "")))
            for inode, *end in (
                *_listeners("tcp", _LISTENS),
                *_listeners("udp", _UNCONNECTED),
                *_unix_listeners(),
            )
        ],
        "processes": processes,
        "nft": nft,
        "rules": _output("", "nft", "-a", "list", "ruleset") if '"rule"' in nft else "",
        "tc": list(_traffic_filters()),
        "xfrm": _output("", "ip", "xfrm", "policy"),
        "iptables": _legacy_tables(),
        "iptables_rules": _output("", "iptables-legacy-save") if _legacy_tables() else "",
        "unwritable": [f"{folder}: {why}" for folder, why in zip(folders, map(_unwritable, folders)) if why],  # noqa: B905
        "covered": [folder for folder in folders if os.path.ismount(folder)],
        "missing": [os.path.basename(path.rstrip("/")) for *_, path in files if not _is_there(path)],
        "altered": [os.path.basename(path) for size, crc, path in files if _is_altered(size, crc, path)],
    }


def _is_there(path: str) -> bool:
    return os.path.isdir(path) if path.endswith("/") else os.path.isfile(path)


def _is_altered(size: str, checksum: str, path: str) -> bool:
    if not size or not os.path.isfile(path):
        return False
    if os.path.getsize(path) != int(size):
        return True
    if not checksum:
        return False
    with open(path, "rb") as file:
        return f"{zlib.crc32(file.read()):08x}" != checksum


def _output(text: str, *command: str) -> str:
    """A program's output, with `text` as its input; subprocess would take longer to import."""
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


def _traffic_filters() -> Iterator[tuple[str, str, str]]:
    """Interface, hook, and tc's output for its filters there."""
    for line in _output("", "tc", "qdisc", "show").splitlines():
        words = line.split()  # qdisc clsact ffff: dev eth0 parent ffff:fff1
        if len(words) > 4 and words[1] in ("clsact", "ingress"):
            for hook in ("ingress", "egress")[: 2 if words[1] == "clsact" else 1]:
                printed = _output("", "tc", "filter", "show", "dev", words[4], hook)
                if printed.strip():
                    yield words[4], hook, printed


def _legacy_tables() -> list[str]:
    """The tables of iptables-legacy (ip_tables), which nft does not list."""
    try:
        with open("/proc/net/ip_tables_names") as names:
            return names.read().split()
    except OSError:
        return []


def _unwritable(folder: str) -> str:
    """Why no file can be written there, such as a full or read-only file system; "" if files can."""
    try:
        system = os.statvfs(folder)
    except OSError:
        return ""
    if system.f_flag & os.ST_RDONLY:
        return "a read-only file system"
    if (system.f_bfree and (system.f_ffree or not system.f_files)) or not system.f_blocks:
        return ""
    return "no space left"


def _settings(tree: str) -> Iterator[tuple[str, int]]:
    names = [f"conf.{interface}.{name}" for interface in os.listdir(f"{tree}/conf") for name in _SETTINGS]
    for setting in (*_GENERAL, *names):
        where, _, rest = setting.partition(".")
        interface, _, name = rest.rpartition(".")  # an interface's name may have dots
        path = f"{tree}/{where}/{interface}/{name}" if rest else f"{tree}/{where}"
        yield from _number(setting, path)
    for interface in os.listdir(f"{tree}/neigh"):
        yield from _number(f"neigh.{interface}.{_SOLICITS}", f"{tree}/neigh/{interface}/{_SOLICITS}")


def _ranges(tree: str) -> Iterator[tuple[str, str]]:
    for name in _RANGES:
        try:
            with open(f"{tree}/{name}") as file:
                yield name, " ".join(file.read().split())
        except OSError:
            continue


def _number(setting: str, path: str) -> Iterator[tuple[str, int]]:
    try:
        with open(path) as file:
            yield setting, int(file.read())
    except (OSError, ValueError):
        return


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


def _listeners(protocol: str, state: str) -> Iterator[tuple[str, str, str, int]]:
    """Inode, protocol, address, port; `*` is all addresses of both IP versions."""
    for file in (protocol, f"{protocol}6"):
        try:
            with open(f"/proc/net/{file}") as lines:
                words = [line.split() for line in lines][1:]
        except OSError:
            continue
        for word in words:
            address, port = word[1].split(":")
            if word[3] == state:
                shown = _written(address)
                if shown == _ANY6 and not (file == "tcp6" and _is_free(int(port, 16))):
                    shown = _BOTH  # not IPV6_V6ONLY
                yield word[9], protocol.upper(), shown, int(port, 16)


def _is_free(port: int) -> bool:
    """Whether no socket listens on that port of an IPv4 address."""
    with socket.socket() as control:
        control.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections in TIME_WAIT do not count
        try:
            control.bind(("", port))
        except OSError:
            return False
    return True


def _unix_listeners() -> Iterator[tuple[str, str, str, int]]:
    """The same for Unix sockets of this network namespace that have a path."""
    try:
        with open("/proc/net/unix") as lines:
            words = [line.split() for line in lines][1:]
    except OSError:
        return
    for word in words:
        if len(word) > 7 and int(word[3], 16) & _ACCEPTS:
            yield word[6], "UNIX", _now(word[7]), 0


def _now(path: str) -> str:
    """The current path of a socket bound as `PATH~` and then renamed: the kernel lists the old name."""
    renamed = path[:-1]
    return renamed if path.endswith("~") and os.path.exists(renamed) else path


_Socket = tuple[int, str, str]  # a process: pid, program, state


def _processes() -> tuple[list[tuple[int, str, str, bool, int, int]], dict[str, _Socket]]:
    """The other processes in this network namespace, and the processes of sockets, by inode."""
    here, found, sockets = os.readlink("/proc/self/ns/net"), [], {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if int(pid) == os.getpid() or os.readlink(f"/proc/{pid}/ns/net") != here:
                continue
            with open(f"/proc/{pid}/cmdline", errors="replace") as file:
                command = file.read().replace("\0", " ").strip()
            with open(f"/proc/{pid}/stat", errors="replace") as file:
                name, _, rest = file.read().partition("(")[2].rpartition(")")
            state = rest.split()[0]
            targets = list(_open_files(pid))
            shown = (command or name)[:_LONGEST]
            found.append((int(pid), shown, state, _TUN in targets, len(targets), _most_files(pid)))
            for target in targets:
                if target.startswith("socket:["):
                    sockets[target[8:-1]] = (int(pid), name, state)
        except (OSError, IndexError):
            continue
    return found, sockets


def _open_files(pid: str) -> Iterator[str]:
    """The targets of its descriptors, "" for one that was closed meanwhile."""
    for number in os.listdir(f"/proc/{pid}/fd"):
        try:
            yield os.readlink(f"/proc/{pid}/fd/{number}")
        except FileNotFoundError:
            yield ""


def _most_files(pid: str) -> int:
    """Its soft limit of open file descriptors; 0 for no limit."""
    with open(f"/proc/{pid}/limits") as lines:
        found = [line.split()[3] for line in lines if line.startswith("Max open files")]
    return int(found[0]) if found and found[0].isdigit() else 0


def _written(hexadecimal: str) -> str:
    """The text of an address in /proc/net/tcp or tcp6, which are words in the machine's byte order."""
    words = [int(hexadecimal[at : at + 8], 16) for at in range(0, len(hexadecimal), 8)]
    family = socket.AF_INET if len(words) == 1 else socket.AF_INET6
    return socket.inet_ntop(family, struct.pack(f"={len(words)}I", *words))


if __name__ == "__main__":
    print(collect(sys.argv[1:]))
