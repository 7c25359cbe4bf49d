"""What this machine offers to labs, engines, virtual machine and bench, as a table.

Each probe examines one subject and changes nothing, except that with root the kernel may load a module.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from director import engines
from director.engines.engine import EngineError
from labs.errors import LabError
from labs.machine import capabilities
from labs.machine.load import memory_available
from labs.network.sandbox import subordinate_ids
from labs.terminal.exits import REFUSED
from labs.terminal.screen import WIDE, make_console, table_box

_SERVER_MB = 12  # of memory for each real server in VS-TUN
_ADVICE = (": run ", ": `", ": ")  # what separates a fact from the advice
_OLDEST_PYTHON = (3, 10)
_NO_RYU = Path(__file__).resolve().parent.parent / ".venv" / "no-ryu"  # written by ./inv
_BENCH = {"iperf3": "iperf3", "wrk": "wrk", "haproxy": "haproxy", "clang": "clang"}
_VM = {"qemu-system-x86_64": "qemu-system-x86", "qemu-system-aarch64": "qemu-system-arm"}
_FALLBACK_TUNNELS = Path("/proc/sys/net/core/fb_tunnels_only_for_init_net")


class State(Enum):
    """The verdict of a probe, shown as a word and not by colour alone."""

    OK = "ok"
    LIMITED = "limited"  # works with restrictions
    NO = "no"


@dataclass(frozen=True, slots=True)
class Finding:
    """`observed` is a fact; `helps` is what to do about it, if anything."""

    subject: str
    state: State
    observed: str
    helps: str = ""


# ---- probes ----


def system() -> Finding:
    python = platform.python_version()
    observed = (
        f"{capabilities.distribution()} on {platform.machine()}, Linux {platform.release()}, Python {python}"
    )
    if tuple(map(int, platform.python_version_tuple()[:2])) < _OLDEST_PYTHON:
        return Finding("system", State.NO, observed, "Python 3.10 or later is needed.")
    return Finding("system", State.OK, observed)


def memory() -> Finding:
    free = memory_available() // 2**20
    most = min(200, free // _SERVER_MB)
    observed = f"{os.cpu_count()} processors, {free:,} MB free: room for {most} real servers"
    if most >= 3:
        return Finding("memory", State.OK, observed)
    return Finding("memory", State.NO, observed, "A lab with three real servers needs about 500 MB in all.")


def labs() -> Finding:
    return _tried("labs", capabilities.require, f"lab-nat, lab-tun and lab-dr can run as {_user()}")


def without_root() -> Finding:
    subject, setting = "labs without root", capabilities.forbids_user_namespaces()
    if setting:
        return Finding(
            subject, State.LIMITED, f"{setting} forbids user namespaces", "Use sudo, or change it."
        )
    if os.geteuid() == 0:
        return Finding(subject, State.OK, "no setting forbids user namespaces")
    tables = {"/etc/subuid": os.getuid(), "/etc/subgid": os.getgid()}
    return _tried(
        subject,
        lambda: [subordinate_ids(table, own) for table, own in tables.items()],
        "subordinate ids are configured",
    )


def switches() -> Finding:
    capabilities.load_modules_if_root("openvswitch")
    if capabilities.has_kernel_datapath():
        return Finding("Open vSwitch", State.OK, "kernel datapath")
    return Finding("Open vSwitch", State.LIMITED, "user-space datapath (no module openvswitch): slower")


def tunnels() -> Finding:
    capabilities.load_modules_if_root("ipip")
    if not Path("/sys/module/ipip").exists():
        observed = "the user-space tunl0 (no module ipip)"
    elif _FALLBACK_TUNNELS.exists() and _FALLBACK_TUNNELS.read_text().strip() != "0":
        observed = "the user-space tunl0 (net.core.fb_tunnels_only_for_init_net is set)"
    else:
        return Finding("tunl0", State.OK, "the kernel's own")
    return Finding("tunl0", State.LIMITED, observed, "It works the same; each server takes 6 MB more.")


def link_emulation() -> Finding:
    if capabilities.has_netem():
        return Finding("--delay, --loss", State.OK, "the kernel has netem")
    return Finding("--delay, --loss", State.NO, "no module sch_netem", "./inv vm lab-nat --delay 20")


def controller() -> Finding:
    if _NO_RYU.exists():
        return Finding("controller", State.LIMITED, "os-ken, Ryu's fork: Ryu cannot be built for this Python")
    return Finding("controller", State.OK, "Ryu")


def engine(name: str) -> Callable[[], Finding]:
    """A probe for one engine."""

    def probe() -> Finding:
        try:
            engines.require(name)
        except EngineError as missing:
            return Finding(f"--engine {name}", State.NO, *_fact_and_advice(str(missing)))
        return Finding(f"--engine {name}", State.OK, "can run here")

    return probe


def virtual_machine() -> Finding:
    if len(capabilities.missing_packages(_VM)) == len(_VM):
        return Finding(
            "./inv vm", State.LIMITED, "qemu is not installed", "`sudo ./inv vm lab-nat` installs it."
        )
    if os.access("/dev/kvm", os.R_OK | os.W_OK):
        return Finding("./inv vm", State.OK, "qemu and /dev/kvm are available; the first boot tries KVM")
    return Finding("./inv vm", State.LIMITED, "emulation only, no /dev/kvm: 20 to 30 times slower")


def bench() -> Finding:
    missing = capabilities.missing_packages(_BENCH)
    if missing:
        observed = f"not installed: {' '.join(missing)}"
        return Finding("./inv bench", State.LIMITED, observed, "`sudo ./inv bench --quick` installs them.")
    return Finding("./inv bench", State.OK, "all tools are installed")


PROBES: tuple[Callable[[], Finding], ...] = (
    system,
    memory,
    labs,
    without_root,
    switches,
    tunnels,
    link_emulation,
    controller,
    *map(engine, engines.names()),
    virtual_machine,
    bench,
)


def _tried(subject: str, attempt: Callable[[], object], works: str) -> Finding:
    try:
        attempt()
    except LabError as error:
        return Finding(subject, State.NO, *_fact_and_advice(str(error)))
    return Finding(subject, State.OK, works)


def _fact_and_advice(sentence: str) -> tuple[str, str]:
    """Split an error message of this project into fact and advice, which a colon separates."""
    at = next((sentence.index(mark) for mark in _ADVICE if mark in sentence), len(sentence))
    advice = sentence[at + 2 :]
    return sentence[:at], advice[:1].upper() + advice[1:]


def _user() -> str:
    return "root" if os.geteuid() == 0 else "an ordinary user"


# ---- the table ----

_STYLES = {State.OK: "green", State.LIMITED: "yellow", State.NO: "red"}
_NEEDED = ("system", "memory", "labs")


def show_machine(probes: Iterable[Callable[[], Finding]] = PROBES, console: Console | None = None) -> int:
    """Print the findings; exit code 0 if the labs can run, else 2."""
    findings = [probe() for probe in probes]
    console = console or make_console(WIDE)
    console.print(_table(findings, table_box()))
    lacking = [finding for finding in findings if finding.state is State.NO and finding.subject in _NEEDED]
    helps = "".join(f" {finding.helps}" for finding in lacking if finding.helps)
    console.print(
        f"The labs cannot run here.{helps}" if lacking else "The labs can run here: ./inv lab-nat",
        soft_wrap=True,
    )
    return REFUSED if lacking else 0


def _table(findings: Iterable[Finding], style: box.Box) -> Table:
    table = Table(box=style)
    for name in ("", "subject", "what was found", "what helps"):
        table.add_column(name)
    for finding in findings:
        state = Text(finding.state.value, _STYLES[finding.state])
        table.add_row(state, *map(Text, (finding.subject, finding.observed, finding.helps)))
    return table
