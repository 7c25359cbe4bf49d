"""A lab's own namespaces, which the kernel itself cleans up.

    the command ── keeper ── first process of the sandbox ── everything else of the lab

When the first process ends, the kernel kills every process in its PID namespace and frees
every interface of the network namespaces. Keeper and first process are killed by the kernel
when their parent ends, so this holds for exit, Ctrl-C and SIGKILL alike, and there is no
clean-up code that could fail.

As root the user namespace is left out; as an ordinary user a range of uids is mapped by
newuidmap (package uidmap), so that programs that change user work unchanged.
"""

from __future__ import annotations

import getpass
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from labs import kernel
from labs.errors import LabError, Unable
from realserver_setup.netns import die_with_parent

_OUTSIDE = 0  # the pid of a parent in another PID namespace, as getppid(2) tells it
_LAB_NAMESPACES = (
    kernel.CLONE_NEWNS | kernel.CLONE_NEWNET | kernel.CLONE_NEWPID | kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS
)


def run_in_sandbox(inside: Callable[[], int]) -> int:
    """Call `inside` as the first process of a new sandbox and return what it returns.

    `inside` starts with a loopback that is up, an empty /run and a /proc of its own.
    Raises Unable where the machine refuses the namespaces.
    """
    as_root = os.geteuid() == 0
    sys.stdout.flush()
    sys.stderr.flush()
    asks, hears = os.pipe(), os.pipe()
    keeper = os.fork()
    if keeper == 0:
        os.close(asks[0])
        os.close(hears[1])
        _keep(inside, as_root, asks[1], hears[0])
    os.close(asks[1])
    os.close(hears[0])
    # The terminal sends Ctrl-C to all of us: the first process decides what it means.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        if not as_root and os.read(asks[0], 1):
            _map_users(keeper)
            os.write(hears[1], b"m")
        _, status = os.waitpid(keeper, 0)
    finally:
        signal.signal(signal.SIGINT, before)
        os.close(asks[0])
        os.close(hears[1])
    return os.waitstatus_to_exitcode(status)


def _keep(inside: Callable[[], int], as_root: bool, asks: int, hears: int) -> NoReturn:
    """The keeper: make the namespaces, then wait for their first process."""
    code = 1
    try:
        parent = os.getppid()
        if not as_root:
            kernel.unshare(kernel.CLONE_NEWUSER)
            os.write(asks, b"u")
            if not os.read(hears, 1):
                os._exit(2)
            os.setresgid(0, 0, 0)
            os.setresuid(0, 0, 0)
        die_with_parent(parent)  # after the change of user, which would undo it
        kernel.unshare(_LAB_NAMESPACES)
        alive = os.pipe()
        first = os.fork()
        if first == 0:
            os.close(alive[1])
            _begin(inside, alive[0])
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _, status = os.waitpid(first, 0)
        code = os.waitstatus_to_exitcode(status)
    except OSError as error:
        print(
            f"Can't make the lab's namespaces ({error}): run it with sudo, or see docs/trouble.md.",
            file=sys.stderr,
        )
        code = 2
    finally:
        os._exit(code if code >= 0 else 128 - code)


def _begin(inside: Callable[[], int], alive: int) -> NoReturn:
    """The first process: finish the namespaces from within, then do the lab's work."""
    code = 1
    try:
        die_with_parent(_OUTSIDE)
        if select.select([alive], [], [], 0)[0]:  # the keeper was gone before the line above
            os._exit(1)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, _as_interrupt)
        kernel.make_mounts_private()
        kernel.mount("proc", "/proc", "proc")
        kernel.mount("tmpfs", "/run", "tmpfs", "mode=0755")
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        code = inside()
    except KeyboardInterrupt:
        print("\nInterrupted; the kernel has cleaned up: nothing of the lab is left.", file=sys.stderr)
        code = 130
    except LabError as error:
        print(f"{error}", file=sys.stderr)
        code = error.exit_code
    except BaseException:  # noqa: BLE001 (nothing may leave this process but its exit code)
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _as_interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _map_users(keeper: int) -> None:
    """Map root of the sandbox to this user, and the user's range of subordinate ids above it."""
    for tool, table, own in (
        ("newuidmap", "/etc/subuid", os.getuid()),
        ("newgidmap", "/etc/subgid", os.getgid()),
    ):
        start, count = subordinate_range(table)
        subprocess.run(
            [tool, str(keeper), "0", str(own), "1", "1", str(start), str(count)],
            check=True,
            capture_output=True,
        )


def subordinate_range(table: str) -> tuple[int, int]:
    """The first id and the count that `table` (subuid(5), subgid(5)) gives to this user."""
    names = {getpass.getuser(), str(os.getuid())}
    lines = Path(table).read_text().splitlines() if Path(table).exists() else []
    for line in lines:
        owner, _, rest = line.strip().partition(":")
        if owner in names:
            start, _, count = rest.partition(":")
            return int(start), int(count)
    raise Unable(
        f"{table} gives {getpass.getuser()} no ids for a sandbox: run `sudo usermod --add-subuids "
        f"200000-265535 --add-subgids 200000-265535 {getpass.getuser()}`, or run the lab with sudo."
    )
