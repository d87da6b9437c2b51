"""Never run: type checkers must infer what is asserted here, of threads."""

from __future__ import annotations

import concurrent.futures
import threading
from typing import assert_type

from penstock_tasks import Thread, ThreadNode, ThreadPoolExecutor, Timer, stop_event, threads, to_thread


def length(text: str) -> int:
    return len(text)


class Worker(Thread):
    def __init__(self, number: int) -> None:
        super().__init__(target=length, args=("text",), daemon=True)
        self.number = number


def made() -> None:
    thread: threading.Thread = Thread(target=length, args=("text",), name="name", daemon=True)
    timer: threading.Timer = Timer(1.0, length, args=["text"])
    assert_type(Worker(1).number, int)
    assert_type(stop_event(thread), threading.Event)
    assert_type(stop_event(timer), threading.Event)
    assert_type(threads(), tuple[ThreadNode, ...])


def submitted() -> None:
    with ThreadPoolExecutor(2, thread_name_prefix="name") as executor:
        plain: concurrent.futures.Executor = executor
        assert_type(executor.submit(length, "text"), concurrent.futures.Future[int])
        executor.submit(length, 3)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
        plain.shutdown()


async def called() -> None:
    assert_type(await to_thread(length, "text", timeout=5.0), int)
    assert_type(await to_thread(length, text="text"), int)
