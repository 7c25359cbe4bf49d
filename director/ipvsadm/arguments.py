"""Parses a line of ipvsadm: its command, its options, and whether they go together.

requests.py interprets the values. Sources: ipvsadm(8) and the exit codes of ipvsadm 1.31: 255 for an option
that is unknown or lacks its value, 2 for everything else.
"""

from __future__ import annotations

from collections.abc import Sequence

from director.control.cli import (
    NO_VALUE,
    OPTIONAL_VALUE,
    REFUSED,
    VALUE,
    ToolError,
    UnsupportedOption,
    UsageError,
    getopt,
)

PROGRAM = "ipvsadm"
VERSION = f"{PROGRAM} of this director (the lines and listings of ipvsadm v1.31, IPVS v1.2.1)\n"
USAGE = f"""\
{PROGRAM} -A|-E SERVICE [-s SCHEDULER] [-p [SECONDS]] [-M NETMASK] [-b FLAGS] [-o]
{PROGRAM} -D SERVICE
{PROGRAM} -a|-e SERVICE -r ADDRESS[:PORT] [-g|-i|-m] [-w WEIGHT] [-x UPPER] [-y LOWER]
{PROGRAM} -d SERVICE -r ADDRESS[:PORT]
{PROGRAM} -L|-l [SERVICE] [-n] [-c] [--stats|--rate|--thresholds|--persistent-conn|--timeout]
           [--exact] [--nosort]
{PROGRAM} -Z [SERVICE]
{PROGRAM} --start-daemon master|backup [--mcast-interface INTERFACE] [--syncid ID]
           [--sync-maxlen BYTES] [--mcast-group ADDRESS] [--mcast-port PORT] [--mcast-ttl TTL]
           [--resync]
{PROGRAM} --stop-daemon master|backup | -L --daemon
{PROGRAM} -C | -S [-n] | -R [--line-by-line] | --set TCP TCPFIN UDP | -h | -v

Services and servers:
  -A --add-service     add a virtual service       -a --add-server     add a real server to one
  -E --edit-service    change one                  -e --edit-server    change one
  -D --delete-service  remove one                  -d --delete-server  remove one
  -C --clear           remove all services
  -S --save            print the rules as lines that -R understands
  -R --restore         carry out the lines on standard input, all of them or none
     --line-by-line    ... one by one, continuing after a refused line
  -L -l --list         print the rules, or with -c the connections
  -Z --zero            reset the counters to 0
  --set                timeouts of idle connections in seconds; 0 keeps a timeout as it is
  --start-daemon       tell another director about connections (master), or listen (backup)
  --stop-daemon        stop doing so

SERVICE is one of:
  -t --tcp-service ADDRESS[:PORT]     -u --udp-service ADDRESS[:PORT]
  -f --fwmark-service MARK            all packets that carry this firewall mark
An IPv6 address is in brackets before a port: [2001:db8::80]:80.

Options:
  -6 --ipv6                   IPv6 packets that carry the mark (after -f)
  -s --scheduler SCHEDULER    the scheduler (default: wlc)
  -p --persistent [SECONDS]   keep each client on one server for this long (default: 360)
  -M --netmask NETMASK        ... and all clients of a network; for IPv6, a prefix length
  -b --sched-flags FLAGS      sh-fallback,sh-port or mh-fallback,mh-port
  -o --ops                    schedule every packet (UDP)
  -r --real-server            the real server; its port may differ from the service's with -m only
  -g --gatewaying             direct routing (the default)
  -i --ipip                   tunnelling
  -m --masquerading           network address translation
  -w --weight                 capacity, 0 to 2147483647 (default: 1)
  -x --u-threshold            no new connections from this number of connections on ...
  -y --l-threshold            ... until it has fewer than this
  -n --numeric                numbers instead of names
  -c --connection             the connections
  -X --exact                  numbers in full instead of K, M and G
  --nosort                    in the order in which the rules were added
  --syncid ID                 0 to 255 (default: 255); a backup with 0 listens to every master
  --sync-maxlen BYTES         of a message, 1 to 65507 (default: what the MTU allows)
  --mcast-interface NAME      messages go out here (default: eth0) ...
  --mcast-group ADDRESS       ... to this group (default: 224.0.0.81)
  --mcast-port PORT           ... and UDP port (default: 8848)
  --mcast-ttl TTL             ... through this many networks (default: 1)
  --resync                    a backup asks for the whole table, and a master sends it when asked
                              (the kernel's daemons do not have this)
"""

