"""Programs that the configuration names, for MISC_CHECK and changes of state; and mail.

A program starts without a shell, as the configured user, and in a session of its own, so that it can be ended
with its children when it takes too long.
"""

from __future__ import annotations

import asyncio
import contextlib
import grp
import os
import pwd
import shutil
import signal
import stat
from collections.abc import Iterable, Iterator
from email.message import EmailMessage
from pathlib import Path

from availability.config.model import Configuration, Mail
from availability.config.values import Script
from director.deadline import within

DEFAULT_USER = "keepalived_script"
END = 0.5  # seconds between SIGTERM and SIGKILL
_ALL_UIDS = 2**32 - 1
_MAX_OUTPUT = 200  # characters of a program's first line, as a reason


def scripts(configuration: Configuration) -> Iterator[tuple[str, Script]]:
    """Every program of a configuration, with its keyword."""
    for virtual in configuration.servers:
        named = {"quorum_up": virtual.quorum_up, "quorum_down": virtual.quorum_down}
        for server in virtual.servers:
            yield from (("misc_path", check.command) for check in server.checks if check.command)
            named = {
                **named,
                f"notify_up {server}": server.notify_up,
                f"notify_down {server}": server.notify_down,
            }
        yield from ((name.split()[0], script) for name, script in named.items() if script)


def verify(configuration: Configuration) -> None:
    """Refuse programs and users that do not exist, or that are not safe. Raises ConfigError."""
    verify_scripts(scripts(configuration), configuration)


def verify_scripts(named: Iterable[tuple[str, Script]], configuration: Configuration) -> None:
    """Like `verify`, for these scripts and their keywords."""
    for keyword, script in named:
        program = shutil.which(script.words[0])
        if program is None:
            raise script.place.error(f"{keyword}: {script.words[0]} is not a program that can be run.")
        try:
            uid, _ = _user(script, configuration)
        except KeyError as error:
            raise script.place.error(f"{keyword}: there is no user or group {error.args[0]}.") from None
        unsafe = _unsafe(Path(program)) if configuration.script_security and uid == 0 else None
        if unsafe:
            raise script.place.error(
                f"{keyword}: root would run it, but others may change {unsafe} (enable_script_security)."
            )


def _user(script: Script, configuration: Configuration) -> tuple[int, int]:
    """The user and group to run a program as. Raises KeyError with the name that does not exist."""
    if os.geteuid() != 0:
        return os.geteuid(), os.getegid()
    names = script.user or configuration.script_user
    if not names:
        with contextlib.suppress(KeyError):
            found = pwd.getpwnam(DEFAULT_USER)
            return found.pw_uid, found.pw_gid
        return 0, 0
    try:
        user = pwd.getpwnam(names[0])
    except KeyError:
        raise KeyError(names[0]) from None
    try:
        return user.pw_uid, grp.getgrnam(names[1]).gr_gid if len(names) > 1 else user.pw_gid
    except KeyError:
        raise KeyError(names[1]) from None


def _unsafe(program: Path) -> Path | None:
    """The first part of a path that users other than root can change; None if there is none."""
    resolved = program.resolve()
    owners = _roots()
    for part in (resolved, *resolved.parents):
        found = part.stat()
        sticky = stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX
        if found.st_uid not in owners or (found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not sticky):
            return part
    return None


def _roots() -> set[int]:
    """Owners that count as root: a user namespace may show root's files as the overflow uid's."""
    first, _, count = (int(number) for number in Path("/proc/self/uid_map").read_text().split()[:3])
    everyone = first == 0 and count == _ALL_UIDS
    return {0} if everyone else {0, int(Path("/proc/sys/kernel/overflowuid").read_text())}


async def run(script: Script, configuration: Configuration, timeout: float) -> tuple[int, str]:
    """Run a program; returns its exit code, negative for a signal, and the first line of its output.

    Raises OSError if it can't be started, and asyncio.TimeoutError after it has been ended at the timeout.
    """
    process = await _start(script, configuration, asyncio.subprocess.PIPE)
    try:
        output, _ = await within(timeout, process.communicate())
    finally:
        await _end(process)
    first = output.decode(errors="replace").strip().partition("\n")[0][:_MAX_OUTPUT]
    return process.returncode or 0, first


async def notify(script: Script, configuration: Configuration) -> str:
    """Run a program for a change of state until it ends; returns a sentence about an error, or ""."""
    try:
        process = await _start(script, configuration, asyncio.subprocess.DEVNULL)
        code = await process.wait()
    except OSError as error:
        return f"{script} can't be started: {error.strerror}."
    return f"{script} ended with exit code {code}." if code else ""


async def _start(script: Script, configuration: Configuration, output: int) -> asyncio.subprocess.Process:
    uid, gid = _user(script, configuration)
    other = {"user": uid, "group": gid, "extra_groups": [gid]} if uid != os.geteuid() else {}
    return await asyncio.create_subprocess_exec(
        *script.words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=output,
        stderr=asyncio.subprocess.STDOUT if output == asyncio.subprocess.PIPE else output,
        start_new_session=True,
        **other,  # type: ignore[arg-type]
    )


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a program and whatever it has started, if it still runs."""
    if process.returncode is not None:
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(asyncio.TimeoutError):
            await within(END, process.wait())
            return


def send(mail: Mail, router_id: str, sentence: str) -> str:
    """Send mail about a change; blocks. Returns a sentence about an error, or ""."""
    import smtplib  # here because most configurations have no mail

    message = EmailMessage()
    message["Subject"] = f"[{router_id or 'lvs-monitor'}] {sentence}"[:200]
    message["From"], message["To"] = mail.sender, ", ".join(mail.recipients)
    message.set_content(f"{sentence}\n")
    try:
        with smtplib.SMTP(mail.host, mail.port, mail.helo or None, mail.timeout) as server:
            server.send_message(message)
    except (OSError, smtplib.SMTPException, ValueError) as error:
        return f"mail to {message['To']} can't be sent by {mail.host}:{mail.port}: {error}."
    return ""
