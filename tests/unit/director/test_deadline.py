"""A deadline in asyncio: results, lateness, and above all that a cancelled task ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from availability.vrrp.sync_follower import Follower, SyncDaemon
from director.deadline import within
from labs.wait import patient

TURNS = range(8)  # of the event loop, between the end of the work and the cancellation


async def _ends(task: asyncio.Task[None]) -> bool:
    done, _ = await asyncio.wait({task}, timeout=patient(10))
    return bool(done)


@pytest.mark.parametrize("turns", TURNS)
def test_a_task_that_is_cancelled_when_its_work_ends_is_cancelled(turns: int) -> None:
    async def story() -> bool:
        event = asyncio.Event()

        async def forever() -> None:
            while True:
                await within(60, event.wait())
                event.clear()

        task = asyncio.ensure_future(forever())
        await _turns(3)
        event.set()
        await _turns(turns)
        task.cancel()
        return await _ends(task) and task.cancelled()

    assert asyncio.run(story())


@pytest.mark.parametrize("turns", TURNS)
def test_lvs_vrrp_ends_when_its_state_has_just_changed(turns: int) -> None:
    """A router became master, and SIGTERM came: its sync daemon's task went on, and the program with it."""

    async def story() -> bool:
        asked = asyncio.Event()
        loop = asyncio.get_running_loop()

        def ask(_path: str, _request: dict[str, object]) -> dict[str, object]:
            loop.call_soon_threadsafe(asked.set)
            return {"ok": True, "daemons": [{"role": "backup"}]}

        follower = Follower(SyncDaemon("first", {"interface": "eth0"}), "socket", print, ask)
        task = asyncio.ensure_future(follower.run())
        await asked.wait()
        await _turns(5)  # until it waits for a change
        follower.follow("first", True)
        await _turns(turns)
        task.cancel()
        return await _ends(task)

    assert asyncio.run(story())


async def _turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def _fails() -> None:
    raise ValueError("why")


@pytest.mark.parametrize(
    ("seconds", "work", "error"),
    [
        (0.01, lambda: asyncio.sleep(60), asyncio.TimeoutError),
        (60, _fails, ValueError),
        (60, lambda: asyncio.sleep(0), None),
    ],
)
def test_the_result_or_the_error_is_that_of_the_work(
    seconds: float, work: Callable[[], Awaitable[None]], error: type[Exception] | None
) -> None:
    if error is None:
        assert asyncio.run(_run(seconds, work)) is None
        return
    with pytest.raises(error):
        asyncio.run(_run(seconds, work))


async def _run(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    return await within(seconds, work())


@pytest.mark.parametrize("is_cancelled", [False, True])
def test_work_that_is_late_or_cancelled_cleans_up_before_it_is_over(is_cancelled: bool) -> None:
    cleaned = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.01)
            cleaned.append(True)

    async def story() -> None:
        task = asyncio.ensure_future(within(60 if is_cancelled else 0.01, work()))
        await _turns(3)
        if is_cancelled:
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert cleaned

    asyncio.run(story())
