"""The environment of all programs inside a lab, independent of the caller's.

A caller's proxies, dotfiles, locale, PYTHON* variables and umask, and the sysctls that a new network
namespace inherits, would change what a lab does. So the first process of a sandbox calls `enter`, and all
others inherit from it. Only variables that describe the terminal or belong to the project (LVS_*) pass.

In the other direction, libraries write files into the caller's HOME, which under sudo may belong to
another user. `keep_out_of_home` redirects them to the cache of the labs.
"""

from __future__ import annotations

import os
import pwd
import stat
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from director.control import SOCKET_VARIABLE
from labs.errors import Unable
from realserver_setup import syscalls

ROOT = Path(__file__).resolve().parents[2]
BIN = ROOT / "director" / "bin"
AVAILABILITY = ROOT / "availability" / "bin"
DIRECTOR = "/run/lvs-director.sock"  # its control socket
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
HOME = Path("/run/home")  # in the sandbox's own /run, which ends with the lab
CACHE_VARIABLE, STATE_VARIABLE = "LVS_CACHE", "LVS_STATE"
UMASK = 0o022
_OURS = "LVS_"
_NOT_FOR_A_LAB = {"LVS_CLASS_SECRET"}  # the teacher's
_OF_THE_TERMINAL = ("TERM", "COLORTERM", "NO_COLOR", "COLUMNS", "LINES")

# The kernel's defaults (net/ipv4/devinet.c, net/ipv6/addrconf.c) of the interface settings that change where
# packets go, below /proc/sys/net. A network namespace inherits the machine's values, those of IPv6 only where
# net.core.devconf_inherit_init_net is 1 or 3. `forwarding` and `disable_ipv6` of `all` come first: changing
# them makes the kernel set others.
_SETTINGS = Path("/proc/sys/net")
_INTERFACES = ("all", "default", "lo")
_IPV4 = {
    **dict.fromkeys(
        (
            *("forwarding", "accept_local", "arp_accept", "arp_announce", "arp_filter", "arp_ignore"),
            *("arp_notify", "bc_forwarding", "bootp_relay", "drop_gratuitous_arp"),
            *("drop_unicast_in_l2_multicast", "ignore_routes_with_linkdown", "log_martians"),
            *("promote_secondaries", "proxy_arp", "proxy_arp_pvlan", "route_localnet", "rp_filter"),
            "src_valid_mark",
        ),
        "0",
    ),
    **dict.fromkeys(("accept_redirects", "secure_redirects", "send_redirects", "shared_media"), "1"),
    "accept_source_route": "1",
}
_IPV6 = {
    **dict.fromkeys(
        (
            *("disable_ipv6", "forwarding", "accept_ra_from_local", "accept_ra_min_lft"),
            *("accept_ra_rt_info_max_plen", "accept_ra_rt_info_min_plen", "accept_source_route"),
            *("accept_untracked_na", "addr_gen_mode", "disable_policy", "drop_unicast_in_l2_multicast"),
            *("drop_unsolicited_na", "force_forwarding", "force_mld_version", "force_tllao"),
            *("ignore_routes_with_linkdown", "keep_addr_on_down", "ndisc_notify", "ndisc_tclass"),
            *("optimistic_dad", "proxy_ndp", "use_oif_addrs_only", "use_optimistic", "use_tempaddr"),
        ),
        "0",
    ),
    **dict.fromkeys(
        (
            *("accept_dad", "accept_ra", "accept_ra_defrtr", "accept_ra_min_hop_limit", "accept_ra_mtu"),
            *("accept_ra_pinfo", "accept_ra_rtr_pref", "accept_redirects", "autoconf", "dad_transmits"),
            *("enhanced_dad", "ndisc_evict_nocarrier", "suppress_frag_ndisc"),
        ),
        "1",
    ),
    "hop_limit": "64",
}
_DEFAULTS = {
    **{f"ipv4/conf/{where}/{name}": value for where in _INTERFACES for name, value in _IPV4.items()},
    "ipv4/conf/all/accept_source_route": "0",
    **{f"ipv6/conf/{where}/{name}": value for where in _INTERFACES for name, value in _IPV6.items()},
    "ipv6/conf/all/accept_dad": "0",
    "ipv6/conf/lo/accept_dad": "-1",
    "ipv6/conf/lo/use_tempaddr": "-1",
}
_inherited: dict[str, str] = {}  # settings that the sandbox inherited with other values, and their defaults


