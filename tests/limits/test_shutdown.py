"""What happens to waiting and running work when a program ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap

import pytest


def run(source: str, *, interrupt: bool = False) -> subprocess.CompletedProcess[str]:
    """Run a program with every warning shown; interrupt it once it says that it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-X", "dev", "-W", "always", "-c", textwrap.dedent(source)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": ""},
    )
    if interrupt:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


WAITING = """
    import asyncio
    from penstock_limits import Limiter, bounded_map, gather

    async def child(number):
        try:
            await asyncio.Event().wait()
        finally:
            print("ended", number)

    async def main():
        {what}
        await asyncio.sleep(0)
        print("main ends")

    asyncio.run(main())
"""


@pytest.mark.parametrize("limit", ["2", "Limiter(max_running=2)"])
def test_asyncio_run_ends_a_gather_that_nobody_awaits(limit: str) -> None:
    """Its running coroutines are cancelled, those that wait are closed, and nothing is said to be pending."""
    done = run(WAITING.format(what=f"kept = gather(*(child(n) for n in range(5)), limit={limit})"))

    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == ["ended 0", "ended 1", "main ends"]
    assert "never awaited" not in done.stderr
    assert "destroyed" not in done.stderr


@pytest.mark.parametrize("isolate", [True, False])
def test_asyncio_run_ends_a_map_that_was_left_open(isolate: bool) -> None:
    """What it runs is cancelled, and nothing is said to be pending."""
    what = f"""results = bounded_map(child, range(5), limit=2, isolate={isolate})
        step = asyncio.ensure_future(anext(results))"""

    done = run(WAITING.format(what=what))

    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == ["ended 0", "ended 1", "main ends"]
    assert done.stderr == ""


def test_an_interrupt_ends_running_and_waiting_work() -> None:
    """Ctrl-C: one KeyboardInterrupt, every running child cleans up, no warnings."""
    done = run(
        """
        import asyncio
        from penstock_limits import Limiter, gather

        async def child(number):
            try:
                print("ready", flush=True) if number == 1 else None
                await asyncio.Event().wait()
            finally:
                print("ended", number)

        async def main():
            await gather(*(child(n) for n in range(5)), limit=Limiter(max_running=2))

        asyncio.run(main())
        """,
        interrupt=True,
    )

    assert done.stdout.splitlines() == ["ended 0", "ended 1"]
    assert done.stderr.rstrip().endswith("KeyboardInterrupt")
    assert "never awaited" not in done.stderr
    assert "destroyed" not in done.stderr


def test_one_limiter_serves_one_asyncio_run_after_another() -> None:
    """As scripts and tests do; a limiter belongs to no loop."""
    done = run(
        """
        import asyncio
        from penstock_limits import Limiter, gather

        limiter = Limiter(max_running=2)

        async def main():
            await gather(*(asyncio.sleep(0) for _ in range(5)), limit=limiter)
            async with limiter:
                pass

        for _ in range(3):
            asyncio.run(main())
        print(limiter)
        """
    )

    assert done.stdout == "<Limiter 'max-2' enforce: 0 of 2 running, 0 queued>\n"
    assert done.stderr == ""


@pytest.mark.parametrize("watched", ["", "total_timeout=60", "attempt_timeout=60", "retry=retry()"])
def test_a_call_that_is_left_in_a_closed_loop_gives_its_permit_back_when_it_is_collected(watched: str) -> None:
    """Whatever watches it: a deadline of a policy, or a retry."""
    done = run(
        f"""
        import asyncio, gc
        from penstock_limits import Limiter, Policy, retry

        limiter = Limiter("provider", max_running=1)
        policy = Policy("provider", limiter=limiter, {watched})

        async def hang():
            await asyncio.Event().wait()

        async def call():
            await policy.call(asyncio.sleep, 0)

        left, other = asyncio.new_event_loop(), asyncio.new_event_loop()
        other.run_until_complete(call())
        left.call_exception_handler = print
        task = left.create_task(policy.call(hang))
        task._log_destroy_pending = False
        left.run_until_complete(asyncio.sleep(0))
        left.close()
        del task, left
        gc.collect()
        other.run_until_complete(asyncio.wait_for(call(), 5))
        print(limiter)
        other.close()
        """
    )

    assert done.stdout == "<Limiter 'provider' enforce: 0 of 1 running, 0 queued>\n"
    assert done.stderr == ""
