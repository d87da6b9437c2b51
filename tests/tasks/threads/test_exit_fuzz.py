"""Programs of threads, timers, executors and calls at random: whatever they are, they end."""

from __future__ import annotations

import random

import pytest

from tests.tasks.threads.programs import run

SOON = 40.0  # seconds: less than what hangs takes, more than any machine needs for the rest

PIECES = (
    "start(Thread(target=rest, args=('{name}',), daemon=True))",
    "start(Thread(target=rest, args=('{name}',)))",
    "Timer(50, say, args=['fired']).start()",
    "executor_{name} = ThreadPoolExecutor(1); executor_{name}.submit(rest, '{name}'); begun.acquire()",
    "ThreadPoolExecutor(1).submit(rest, '{name}'); begun.acquire()",
    "executor_{name} = ThreadPoolExecutor(2); [executor_{name}.submit(int) for _ in range(9)]",
    "start(threading.Thread(target=time.sleep, args=(0.05,))) if begun.release() is None else None",
    "start(Thread(target=lambda: (rest('{name}'), Thread(target=rest, args=('late {name}',)).start())))",
    "start(Thread(target=lambda: (rest('{name}'), Timer(50, say, args=['fired']).start()), daemon=True))",
    "atexit.register(lambda: Thread(target=int, daemon=True).start())",
    "call('{name}')",
)
STUCK = (
    "start(Thread(target=hang, daemon=True))",
    "pool_{name} = ThreadPoolExecutor(1); pool_{name}.submit(hang); begun.acquire(); pool_{name}.submit(int)",
)
ENDS = ("", "sys.exit(0)", "raise ValueError", "raise KeyboardInterrupt")

CALL = """
import asyncio
def call(name):
    async def main():
        task = asyncio.create_task(penstock_tasks.to_thread(rest, name))
        while not begun.acquire(blocking=False):
            await asyncio.sleep(0.001)
    asyncio.run(main())
"""


@pytest.mark.parametrize("seed", [*range(4), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(4, 40))])
def test_whatever_a_program_has_started_comes_to_its_end(seed: int) -> None:
    """What stops when it is told to gets there, nothing fires, and nothing is reported but what is stuck."""
    chance = random.Random(seed)
    is_stuck = chance.random() < 0.3
    pieces = [chance.choice(PIECES) for _ in range(chance.randint(1, 8))]
    if is_stuck:
        pieces.insert(chance.randint(0, len(pieces)), chance.choice(STUCK))
    named = [piece.format(name=f"n{number}") for number, piece in enumerate(pieces)]
    deadline = 0.5 if is_stuck else 30

    ended = run("\n".join([CALL, f"set_exit_deadline({deadline})", *named, chance.choice(ENDS)]))

    resting = {f"n{number}" for number, piece in enumerate(pieces) if "rest" in piece or "call" in piece}
    ends = {line.removesuffix(" ends") for line in ended.lines if not line.startswith("late")}
    assert ended.seconds < SOON
    assert "fired" not in ended.lines
    assert ends == resting
    assert ("did not stop" in ended.errors) is is_stuck
