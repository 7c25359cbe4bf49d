"""The run document: which lab this is, its hosts and cables, a packet's path, the state diagram's arrows.

It is made from files that every run's folder has: pcap/about.json (labs/run/pcapng.py), the director's start
script, and lab.json if the lab stayed. A live view adds view.json. An incomplete folder still gives a
document, with a sentence that says what is missing.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import ip_interface
from itertools import pairwise
from pathlib import Path
from typing import Any

from labs.errors import BadRequest
from labs.methods import METHODS
from labs.network import addresses
from labs.network.topology import INTERNET, LAN, PRIVATE
from labs.run import json_lines
from labs.run.control_server import ABOUT as LAB
from labs.run.evidence import runs_folder
from labs.run.pcapng import ABOUT, SWITCHES
from view import mirror
from view.story import strict_json

SETTLED = "view.json"  # what only a live view knows: when the run started
_MOST = 4 * 1024 * 1024  # bytes of a file that describes a run
_SWITCH_OF = {words: name for name, words in SWITCHES.items()}
_LATEST = 1e11  # seconds since the epoch: year 5138
_ROLES = ("director", "client", "router", "real server")
_NAME = re.compile(r"(\d{8}-\d{6})-(?:lab|exercise)-(\w+)")
_LISTEN = re.compile(r"^\s*listen\s+(?:\S+:)?(\d+)", re.MULTILINE)
_SILENT = re.compile(
    r"^\s*ifconfig (lo(?::\d+)?|tunl0|sit0|ip6tnl0) (?:add )?([\d.]+|[0-9a-f]*:[0-9a-f:]+)(?:/\d+)?(?:\s|$)",
    re.MULTILINE,
)
HIDDEN = (
    "In an exercise the view shows the network as planned, the captures, and the director's events. "
    "Neighbour tables, addresses on loopback and tunnel devices, and faults are for you to find."
)


def find(name: str = "") -> Path:
    """The folder of a run, by path, folder name or lab name; the newest if `name` is empty.

    Raises BadRequest if there is none.
    """
    runs = runs_folder()
    known = sorted((folder for folder in runs.glob("*") if _looks_like_a_run(folder)), reverse=True)
    if not name:
        if not known:
            raise BadRequest(f"{runs} contains no run yet: run a lab first, such as ./inv lab-nat.")
        return known[0]
    for folder in (Path(name), runs / name):
        if _is_folder(folder):
            if not _looks_like_a_run(folder):
                raise BadRequest(
                    f"{folder} is not a run's folder, for it has no events or captures: name one in {runs}."
                )
            return folder.absolute()
    for folder in known:
        found = _NAME.match(folder.name)
        if found and name in (found[2], f"lab-{found[2]}"):
            return folder
    raise BadRequest(f"There is no run {name[:60]!r}: name a folder of {runs}, or a lab such as nat.")


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # too long, or not a valid file name
        return False


def _looks_like_a_run(folder: Path) -> bool:
    return _is_folder(folder) and (any(folder.glob("events*.jsonl")) or (folder / "pcap").is_dir())


def document(folder: Path, *, live: bool = False, view_only: bool = True) -> dict[str, Any]:
    """The run document of a folder; never raises, whatever the folder contains or lacks."""
    about, start, lab = _json(folder / "pcap" / ABOUT), _start(folder), _json(folder / LAB)
    report, settled = _json(folder / "report.json"), _json(folder / SETTLED)
    exercise = lab.get("exercise")
    missing = _missing(folder, about, start, live)
    named = _NAME.match(folder.name)
    lab_name = str(report.get("lab") or lab.get("lab") or f"lab-{named[2] if named else 'nat'}").removeprefix(
        "lab-"
    )
    method = start.get("method") or lab_name
    method = method if method in METHODS else "nat"
    vips = _vips(folder, about)
    hosts = _hosts(folder, about, exercise is not None)
    begun = settled.get("started")
    switches = sorted(
        {interface["switch"] for host in hosts for interface in host["interfaces"] if interface["switch"]}
    )
    return {
        "name": folder.name,
        "lab": "ha" if lab_name == "ha" else method,
        "method": method,
        "exercise": exercise,
        "engine": start.get("engine") or report.get("engine") or "scapy",
        "scheduler": start.get("scheduler") or report.get("scheduler") or "wrr",
        "live": live,
        "started": begun if isinstance(begun, (int, float)) and 0 < begun < _LATEST else started(folder),
        "ended": None if live else _ended(folder),
        "view_only": view_only,
        "vips": vips,
        "hosts": hosts,
        "switches": [{"name": name, "network": _network(name, hosts)} for name in switches],
        "links": _links(hosts),
        "path": _path(method, [host["name"] for host in hosts if host["role"] == "director"]),
        "actions": [],
        "states": {"TCP": list(mirror.edges(method))},
        "sources": _sources(folder),
        "incomplete": missing or None,
        "hidden": HIDDEN if exercise else None,
    }


def exercise_of(folder: Path) -> str:
    """The name of the run's exercise; empty for a lab."""
    return str(_json(folder / LAB).get("exercise") or "")


