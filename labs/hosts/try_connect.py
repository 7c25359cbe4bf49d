"""Try to connect: `try_connect.py ADDRESS PORT SECONDS` prints the result.

The result is `connected` or the name of the errno: ECONNREFUSED, EHOSTUNREACH, ETIMEDOUT (also after
SECONDS without an answer), ... Runs inside a host of the lab, so it uses the standard library only.
"""

from __future__ import annotations

import errno
import socket
import sys


def outcome(address: str, port: int, seconds: float) -> str:
    try:
        socket.create_connection((address, port), seconds).close()
    except TimeoutError:
        return "ETIMEDOUT"
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return "connected"


if __name__ == "__main__":
    print(outcome(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