def lab_environment(caller: Mapping[str, str]) -> dict[str, str]:
    """The environment variables of a process inside a lab, given its caller's."""
    ours = {name for name in caller if name.startswith(_OURS)} - _NOT_FOR_A_LAB
    return {
        **{name: caller[name] for name in (*ours, *_OF_THE_TERMINAL) if name in caller},
        **_for_libraries(caller),
        STATE_VARIABLE: str(state_folder(caller)),  # HOME is another one from now on
        "TERM": caller.get("TERM") or "dumb",
        "PATH": f"{BIN}:{AVAILABILITY}:{PATH}",
        "HOME": str(HOME),
        "USER": "root",
        "LOGNAME": "root",
        "SHELL": "/bin/bash",
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": str(ROOT),  # the lab may have been started from anywhere
        **({"PYTHONDONTWRITEBYTECODE": "1"} if sys.dont_write_bytecode else {}),
        SOCKET_VARIABLE: DIRECTOR,
        "LVS_PYTHON": sys.executable,  # for the programs in BIN
    }


def enter() -> None:
    """Make this process, the first of a sandbox, independent of its caller."""
    variables = lab_environment(os.environ)
    os.environ.clear()
    os.environ.update(variables)
    os.umask(UMASK)
    HOME.mkdir(exist_ok=True)
    if not _can_stay():
        os.chdir("/")
    with suppress(OSError):  # only a cache
        Path(variables["XDG_CACHE_HOME"]).mkdir(mode=0o700, parents=True, exist_ok=True)
    _inherited.update(settings_not_default())
    _set(_inherited)


def _can_stay() -> bool:
    """Whether this user can enter the current folder: mnexec changes into it again."""
    try:
        return os.access(os.getcwd(), os.X_OK)
    except OSError:
        return False


def reset_settings(pid: int) -> None:
    """Set the kernel's defaults in the new network namespace of process `pid`."""
    if not _inherited:
        return

    def inside() -> None:
        syscalls.join(pid)  # moves this thread only
        _set(_inherited)

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()


def reset_settings_here() -> None:
    """The same for the network namespace of this thread."""
    _set(settings_not_default())


def settings_not_default() -> dict[str, str]:
    """Settings of this network namespace that differ from the kernel's defaults, with the defaults."""
    return {name: value for name, value in _DEFAULTS.items() if _read(name) not in ("", value)}


def _read(name: str) -> str:
    """The value of a setting; empty if this kernel lacks it."""
    try:
        return (_SETTINGS / name).read_text().strip()
    except OSError:
        return ""


def _set(settings: Mapping[str, str]) -> None:
    for name, value in settings.items():
        (_SETTINGS / name).write_text(value)


def keep_out_of_home() -> None:
    """Make the libraries that this process will import write to the cache of the labs, not to HOME."""
    os.environ.update(_for_libraries(os.environ))


def _for_libraries(caller: Mapping[str, str]) -> dict[str, str]:
    """Variables for libraries. Idempotent: an earlier call has set LVS_CACHE."""
    own = cache_folder(caller)
    theirs = {"XDG_CACHE_HOME": "lib", "XDG_CONFIG_HOME": "lib", "MPLCONFIGDIR": "lib/matplotlib"}
    return {CACHE_VARIABLE: str(own), **{name: str(own / folder) for name, folder in theirs.items()}}


def cache_folder(caller: Mapping[str, str]) -> Path:
    """LVS_CACHE, else lvs-lab in the user's cache folder, else a temporary folder."""
    return _own_folder(caller, CACHE_VARIABLE, "XDG_CACHE_HOME", ".cache")


def state_folder(caller: Mapping[str, str]) -> Path:
    """LVS_STATE, else the same in the user's state folder, for files that are to be kept."""
    return _own_folder(caller, STATE_VARIABLE, "XDG_STATE_HOME", ".local/state")


def _own_folder(caller: Mapping[str, str], ours: str, variable: str, below_home: str) -> Path:
    chosen = caller.get(ours)
    return Path(chosen).absolute() if chosen else _of_user(caller, variable, below_home) / "lvs-lab"


def _of_user(caller: Mapping[str, str], variable: str, below_home: str) -> Path:
    """An XDG base folder of the real user, which need not exist. Raises Unable."""
    base = Path(caller.get(variable) or "")
    if base.is_absolute() and _is_own(base):
        return base
    for home in (caller.get("HOME") or "", _passwd_home()):
        if os.path.isabs(home) and os.path.isdir(home) and _is_own(Path(home)):
            return Path(home) / below_home
    return _temporary()


def _temporary() -> Path:
    """A private folder for a user without a home. Raises Unable if others can write to it."""
    folder = Path(tempfile.gettempdir(), f"lvs-lab-{os.geteuid()}")
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise Unable(f"{folder}: {error.strerror}: set HOME to a folder of yours.") from None
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise Unable(f"{folder} is accessible to others: set HOME to a folder of yours.")
    return folder


def _passwd_home() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:
        return ""


def _is_own(folder: Path) -> bool:
    """Whether this user owns, and may write to, the folder or its nearest existing parent."""
    try:
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        return existing.stat().st_uid == os.geteuid() and os.access(existing, os.W_OK | os.X_OK)
    except OSError:
        return False


def user_name() -> str:
    """The name of the real user, or the uid of one without a name; LOGNAME does not count."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
