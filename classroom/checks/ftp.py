"""FTP: clients log in, list and download, in passive and in active mode; and the path of the files."""

from __future__ import annotations

import json
from typing import Any

from classroom.checks import needs, title
from classroom.in_host import command
from classroom.model import Observations, Variant
from labs.checks.packets import FEW
from labs.checks.result import Check
from labs.hosts.host import probe
from labs.run.running import RunningLab
from labs.wait import patient

_FILE, _SIZE = "100k.bin", 100_000  # a file on every real server, and its size in bytes
_CONNECT, _SILENCE = 0.8, 1.6  # seconds
_FTP_PORT = 21
_TRY = 1.2  # seconds
_MODES = ("passive", "active")
_WHOLE = f"a list, and {_SIZE:,} bytes of {_FILE}"

# ---- probes ----


def ftp_port(running: RunningLab, variant: Variant) -> str:
    """The result of a connection from c1 to the VIP's FTP port: `connected`, or the name of an errno."""
    client = running.clients[0]
    trying = probe("connect", client.vip, _FTP_PORT, patient(_TRY))
    return client.host.run(trying, timeout=2 * _TRY).stdout.strip()


def ftp_sessions(running: RunningLab, variant: Variant) -> dict[str, Any]:
    """A session of c1 in each mode, and the bytes that the director sent meanwhile.

    `sessions` have `mode`, `login`, `listed`, `got`, `why` they ended early, and the address `named` in a 227
    reply; `sent` are the bytes that left the director's interfaces, by the switches' counters.
    """
    client = running.clients[0]
    asking = command("ftp_session", client.vip, _FILE, patient(_CONNECT), patient(_SILENCE))
    before = _sent(running)
    done = client.host.run(asking, timeout=3 * _SILENCE)
    return {"sessions": json.loads(done.stdout or "[]"), "sent": _sent(running) - before}


def _sent(running: RunningLab) -> int:
    interfaces = running.plan.topology.director.interfaces
    ports = {running.network.switch_port(interface.name) for interface in interfaces}
    return sum(counters.rx_bytes for counters in running.controller.ports() if counters.name in ports)


# ---- judges ----


@needs(ftp_port)
def ftp_connects(observations: Observations, variant: Variant) -> Check:
    """The VIP accepts connections on the FTP port."""
    result = observations["ftp_port"] or "no result"
    return Check(title(ftp_connects), result == "connected", "connected", result)


@needs(ftp_sessions)
def ftp_login(observations: Observations, variant: Variant) -> Check:
    """Clients can log in to the FTP server."""
    sessions = _by_mode(observations)
    refused = {mode: sessions[mode]["why"] for mode in _MODES if not sessions[mode]["login"]}
    observed = ", ".join(f"{mode}: {why}" for mode, why in refused.items())
    return Check(title(ftp_login), not refused, "logged in", observed or "logged in")


@needs(ftp_sessions)
def ftp_passive(observations: Observations, variant: Variant) -> Check:
    """A passive FTP client can list and download files."""
    session, vip = _by_mode(observations)["passive"], variant.plan.vip
    named = f" (server named {session['named']})" if session["named"] else ""
    complete = _is_complete(session) and session["named"] == vip
    return Check(title(ftp_passive), complete, f"{_WHOLE} (server named {vip})", _result(session) + named)


@needs(ftp_sessions)
def ftp_active(observations: Observations, variant: Variant) -> Check:
    """An active FTP client can list and download files."""
    session = _by_mode(observations)["active"]
    return Check(title(ftp_active), _is_complete(session), _WHOLE, _result(session))


@needs(ftp_sessions)
def reply_path(observations: Observations, variant: Variant) -> Check:
    """Files take the path to clients that belongs to this forwarding method."""
    got = sum(max(0, session["got"]) for session in observations["ftp_sessions"]["sessions"])
    through = variant.plan.replies_through_director
    expected = "all bytes through the director" if through else "bytes bypass the director"
    if not got:
        return Check(title(reply_path), False, expected, "no file was downloaded")
    share = observations["ftp_sessions"]["sent"] / got
    observed = f"the director sent {min(share, 1):.0%} of the bytes"
    return Check(title(reply_path), share >= 1 if through else share < FEW, expected, observed)


def _by_mode(observations: Observations) -> dict[str, dict[str, Any]]:
    return {session["mode"]: session for session in observations["ftp_sessions"]["sessions"]}


def _is_complete(session: dict[str, Any]) -> bool:
    return bool(session["listed"] > 0 and session["got"] == _SIZE)


def _result(session: dict[str, Any]) -> str:
    """A session's progress, in words."""
    if _is_complete(session):
        return _WHOLE
    if not session["login"]:
        return f"no login: {session['why']}"
    done = f"a list, and {max(0, session['got']):,} bytes" if session["listed"] >= 0 else "no list"
    return f"{done}: {session['why'] or 'ended early'}"
