"""Clients that fetch page after page: `browse.py PATIENCE APPROACH TARGETS SEED GROUPS...`, on a client host.

PATIENCE is the time in seconds that a client waits for an answer.

APPROACH is how a client finds its server: `plain` (the only target), `redirect` (the target's Location),
`pick` (one of the targets at random, and another if that fails), `dns` (the first address in the answer of
its resolver). Each of GROUPS is a number of clients that share a resolver, 127.0.0.11 for the first group.
For each page it prints a line of JSON: when it ended, its duration, whether it arrived, and its bytes.
It runs on a host of the lab, so it needs the standard library only.
"""

from __future__ import annotations

import http.client
import json
import random
import socket
import struct
import sys
import threading
import time
from urllib.parse import urlsplit

NAME = "www.lvs.example"
FILES = {"/1k.bin": 3, "/100k.bin": 1}  # with their relative frequencies
PATIENCE = 2.0  # seconds that a client waits for an answer, on an idle machine
_PAUSE = 0.05  # between two pages, on average


class Failed(Exception):
    """A page failed: no connection, no answer in time, or an answer other than 200."""


def fetch(host: str, path: str) -> tuple[int, str, int]:
    """The status, the address in the Location header, and the bytes of the page."""
    connection = http.client.HTTPConnection(host, 80)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        answer = connection.getresponse()
        where = urlsplit(answer.getheader("Location") or "").hostname or ""
        return answer.status, where, len(answer.read())
    except (OSError, http.client.HTTPException) as error:
        raise Failed(str(error)) from None
    finally:
        connection.close()


def page(host: str, path: str) -> int:
    status, _, size = fetch(host, path)
    if status != 200:
        raise Failed(f"status {status}")
    return size


def plain(targets: list[str], path: str, _resolver: str, _chance: random.Random) -> int:
    return page(targets[0], path)


def redirect(targets: list[str], path: str, _resolver: str, _chance: random.Random) -> int:
    status, where, _ = fetch(targets[0], path)
    if status != 302 or not where:
        raise Failed(f"status {status} without an address")
    return page(where, path)


def pick(targets: list[str], path: str, _resolver: str, chance: random.Random) -> int:
    first, second = chance.sample(targets, 2)
    try:
        return page(first, path)
    except Failed:
        return page(second, path)


def dns(_targets: list[str], path: str, resolver: str, chance: random.Random) -> int:
    return page(resolve(resolver, chance.randrange(65536)), path)


def resolve(resolver: str, number: int) -> str:
    """The first address of NAME in the resolver's answer (RFC 1035, 4.1)."""
    name = b"".join(bytes([len(label)]) + label.encode() for label in NAME.split(".")) + b"\0"
    query = struct.pack("!6H", number, 0x0100, 1, 0, 0, 0) + name + struct.pack("!2H", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        try:
            channel.sendto(query, (resolver, 53))
            answer = channel.recv(512)
        except OSError as error:
            raise Failed(str(error)) from None
    if struct.unpack("!H", answer[6:8])[0] == 0:
        raise Failed("no address")
    begins = len(query) + 12  # a pointer to the name, type, class, time to live, length
    return socket.inet_ntoa(answer[begins : begins + 4])


FIND_SERVER = {"plain": plain, "redirect": redirect, "pick": pick, "dns": dns}


def browse(approach: str, targets: list[str], resolver: str, seed: int) -> None:
    """Run one client for ever."""
    chance = random.Random(seed)
    while True:
        (path,) = chance.choices(list(FILES), list(FILES.values()))
        began = time.monotonic()
        try:
            size, why = FIND_SERVER[approach](targets, path, resolver, chance), ""
        except Failed as error:
            size, why = 0, str(error)
        now = time.monotonic()
        line = {"at": now, "seconds": now - began, "ok": not why, "bytes": size, "why": why}
        print(json.dumps(line), flush=True)
        time.sleep(chance.uniform(0, 2 * _PAUSE))


def main(patience: str, approach: str, targets: str, seed: str, *groups: str) -> None:
    socket.setdefaulttimeout(float(patience))
    clients = [group for group, size in enumerate(groups) for _ in range(int(size))]
    for number, group in enumerate(clients):
        arguments = (approach, targets.split(","), f"127.0.0.{11 + group}", int(seed) + number)
        threading.Thread(target=browse, args=arguments).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
