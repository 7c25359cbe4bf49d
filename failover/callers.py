"""Clients that keep connections open: `callers.py VIP PORT[,PORT ...] COUNT RATE [opened]`.

Opens COUNT connections to the ports in turn, RATE per second; each sends a request and waits for the answer,
so that it has sent three packets, and is then quiet. It prints "all" when all have begun, or are open, and
reads two lines: the time of the director's death, and one when the other director has taken over. Then each
connection sends another request, and the program prints a line of JSON for it: `port`; `age`, the seconds
from its first packet to the death; `fate`: `lives`, `reset`, or `silent`. It runs on a host of the lab, so it
needs the standard library only.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

PATIENCE = 60.0  # seconds for an answer: TCP repeats a request after 0.2, 0.6, ..., 12.6, 25.4 and 51 s
_AT_ONCE, _PAUSE = 10, 0.02  # requests, and seconds between them: 500 a second
REQUEST = b"Are you there?\n"


class Caller:
    def __init__(self, port: int) -> None:
        self.port = port
        self.began = 0.0
        self.fate = ""

    async def open(self, vip: str) -> None:
        self.began = time.monotonic()
        try:
            self._reader, self._writer = await asyncio.open_connection(vip, self.port)
            await self._ask()
        except (OSError, asyncio.TimeoutError, asyncio.IncompleteReadError):
            self.fate = "never opened"

    async def try_again(self) -> None:
        if self.fate:
            return
        try:
            await self._ask()
            self.fate = "lives"
        except asyncio.TimeoutError:
            self.fate = "silent"
        except (OSError, asyncio.IncompleteReadError):
            self.fate = "reset"

    async def _ask(self) -> None:
        self._writer.write(REQUEST)
        # No such task runs on afterwards: a lost cancellation does no harm.
        await asyncio.wait_for(self._reader.readexactly(len(REQUEST)), PATIENCE)  # noqa: TID251


async def main(vip: str, ports: list[int], count: int, rate: float, *, opened: bool) -> None:
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    callers, tasks = [], []
    began = time.monotonic()
    for number in range(count):
        await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
        caller = Caller(ports[number % len(ports)])
        callers.append(caller)
        tasks.append(asyncio.create_task(caller.open(vip)))
    if opened:
        await asyncio.gather(*tasks)
    print("all", flush=True)
    died = float(await lines.readline())
    for task in tasks:  # a connection that is being opened has no age yet
        task.cancel()
    living = [caller for caller, task in zip(callers, tasks, strict=True) if task.done() and not caller.fate]
    await lines.readline()  # the other director has taken over
    again = []
    for number, caller in enumerate(living):
        if number % _AT_ONCE == 0:
            await asyncio.sleep(_PAUSE)
        again.append(asyncio.create_task(caller.try_again()))
    await asyncio.gather(*again)
    for caller in living:
        print(json.dumps({"port": caller.port, "age": died - caller.began, "fate": caller.fate}))
    sys.stdout.flush()


if __name__ == "__main__":
    vip, ports, count, rate, *more = sys.argv[1:]
    numbers = [int(port) for port in ports.split(",")]
    asyncio.run(main(vip, numbers, int(count), float(rate), opened=more == ["opened"]))
