"""Be several customers of a shop: `ask_sessions.py VIP SECONDS FIRST,LAST SOURCE,...` prints JSON.

Each source address is a customer. All of them visit the first port, one after the other, then all the
last port, in the reverse order, and both once more: who comes first at one port is late at the other.
For each customer and port, a list of who has answered: a server's name, or the name of an errno.
Runs inside a host of the lab, so it needs the standard library only.
"""

from __future__ import annotations

import errno
import json
import socket
import sys
from concurrent.futures import ThreadPoolExecutor

_REQUEST = b"GET /name HTTP/1.0\r\n\r\n"
Address = tuple[str, int]


def answer(source: str, to: Address, seconds: float) -> str:
    """Who has answered, or why nobody has."""
    try:
        with socket.create_connection(to, seconds, (source, 0)) as peer:
            peer.settimeout(seconds)
            peer.sendall(_REQUEST)
            text = b"".join(iter(lambda: peer.recv(4096), b""))
    except TimeoutError:
        return "ETIMEDOUT"
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return text.rpartition(b"\r\n")[2].decode("latin-1").strip()


def answers(visits: list[tuple[str, Address]], seconds: float) -> list[str]:
    """One visit after the other while they succeed; once one has failed, the rest at the same time."""
    told: list[str] = []
    for source, to in visits:
        told.append(answer(source, to, seconds))
        if told[-1] in errno.errorcode.values():
            break
    rest = visits[len(told) :]
    with ThreadPoolExecutor(len(visits)) as pool:
        tries = [pool.submit(answer, source, to, seconds) for source, to in rest]
    return told + [one.result() for one in tries]


def main(vip: str, seconds: str, ports: str, customers: str) -> None:
    sources = customers.split(",")
    first, last = map(int, ports.split(","))
    once = [(who, first) for who in sources] + [(who, last) for who in reversed(sources)]
    visits = [(who, (vip, port)) for who, port in once * 2]
    told: dict[str, dict[int, list[str]]] = {who: {} for who in sources}
    for (who, to), name in zip(visits, answers(visits, float(seconds)), strict=True):
        told[who].setdefault(to[1], []).append(name)
    print(json.dumps([{"customer": who, "answers": by_port} for who, by_port in told.items()]))


if __name__ == "__main__":
    main(*sys.argv[1:])
