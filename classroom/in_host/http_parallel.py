"""Request /name COUNT times at once: `http_parallel.py ADDRESS PORT COUNT SECONDS` prints a JSON list.

For each request `how` it ended: `answered`, by `server`, or the name of an errno (ETIMEDOUT also after
SECONDS without an answer).
"""

from __future__ import annotations

import errno
import json
import socket
import sys
from concurrent.futures import ThreadPoolExecutor

_REQUEST = b"GET /name HTTP/1.0\r\n\r\n"


def outcome(address: str, port: int, seconds: float) -> dict[str, str]:
    try:
        with socket.create_connection((address, port), seconds) as peer:
            peer.settimeout(seconds)
            peer.sendall(_REQUEST)
            answer = b"".join(iter(lambda: peer.recv(4096), b""))
    except TimeoutError:
        return {"how": "ETIMEDOUT"}
    except OSError as error:
        return {"how": errno.errorcode.get(error.errno or 0, str(error))}
    return {"how": "answered", "server": answer.rpartition(b"\r\n")[2].decode("latin-1").strip()}


def main(address: str, port: str, count: str, seconds: str) -> None:
    with ThreadPoolExecutor(int(count)) as pool:
        tries = [pool.submit(outcome, address, int(port), float(seconds)) for _ in range(int(count))]
    print(json.dumps([attempt.result() for attempt in tries]))


if __name__ == "__main__":
    main(*sys.argv[1:])
