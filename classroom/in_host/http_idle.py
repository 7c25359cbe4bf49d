"""Ask on kept connections, be silent, ask again: `ask_twice.py ADDRESS PORT COUNT SECONDS SILENCE`.

Opens COUNT connections at once and asks for /name on each; then it prints a line, is silent until
SIGUSR1 comes or SILENCE seconds have passed, and asks again. It prints a list as JSON: for each connection
the answers `first` and `then`, or instead of one the name of an errno, ETIMEDOUT also after SECONDS
without an answer, `closed` where the other side has ended the connection.
Runs inside a host of the lab, so it needs the standard library only.
"""

from __future__ import annotations

import errno
import json
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException

_GO_ON = {signal.SIGUSR1}


def ask(peer: HTTPConnection) -> str:
    """The answer on this connection, never on another one."""
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


def main(address: str, port: str, count: str, seconds: str, silence: str) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, _GO_ON)
    peers = [HTTPConnection(address, int(port), timeout=float(seconds)) for _ in range(int(count))]
    with ThreadPoolExecutor(len(peers)) as pool:
        first = list(pool.map(ask, peers))
        print("asked", flush=True)
        signal.sigtimedwait(_GO_ON, float(silence))
        then = list(pool.map(ask, peers))
    print(json.dumps([{"first": one, "then": two} for one, two in zip(first, then, strict=True)]))


if __name__ == "__main__":
    main(*sys.argv[1:])
