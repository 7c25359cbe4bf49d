"""A lab's own namespaces, which the kernel cleans up.

    command ── keeper ── first process of the sandbox ── all other processes of the lab

When the first process ends, the kernel kills every process in its PID namespace and frees every interface
of the network namespaces. The kernel also kills keeper and first process when their parent ends. So exit,
Ctrl-C and SIGKILL all clean up, without any code that could fail.

Root needs no user namespace. For an ordinary user, newuidmap (package uidmap) maps a range of uids, so that
programs that change user work unchanged.
"""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import NoReturn

from labs.errors import Unable
from labs.hosts import environment
from labs.terminal.exits import exit_code_of, print_error
from realserver_setup import syscalls
from realserver_setup.syscalls import die_with_parent

_OUTSIDE = 0  # what getppid(2) returns for a parent in another PID namespace
_ID = re.compile(r"[0-9]{1,10}")
_LAB_NAMESPACES = (
    syscalls.CLONE_NEWNS
    | syscalls.CLONE_NEWNET
    | syscalls.CLONE_NEWPID
    | syscalls.CLONE_NEWIPC
    | syscalls.CLONE_NEWUTS
)


def run_in_sandbox(inside: Callable[[], int]) -> int:
    """Call `inside` in the first process of a new sandbox and return its exit code.

    The sandbox has an active loopback, an empty /run, its own /proc and environment. An exception becomes a
    sentence and an exit code (labs/terminal/exits.py). Raises Unable if the machine refuses the namespaces.
    """
    as_root = os.geteuid() == 0
    for stream in filter(None, (sys.stdout, sys.stderr)):
        stream.flush()
    to_parent, to_keeper = os.pipe(), os.pipe()
    unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    keeper = os.fork()
    if keeper == 0:
        os.close(to_parent[0])
        os.close(to_keeper[1])
        _keep(inside, as_root, to_parent[1], to_keeper[0])
    os.close(to_parent[1])
    os.close(to_keeper[0])
    # The terminal sends Ctrl-C to all of these processes; the first process of the sandbox handles it.
    if signal.SIGINT in signal.sigpending():  # it arrived before the keeper existed
        os.kill(keeper, signal.SIGINT)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
    signal.signal(signal.SIGTSTP, signal.SIG_IGN)  # this process stops last, so the shell knows that all have
    try:
        if not as_root and os.read(to_parent[0], 1):
            _map_users(keeper)
            os.write(to_keeper[1], b"m")
    finally:
        os.close(to_parent[0])
        os.close(to_keeper[1])  # a keeper without an answer ends
        while os.WIFSTOPPED(status := os.waitpid(keeper, os.WUNTRACED)[1]):
            os.kill(os.getpid(), signal.SIGSTOP)
        signal.signal(signal.SIGINT, before)
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    return _code(status)