def _json(path: Path) -> dict[str, Any]:
    """The JSON object in a file; empty if the file is missing, too large, damaged or something else."""
    try:
        if path.stat().st_size > _MOST:
            return {}
        found = strict_json(path.read_text(errors="replace"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _start(folder: Path) -> dict[str, str]:
    """The options that the director was started with."""
    try:
        path = next((folder / "scripts").glob("d*/start.sh"))
        text = path.read_text(errors="replace")
        line = next(line for line in text.splitlines() if "lvs-director" in line)
        words = shlex.split(line)
    except (OSError, ValueError, StopIteration):
        return {}
    return {
        word.removeprefix("--"): following for word, following in pairwise(words) if word.startswith("--")
    }


def _missing(folder: Path, about: dict[str, Any], start: dict[str, str], live: bool) -> str:
    lacks = [
        what
        for what, present in (
            ("captures (pcap/)", any((folder / "pcap").glob("*.pcap"))),
            ("a description of its hosts (pcap/about.json)", bool(about.get("interfaces"))),
            ("the director's events (events.jsonl)", any(folder.glob("events*.jsonl"))),
            ("the director's start script", bool(start)),
            ("a report (report.json)", live or (folder / "report.json").exists() or (folder / LAB).exists()),
        )
        if not present
    ]
    return f"This run lacks {', '.join(lacks)}." if lacks else ""


def _vips(folder: Path, about: dict[str, Any]) -> list[str]:
    """From the description of the captures; if that is missing, from the events of each director."""
    names = about.get("names")
    found = [address for address, name in names.items() if name == "VIP"] if isinstance(names, dict) else []
    for path in sorted(folder.glob("events*.jsonl")) if not found else ():
        for event in json_lines.entries(path):
            if event.get("kind") == "new":
                return [str(event.get("vip", "")).rpartition(":")[0].strip("[]")]
    return found


def _hosts(folder: Path, about: dict[str, Any], hide: bool) -> list[dict[str, Any]]:
    """From the descriptions of interfaces: `client c1, 198.51.100.101, on the Internet`."""
    found: dict[str, dict[str, Any]] = {}
    described = about.get("interfaces")
    for interface, entry in described.items() if isinstance(described, dict) else ():
        if not (isinstance(entry, list) and len(entry) == 2 and all(isinstance(item, str) for item in entry)):
            continue
        words, mac = entry
        role = next((role for role in _ROLES if words.startswith(f"{role} ")), None)
        if role is None:
            continue
        name, *rest = words.removeprefix(f"{role} ").split(", ")
        host = found.setdefault(
            name, {"name": name, "role": role.replace(" ", ""), "interfaces": [], "ports": []}
        )
        if not mac or len(rest) < 2:
            continue  # a tunnel device: _silent describes it
        where = rest[-1].removeprefix("on ")
        switch = _SWITCH_OF.get(where, where.removeprefix("switch "))
        host["interfaces"].append(
            {
                "name": interface,
                "mac": mac,
                "switch": switch,
                "addresses": [
                    f"{address}/{_prefix(address)}" for words in rest[:-1] for address in words.split(" and ")
                ],
            }
        )
    for host in found.values():
        if host["role"] == "realserver":
            host["ports"] = _ports(folder, host["name"])
        if not hide:
            host["interfaces"] += _silent(folder, host["name"])
    return list(found.values())


def _prefix(address: str) -> int:
    if ":" in address:
        return 64
    return addresses.SITE_PREFIX if address.startswith("192.0.2.") else addresses.PREFIX


def _ports(folder: Path, host: str) -> list[int]:
    """The ports of its httpd, from the configuration, and 21 if it has an ftpd."""
    try:
        text = (folder / "servers" / host / "nginx.conf").read_text()
    except OSError:
        text = ""
    ftp = [21] if (folder / "logs" / f"ftpd-{host}.log").exists() else []
    return sorted({*map(int, _LISTEN.findall(text)), *ftp})


def _silent(folder: Path, host: str) -> list[dict[str, Any]]:
    """Addresses on devices without a cable, from the host's set-up scripts."""
    found: dict[str, list[str]] = {}
    for script in sorted((folder / "scripts" / host / "1999").glob("realserver*.sh")):
        if script.stem.endswith("-undo"):
            continue
        for device, address in _SILENT.findall(script.read_text(errors="replace")):
            if address not in ("0.0.0.0", "127.0.0.1", "::1"):
                found.setdefault(device, []).append(f"{address}/{128 if ':' in address else 32}")
    return [{"name": name, "mac": None, "switch": None, "addresses": found[name]} for name in sorted(found)]


def _network(switch: str, hosts: list[dict[str, Any]]) -> str:
    """The switch's network of each IP version, from its hosts' addresses, or else from the lab's plan."""
    found: dict[int, str] = {}
    for interface in (
        interface for host in hosts for interface in host["interfaces"] if interface["switch"] == switch
    ):
        for address in interface["addresses"]:
            with suppress(ValueError):  # a damaged description
                network = ip_interface(address).network
                found.setdefault(network.version, str(network))
    if found:
        return ", ".join(found[version] for version in sorted(found))
    known = {INTERNET: "198.51.100.0/24", LAN: addresses.DIRECTOR_NETWORK, PRIVATE: "172.16.0.0/24"}
    return known.get(switch, "")


def _links(hosts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The cables. A switch numbers its ports in the order in which hosts are connected."""
    counts: dict[str, int] = {}
    found = []
    for interface in (interface for host in hosts for interface in host["interfaces"] if interface["switch"]):
        counts[interface["switch"]] = counts.get(interface["switch"], 0) + 1
        found.append({"a": interface["name"], "b": interface["switch"], "port": counts[interface["switch"]]})
    return found


def _path(method: str, directors: list[str]) -> dict[str, list[str]]:
    """The hosts on the path of request and reply: `rs` is any real server, `site` its site's router."""
    director = directors[0] if directors else "d"
    if method == "tun":
        return {"request": ["c1", "r0", director, "r0", "site", "rs"], "reply": ["rs", "site", "c1"]}
    request = ["c1", "r0", director, "rs"]
    reply = ["rs", director, "r0", "c1"] if method == "nat" else ["rs", "r0", "c1"]
    return {"request": request, "reply": reply}


def started(folder: Path) -> float:
    """Time of the first event or packet, in seconds since the epoch: items count from here."""
    times = [
        *(
            float(event["time"])
            for path in folder.glob("events*.jsonl")
            for event in _first(json_lines.entries(path))
        ),
        *(at / 1e6 for at in _first_captured(folder)),
    ]
    return round(min(times), 6) if times else round(folder.stat().st_ctime, 6)


def _first(events: Iterable[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    return [event for event in events if isinstance(event.get("time"), (int, float))][:1]


def _first_captured(folder: Path) -> list[int]:
    from labs.run.packet_table import records

    found = []
    for path in (folder / "pcap").glob("*.pcap"):
        with suppress(OSError), path.open("rb") as opened:  # another user's, or no file
            found += [at for at, *_ in records(opened.read(65_536))][:1]
    return found


def sightings(folder: Path) -> int:
    """The number of frames in the captures that can be read."""
    from labs.run.packet_table import records

    count = 0
    for path in (folder / "pcap").glob("*.pcap"):
        with suppress(OSError):
            count += sum(1 for _ in records(path.read_bytes()))
    return count


def _ended(folder: Path) -> float | None:
    report = folder / "report.json"
    return round(report.stat().st_mtime, 3) if report.exists() else None


def _sources(folder: Path) -> list[str]:
    names = ["commands.jsonl", "report.json", "lab.json", "view.jsonl"]
    events = sorted(path.name for path in folder.glob("events*.jsonl"))
    found = events + [name for name in names if (folder / name).exists()]
    return found + sorted(f"pcap/{path.name}" for path in (folder / "pcap").glob("*.pcap"))
