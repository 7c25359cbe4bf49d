"""What this machine can do for a lab, probed before anything is built.

Each probe tries the operation itself if that is cheap, and its message says what to do.
"""

from __future__ import annotations

import errno
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from director import engines
from director.engines.engine import EngineError
from labs.errors import Unable
from labs.hosts import environment
from labs.machine import limits
from labs.network import sandbox
from labs.run.options import LabOptions
from labs.wait import patient
from realserver_setup import syscalls

SYSCTLS = Path("/proc/sys")
TUN = "/dev/net/tun"
PROGRAMS = {  # program: package
    "ovs-vswitchd": "openvswitch-switch",
    "ovsdb-server": "openvswitch-switch",
    "mnexec": "mininet",
    "nginx": "nginx",
    "curl": "curl",
    "tcpdump": "tcpdump",
    "ip": "iproute2",
    "ifconfig": "net-tools",
    "ethtool": "ethtool",
    "nft": "nftables",
}
SETTINGS = {  # sysctls that can disable user namespaces, each with the value that does
    "kernel/unprivileged_userns_clone": "0",
    "user/max_user_namespaces": "0",
    "kernel/apparmor_restrict_unprivileged_userns": "1",
}


def distribution() -> str:
    """The distribution's name and version (os-release(5): PRETTY_NAME)."""
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:  # no os-release file
        return "an unknown distribution"


def require(programs: dict[str, str] | None = None) -> None:
    """Raise Unable, with one sentence, if a lab cannot be built here."""
    require_programs(PROGRAMS if programs is None else programs)
    load_modules_if_root("openvswitch", "ipip", "ip6_tunnel", "tun")
    limits.require()
    if os.geteuid():
        _require_user_namespaces()
        require_programs({"newuidmap": "uidmap", "newgidmap": "uidmap"})
        sandbox.require_mapping()
    _require_tun()


def require_for(options: LabOptions) -> None:
    """Raise Unable if this machine lacks what these options need."""
    try:
        engines.require(options.engine)
    except EngineError as error:
        raise Unable(str(error)) from None
    if options.family != 4 and not (SYSCTLS / "net/ipv6").exists():
        raise Unable(f"--family {options.family}: this kernel has no IPv6: start it without ipv6.disable=1.")
    if options.impaired and not has_netem():
        raise Unable(
            "--delay and --loss need the kernel's netem (module sch_netem), which this kernel lacks: "
            "`./inv vm lab-nat --delay 20` boots one that has it."
        )


def has_netem() -> bool:
    """Whether netem works: tried on the loopback of a short-lived network namespace."""
    load_modules_if_root("sch_netem")
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    attempt = ["unshare", "--net", *user, "tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"]
    environment = {**os.environ, "PATH": search_path()}
    try:
        subprocess.run(attempt, capture_output=True, env=environment, timeout=patient(10), check=True)
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def has_kernel_datapath() -> bool:
    """Whether Open vSwitch can switch in this kernel, or needs its userspace datapath."""
    return Path("/sys/module/openvswitch").exists()


def has_kernel_tunnel(device: str) -> bool:
    """Whether new network namespaces get this device from the kernel. Call it in a sandbox.

    A loaded module is not enough: net.core.fb_tunnels_only_for_init_net can keep tunl0 out of them.
    """
    return (SYSCTLS / "net/ipv6/conf" / device).exists() or (SYSCTLS / "net/ipv4/conf" / device).exists()


def load_modules_if_root(*names: str) -> None:
    """Load these kernel modules if they exist; a missing one is not an error."""
    if os.geteuid() == 0 and (modprobe := shutil.which("modprobe", path=search_path())):
        for name in names:
            with suppress(subprocess.TimeoutExpired):
                subprocess.run([modprobe, "--quiet", name], capture_output=True, timeout=patient(20))


def search_path() -> str:
    """The PATH of a lab, independent of the caller's."""
    return environment.PATH


def missing_packages(programs: Mapping[str, str]) -> list[str]:
    """The packages of missing programs, given {program: package}."""
    path = search_path()
    return sorted({package for program, package in programs.items() if not shutil.which(program, path=path)})


def require_programs(programs: Mapping[str, str]) -> None:
    """Raises Unable, with the command that installs them, if programs are missing."""
    missing = missing_packages(programs)
    if missing:
        packages = " ".join(missing)
        raise Unable(f"Not installed: {packages}: run `sudo apt-get install {packages}`.")


def _require_user_namespaces() -> None:
    number = _try_user_namespace()
    if number == 0:
        return
    setting = forbids_user_namespaces()
    if setting:
        raise Unable(
            f"User namespaces are switched off here ({setting}): "
            "run the lab with sudo, or ask an administrator to change that setting."
        )
    raise Unable(f"User namespaces are refused here ({os.strerror(number)}): run the lab with sudo.")


def forbids_user_namespaces() -> str:
    """The setting that disables them for ordinary users, as name=value; empty if there is none."""
    for setting, forbidding in SETTINGS.items():
        path = SYSCTLS / setting
        if path.exists() and path.read_text().strip() == forbidding:
            return f"{setting.replace('/', '.')}={forbidding}"
    return ""


def _try_user_namespace() -> int:
    """Create a user namespace with a network namespace in a child process; the errno, 0 on success."""
    child = os.fork()
    if child == 0:
        try:
            syscalls.unshare(syscalls.CLONE_NEWUSER)
            syscalls.unshare(syscalls.CLONE_NEWNET)
            os._exit(0)
        except OSError as error:
            os._exit(error.errno or errno.EPERM)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _require_tun() -> None:
    try:
        os.close(os.open(TUN, os.O_RDWR))
    except OSError as error:
        raise Unable(
            f"{TUN} can't be opened ({error.strerror}): run `sudo modprobe tun` if it is missing, "
            "`sudo chmod 0666 /dev/net/tun` if users may not open it, or run the lab with sudo."
        ) from None
