"""A deadline for work in asyncio, under which a task that is cancelled ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


async def within(seconds: float, work: Awaitable[T]) -> T:
    """The result of `work`, which is cancelled when it takes longer. Raises asyncio.TimeoutError.

    Before Python 3.12, asyncio.wait_for returns the result if the work ends just as its caller is cancelled:
    the cancellation is lost, and a task that runs until it is cancelled runs forever.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
        if task.done():
            return task.result()
        raise asyncio.TimeoutError
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)  # it may have something to clean up