_NAMES = {
    "add-service": "A",
    "edit-service": "E",
    "delete-service": "D",
    "clear": "C",
    "restore": "R",
    "save": "S",
    "add-server": "a",
    "edit-server": "e",
    "delete-server": "d",
    "list": "L",
    "zero": "Z",
    "help": "h",
    "tcp-service": "t",
    "udp-service": "u",
    "fwmark-service": "f",
    "scheduler": "s",
    "persistent": "p",
    "netmask": "M",
    "real-server": "r",
    "gatewaying": "g",
    "ipip": "i",
    "masquerading": "m",
    "weight": "w",
    "u-threshold": "x",
    "l-threshold": "y",
    "connection": "c",
    "ops": "o",
    "numeric": "n",
    "sched-flags": "b",
    "ipv6": "6",
}
_LONG = (
    *("set", "version", "timeout", "daemon", "stats", "rate", "thresholds", "persistent-conn"),
    *(
        "exact",
        "sort",
        "nosort",
        "line-by-line",
        "resync",
        "tun-info",
        "tun-nocsum",
        "tun-csum",
        "tun-remcsum",
    ),
)
_LONG_WITH_VALUE = (
    *("tun-type", "tun-port", "pe", "sctp-service", "start-daemon", "stop-daemon"),
    *("syncid", "sync-maxlen", "mcast-interface", "mcast-group", "mcast-port", "mcast-ttl"),
)
DAEMONS = ("start-daemon", "stop-daemon")  # commands whose value is a role
_KINDS = {
    **dict.fromkeys("AEDCRSaedLlZhvgimconX6", NO_VALUE),
    **dict.fromkeys("tufsMrwxyb", VALUE),
    "p": OPTIONAL_VALUE,
    **dict.fromkeys(_LONG, NO_VALUE),
    **dict.fromkeys(_LONG_WITH_VALUE, VALUE),
}
_NAMES.update({name: name for name in _LONG + _LONG_WITH_VALUE})
_ALIASES = {"l": "L", "v": "version", "X": "exact"}
_SPELLINGS = {key: f"--{name}" for name, key in _NAMES.items()}
ABSENT = {  # options of kernel IPVS that the director lacks, with their spellings
    key: _SPELLINGS[key]
    for key in ("tun-info", "tun-nocsum", "tun-csum", "tun-remcsum", "tun-port", "pe", "sctp-service")
}

SERVICES = "tuf"
FORWARDING = "gim"
VIEWS = ("stats", "rate", "thresholds", "persistent-conn")  # of several, the first is shown
_GROUPS = (SERVICES, FORWARDING)  # one option of each
_LISTING = {"n", "c", "timeout", "daemon", "exact", "sort", "nosort", *VIEWS}
_NAMING = {*SERVICES, "6"}
_EDITING = {*_NAMING, *"spMbo"}
_SERVING = {*_NAMING, *FORWARDING, *"rwxy", "tun-type"}
_COMMANDS = {  # with the options that each allows
    "A": _EDITING,
    "E": _EDITING,
    "D": _NAMING,
    "a": _SERVING,
    "e": _SERVING,
    "d": {*_NAMING, "r"},
    "L": {*_NAMING, *_LISTING},
    "S": {"n", "sort"},
    "Z": _NAMING,
    "R": {"line-by-line"},
    "start-daemon": {
        *("syncid", "sync-maxlen", "mcast-interface", "mcast-group", "mcast-port", "mcast-ttl", "resync"),
    },
    "stop-daemon": set[str](),
    **{key: set[str]() for key in ("C", "set", "h", "version")},
}


