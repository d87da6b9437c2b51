"""Drop-ins in the very place of what they stand in for."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading

import penstock_tasks
import pytest


@pytest.mark.parametrize("mode", ["off", "observe", "enforce"])
def test_a_drop_in_may_take_the_originals_place(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not call itself then: what it is made of is known from before."""
    monkeypatch.setenv("PENSTOCK_MODE_MANAGED_THREADS", mode)
    for module, name in (
        (threading, "Thread"),
        (threading, "Timer"),
        (concurrent.futures, "ThreadPoolExecutor"),
        (asyncio, "create_task"),
        (asyncio, "to_thread"),
    ):
        monkeypatch.setattr(module, name, getattr(penstock_tasks, name))
    done: list[str] = []

    async def main() -> None:
        await asyncio.create_task(asyncio.sleep(0))
        await asyncio.to_thread(done.append, "call")

    for thread in (threading.Thread(target=done.append, args=["thread"]), threading.Timer(0, done.append, ["timer"])):
        thread.start()
        thread.join()
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        executor.submit(done.append, "executor").result()
    asyncio.run(main())

    assert done == ["thread", "timer", "executor", "call"]