def _code(status: int) -> int:
    """The exit code of a wait status; 128 plus the signal if one ended the process, as in a shell."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _keep(inside: Callable[[], int], as_root: bool, to_parent: int, to_keeper: int) -> NoReturn:
    """The keeper: create the namespaces, then wait for their first process.

    Ctrl-C stays blocked in both until the first process handles it. Before that, it ends the keeper, and
    everything with it.
    """
    code = 1
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        parent = os.getppid()
        if not as_root:
            syscalls.unshare(syscalls.CLONE_NEWUSER)
            os.write(to_parent, b"u")
            if not os.read(to_keeper, 1):
                os._exit(2)
            os.setresgid(0, 0, 0)
            os.setresuid(0, 0, 0)
        die_with_parent(parent)  # after the change of user, which would reset it
        syscalls.unshare(_LAB_NAMESPACES)
        alive = os.pipe()
        first = os.fork()
        if first == 0:
            os.close(alive[1])
            _begin(inside, alive[0])
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _stop_together(first)
        code = _code(os.waitpid(first, 0)[1])
    except OSError as error:
        print_error(f"Can't make the lab's namespaces ({error}): run it with sudo, or see docs/trouble.md.")
        code = 2
    finally:
        os._exit(code)


def _stop_together(first: int) -> None:
    """Stop the first process along with this one, on Ctrl-Z or a terminal we may not read.

    The kernel delivers SIGSTOP to it only from outside its namespace.
    """

    def stop(number: int, _frame: object) -> None:
        os.kill(first, signal.SIGSTOP)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)  # returns when the job continues, or at once without a job control shell
        signal.signal(number, stop)
        # `fg` wakes the whole group: a second SIGCONT would print the prompt twice.
        if os.waitid(os.P_PID, first, os.WSTOPPED | os.WNOHANG | os.WNOWAIT):
            os.kill(first, signal.SIGCONT)

    for number in (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU):
        signal.signal(number, stop)


def _begin(inside: Callable[[], int], alive: int) -> NoReturn:
    """The first process: finish the namespaces from inside, then do the work."""
    code = 1
    try:
        die_with_parent(_OUTSIDE)
        if select.select([alive], [], [], 0)[0]:  # the keeper ended before the line above
            os._exit(1)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, _as_interrupt)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        syscalls.make_mounts_private()
        syscalls.mount("proc", "/proc", "proc")
        syscalls.mount("tmpfs", "/run", "tmpfs", "mode=0755")
        code = exit_code_of(partial(_in_its_own_environment, inside))
    except KeyboardInterrupt:
        code = 130
        print_error("\nInterrupted; the kernel has cleaned up: nothing of the lab is left.")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
        if isinstance(end.code, str):
            print_error(end.code)
    except OSError as error:
        print_error(f"Can't make the lab's namespaces ({error}): run it with sudo, or see docs/trouble.md.")
        code = 2
    finally:
        os._exit(code)


def _in_its_own_environment(inside: Callable[[], int]) -> int:
    environment.enter()
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    return inside()


def _as_interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def require_mapping() -> None:
    """Try the mapping on an idle process. Raises Unable if an ordinary user gets no ids."""
    to_parent, to_keeper = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.close(to_keeper[1])
        with suppress(OSError):
            syscalls.unshare(syscalls.CLONE_NEWUSER)
            os.write(to_parent[1], b"u")
            os.read(to_keeper[0], 1)
        os._exit(0)
    for end in (to_parent[1], to_keeper[0]):
        os.close(end)
    try:
        if os.read(to_parent[0], 1):
            _map_users(child)
    finally:
        for end in (to_parent[0], to_keeper[1]):
            os.close(end)
        os.waitpid(child, 0)


def _map_users(keeper: int) -> None:
    """Map root of the sandbox to this user, and the subordinate ids above it. Raises Unable."""
    for tool, table, own in (
        ("newuidmap", "/etc/subuid", os.getuid()),
        ("newgidmap", "/etc/subgid", os.getgid()),
    ):
        extents, inside = ["0", str(own), "1"], 1
        for start, count in subordinate_ids(table, own):
            extents += [str(inside), str(start), str(count)]
            inside += count
        path = shutil.which(tool, path=environment.PATH) or tool
        done = subprocess.run([path, str(keeper), *extents], capture_output=True, text=True, errors="replace")
        if done.returncode != 0:
            reason = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
            raise Unable(
                f"{tool} refuses the ids of {table} to {environment.user_name()} ({reason}): use sudo."
            )


def subordinate_ids(table: str, own: int) -> list[tuple[int, int]]:
    """The largest range that `table` (subuid(5), subgid(5)) gives this user, as (first id, count).

    It is split in two if it contains the user's `own` id, which is mapped already. Malformed lines are
    ignored, as newuidmap(1) does. Raises Unable if there is no range.
    """
    name = environment.user_name()
    owners = {name, str(os.getuid())}
    found = [(0, 0)]
    for line in _lines(table):
        owner, *numbers = line.strip().split(":")
        if owner in owners and len(numbers) == 2 and all(_ID.fullmatch(number) for number in numbers):
            found.append((int(numbers[0]), int(numbers[1])))
    start, count = max(found, key=itemgetter(1))
    end = start + count
    parts = [(start, own - start), (own + 1, end - own - 1)] if start <= own < end else [(start, count)]
    parts = [part for part in parts if part[1] > 0]
    if not parts and name.isdigit():  # neither these programs nor usermod accept such a user
        raise Unable(f"User {name} is not in /etc/passwd and gets no sandbox: run the lab with sudo.")
    if not parts:
        raise Unable(
            f"{table} gives {name} no ids for a sandbox: run `sudo usermod --add-subuids "
            f"200000-265535 --add-subgids 200000-265535 {name}`, or run the lab with sudo."
        )
    return parts


def _lines(table: str) -> list[str]:
    try:
        return Path(table).read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return []