class Line:
    """A command and its options by their letters ("set" for --set), and the numbers of --set.

    `service` is the letter of the option that names a service, if there is one.
    """

    __slots__ = ("command", "options", "service", "words")

    def __init__(self, command: str, options: dict[str, str | None], words: Sequence[str] = ()) -> None:
        self.command = command
        self.options = options
        self.words = words
        self.service = next((letter for letter in SERVICES if letter in options), None)


def parse(words: Sequence[str]) -> Line:
    """Raises ToolError with the exit code of ipvsadm."""
    try:
        given, rest = getopt(PROGRAM, words, _KINDS, _NAMES)
    except UsageError as error:
        kind = UnsupportedOption if _exists(words[0]) else UsageError
        raise kind(str(error), REFUSED) from None
    given = [(_ALIASES.get(key, key), value) for key, value in given]
    _refuse_absent([key for key, _ in given])
    command = given[0][0] if given else "L"
    if command not in _COMMANDS or (words and not given):
        raise ToolError(f"a command comes first, such as -A or -L; {PROGRAM} -h lists them.", REFUSED)
    if command in ("h", "version"):
        return Line(command, {})
    options: dict[str, str | None] = {command: given[0][1]} if command in DAEMONS else {}
    for key, value in given[1:]:
        _put(options, command, key, value)
    line = Line(command, options, rest)
    _check(line)
    return line


def _exists(word: str) -> bool:
    """Whether the first option of a line is known: then the unknown one is a newer ipvsadm's."""
    if word.startswith("--"):
        return word[2:].partition("=")[0] in _NAMES
    return word.startswith("-") and word[1:2] in _KINDS


def _refuse_absent(keys: Sequence[str]) -> None:
    for key in keys:
        if key in ABSENT:
            raise UnsupportedOption(f"{ABSENT[key]} is for kernel IPVS: this director does not support it.")


def _put(options: dict[str, str | None], command: str, key: str, value: str | None) -> None:
    if key in _COMMANDS:
        raise UsageError(f"{_SPELLINGS[key]} is a second command, after {_SPELLINGS[command]}: give one.")
    group = next((group for group in _GROUPS if key in group), (key,))
    if any(other in options for other in group):
        among = " and ".join(_SPELLINGS[other] for other in group)
        raise UsageError(f"more than one of {among} was given." if group[1:] else f"{among} was given twice.")
    if key not in _COMMANDS[command]:
        raise UsageError(f"{_SPELLINGS[key]} does not go with {_SPELLINGS[command]}.")
    options[key] = value


def _check(line: Line) -> None:
    """Raises UsageError if something is missing, or options contradict each other."""
    if line.command in "AEDaed" and line.service is None:
        raise UsageError(f"{_SPELLINGS[line.command]} needs a service: -t, -u or -f.")
    if line.command in "aed" and "r" not in line.options:
        raise UsageError(f"{_SPELLINGS[line.command]} needs a real server: -r.")
    if "6" in line.options and (line.service != "f" or _comes_first("6", "f", line)):
        raise UsageError("--ipv6 is for --fwmark-service only, and comes after it.")
    if line.command == "set" and len(line.words) < 3:
        raise UsageError("--set needs three numbers: the seconds for TCP, for FIN_WAIT and for UDP.")
    left = line.words[3 if line.command == "set" else 0 :]
    if left:
        raise UsageError(f"{left[0]!r} is unexpected at the end of the line.")
    if line.command == "L":
        _check_listing(line)


def _comes_first(option: str, other: str, line: Line) -> bool:
    given = list(line.options)
    return given.index(option) < given.index(other)


def _check_listing(line: Line) -> None:
    """Some options select a listing of their own."""
    alone = [key for key in ("c", "timeout", "daemon") if key in line.options]
    others = [key for key in (*SERVICES, *VIEWS) if key in line.options]
    if "c" in alone and "persistent-conn" in others:
        others.remove("persistent-conn")
    if alone and len(alone + others) > 1:
        first, second, *_ = (_SPELLINGS[key] for key in alone + others)
        raise UsageError(f"{first} and {second} are two listings: give one.")
