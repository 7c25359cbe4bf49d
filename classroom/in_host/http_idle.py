"""Request /name, be idle, and request it again: `http_idle.py ADDRESS PORT COUNT SECONDS IDLE`.

Opens COUNT connections at once and requests /name on each; then it prints a line, is idle until SIGUSR1 or
for IDLE seconds, and requests it again. It prints a JSON list with the answers `first` and `then` on each
connection, or the name of an errno (ETIMEDOUT also after SECONDS without an answer), or `closed` if the other
side closed the connection.
"""

from __future__ import annotations

import errno
import json
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException

_RESUME = {signal.SIGUSR1}


def ask(peer: HTTPConnection) -> str:
    """The answer on this connection; it is never reopened."""
    try:
        peer.request("GET", "/name")
        answer = peer.getresponse().read()
    except TimeoutError:
        return "ETIMEDOUT"
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, "closed")
    except HTTPException:
        return "closed"
    finally:
        peer.auto_open = 0
    return answer.decode("latin-1").strip()


def main(address: str, port: str, count: str, seconds: str, idle: str) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, _RESUME)
    peers = [HTTPConnection(address, int(port), timeout=float(seconds)) for _ in range(int(count))]
    with ThreadPoolExecutor(len(peers)) as pool:
        first = list(pool.map(ask, peers))
        print("asked", flush=True)
        signal.sigtimedwait(_RESUME, float(idle))
        then = list(pool.map(ask, peers))
    print(json.dumps([{"first": before, "then": after} for before, after in zip(first, then, strict=True)]))


if __name__ == "__main__":
    main(*sys.argv[1:])
