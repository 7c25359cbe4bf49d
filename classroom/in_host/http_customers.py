"""Visit a shop as several customers: `http_customers.py VIP SECONDS FIRST,LAST SOURCE,...` prints JSON.

Each source address is a customer. All of them visit the first port, one after the other, then the last port
in reverse order, and both once more, so that customers who are early at one port are late at the other. The
output has, for each customer and port, a list of answers: a server's name, or the name of an errno.
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
    """The name of the server that answered, or of an errno."""
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
    """The answers to visits that are sequential until one fails; the rest are in parallel."""
    found: list[str] = []
    for source, to in visits:
        found.append(answer(source, to, seconds))
        if found[-1] in errno.errorcode.values():
            break
    rest = visits[len(found) :]
    with ThreadPoolExecutor(len(visits)) as pool:
        tries = [pool.submit(answer, source, to, seconds) for source, to in rest]
    return found + [attempt.result() for attempt in tries]


def main(vip: str, seconds: str, ports: str, customers: str) -> None:
    sources = customers.split(",")
    first, last = map(int, ports.split(","))
    once = [(source, first) for source in sources] + [(source, last) for source in reversed(sources)]
    visits = [(source, (vip, port)) for source, port in once * 2]
    found: dict[str, dict[int, list[str]]] = {customer: {} for customer in sources}
    for (customer, to), name in zip(visits, answers(visits, float(seconds)), strict=True):
        found[customer].setdefault(to[1], []).append(name)
    print(json.dumps([{"customer": customer, "answers": by_port} for customer, by_port in found.items()]))


if __name__ == "__main__":
    main(*sys.argv[1:])
