"""Use an FTP server in both modes: `ftp_session.py ADDRESS FILE CONNECT SECONDS` prints a JSON list.

A `passive` session is followed by an `active` one, unless the first cannot log in. A session logs in, lists
the folder and downloads FILE, and reports its progress: `login`, `listed` (number of names) and `got`
(bytes), -1 if that failed; `why` it ended early, such as CONNECT seconds without a connection or SECONDS
without an answer; `named`, the address in the server's reply to PASV, to which it connects.
"""

from __future__ import annotations

import json
import sys
from ftplib import FTP, all_errors

Outcome = dict[str, object]
MODES = ("passive", "active")


class _Client(FTP):
    """Connects to the address that the server names, as older clients do; newer ones ignore it."""

    trust_server_pasv_ipv4_address = True
    named = ""

    def makepasv(self) -> tuple[str, int]:
        host, port = super().makepasv()
        self.named = host
        return host, port


def session(mode: str, address: str, file: str, connect: float, seconds: float) -> Outcome:
    outcome: Outcome = {"mode": mode, "login": False, "listed": -1, "got": -1, "why": "", "named": ""}
    client = _Client()
    try:
        client.connect(address, timeout=connect)
        client.timeout = seconds  # for the connections that it opens from now on
        if client.sock is not None:
            client.sock.settimeout(seconds)
        client.login()
        outcome["login"] = True
        client.set_pasv(mode == "passive")
        _transfer(client, file, outcome)
    except all_errors as error:
        outcome["why"] = str(error) or type(error).__name__
    finally:
        outcome["named"] = client.named
        client.close()
    return outcome


def _transfer(client: _Client, file: str, outcome: Outcome) -> None:
    """Transfer a list, then a file, each over its own data connection."""
    names: list[str] = []
    client.retrlines("NLST", names.append)
    outcome["listed"] = len(names)
    pieces: list[int] = []
    client.retrbinary(f"RETR {file}", lambda piece: pieces.append(len(piece)))
    outcome["got"] = sum(pieces)


def main(address: str, file: str, connect: str, seconds: str) -> None:
    outcome = session(MODES[0], address, file, float(connect), float(seconds))
    sessions = [outcome]
    for mode in MODES[1:]:
        if outcome["login"]:
            sessions.append(session(mode, address, file, float(connect), float(seconds)))
        else:
            sessions.append({**outcome, "mode": mode})
    print(json.dumps(sessions))


if __name__ == "__main__":
    main(*sys.argv[1:])
