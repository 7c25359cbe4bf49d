"""Use an ftp server in both modes: `ask_ftp.py ADDRESS FILE CONNECT SECONDS` prints a list as JSON.

A session is `passive` or `active`, one after the other; where the first can't connect, the second is not
tried. It logs in, lists and gets FILE, and says how far it came: `login`, `listed` (how many names) and
`got` (how many bytes), -1 where that failed; `why` it ended early, after SECONDS of silence at the latest,
CONNECT where it can't even connect; `named`, the address in the server's reply to PASV. It goes where that
reply says. Runs inside a host of the lab, so it needs the standard library only.
"""

from __future__ import annotations

import json
import sys
from ftplib import FTP, all_errors

Outcome = dict[str, object]
MODES = ("passive", "active")


class _Client(FTP):
    """Believes what the server says, as clients did; newer ones ask the address that they know."""

    trust_server_pasv_ipv4_address = True
    named = ""

    def makepasv(self) -> tuple[str, int]:
        host, port = super().makepasv()
        self.named = host
        return host, port


def session(mode: str, address: str, file: str, connect: float, seconds: float) -> Outcome:
    told: Outcome = {"mode": mode, "login": False, "listed": -1, "got": -1, "why": "", "named": ""}
    client = _Client()
    try:
        client.connect(address, timeout=connect)
        client.timeout = seconds  # of what it opens from now on
        if client.sock is not None:
            client.sock.settimeout(seconds)
        client.login()
        told["login"] = True
        client.set_pasv(mode == "passive")
        _transfer(client, file, told)
    except all_errors as error:
        told["why"] = str(error) or type(error).__name__
    finally:
        told["named"] = client.named
        client.close()
    return told


def _transfer(client: _Client, file: str, told: Outcome) -> None:
    """A list, then a file, each over a data connection of its own."""
    names: list[str] = []
    client.retrlines("NLST", names.append)
    told["listed"] = len(names)
    pieces: list[int] = []
    client.retrbinary(f"RETR {file}", lambda piece: pieces.append(len(piece)))
    told["got"] = sum(pieces)


def main(address: str, file: str, connect: str, seconds: str) -> None:
    told = session(MODES[0], address, file, float(connect), float(seconds))
    sessions = [told]
    for mode in MODES[1:]:
        if told["login"]:
            sessions.append(session(mode, address, file, float(connect), float(seconds)))
        else:
            sessions.append({**told, "mode": mode})
    print(json.dumps(sessions))


if __name__ == "__main__":
    main(*sys.argv[1:])
