"""ftp: clients log in, list and get files, in passive and in active mode, and which way files come."""

from __future__ import annotations

from typing import Any

from classroom.checks import needs, title
from classroom.exercise import Seen
from classroom.probes.ftp import FILE, SIZE, ftp_sessions
from classroom.variants import Variant
from labs.checks.result import Check

_MODES = ("passive", "active")
_FEW = 0.2  # of what clients get: their acknowledgements are less than a tenth
_WHOLE = f"a list, and {SIZE:,} bytes of {FILE}"


@needs(ftp_sessions)
def ftp_login(seen: Seen, variant: Variant) -> Check:
    """Clients can log in to the ftp server."""
    sessions = _by_mode(seen)
    refused = {mode: sessions[mode]["why"] for mode in _MODES if not sessions[mode]["login"]}
    told = ", ".join(f"{mode}: {why}" for mode, why in refused.items())
    return Check(title(ftp_login), not refused, "logged in", told or "logged in")


@needs(ftp_sessions)
def ftp_passive(seen: Seen, variant: Variant) -> Check:
    """A passive ftp client lists and gets files."""
    session = _by_mode(seen)["passive"]
    named = f" (told to go to {session['named']})" if session["named"] else ""
    whole = _transferred(session) and session["named"] == variant.plan.vip
    return Check(
        title(ftp_passive), whole, f"{_WHOLE} (told to go to {variant.plan.vip})", _told(session) + named
    )


@needs(ftp_sessions)
def ftp_active(seen: Seen, variant: Variant) -> Check:
    """An active ftp client lists and gets files."""
    session = _by_mode(seen)["active"]
    return Check(title(ftp_active), _transferred(session), _WHOLE, _told(session))


@needs(ftp_sessions)
def reply_path(seen: Seen, variant: Variant) -> Check:
    """Files take the way to the clients that this method promises."""
    got = sum(max(0, session["got"]) for session in seen["ftp_sessions"]["sessions"])
    through = variant.plan.replies_through_director
    expected = "all of it through the director" if through else "past the director"
    if not got:
        return Check(title(reply_path), False, expected, "clients got no file")
    share = seen["ftp_sessions"]["sent"] / got
    told = f"the director has sent {min(share, 1):.0%} of it"
    return Check(title(reply_path), share >= 1 if through else share < _FEW, expected, told)


def _by_mode(seen: Seen) -> dict[str, dict[str, Any]]:
    return {session["mode"]: session for session in seen["ftp_sessions"]["sessions"]}


def _transferred(session: dict[str, Any]) -> bool:
    return bool(session["listed"] > 0 and session["got"] == SIZE)


def _told(session: dict[str, Any]) -> str:
    """How far a session came."""
    if _transferred(session):
        return _WHOLE
    if not session["login"]:
        return f"no login: {session['why']}"
    done = f"a list, and {max(0, session['got']):,} bytes" if session["listed"] >= 0 else "no list"
    return f"{done}: {session['why'] or 'it ended early'}"
