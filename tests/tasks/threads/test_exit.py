"""What becomes of threads when their program ends; each program is a process of its own.

`hang()` would run for 50 s. That a program ends long before shows that nobody waits for it.
"""

from __future__ import annotations

import signal
import sys

import pytest

from tests.tasks.threads.programs import run

starts_threads_at_the_exit = pytest.mark.skipif(
    sys.version_info[:2] == (3, 12), reason="CPython 3.12 starts no thread any more when main has ended"
)

SOON = 40.0  # seconds: less than hang() takes, more than any machine needs for the rest


def test_a_daemon_is_told_to_stop_and_waited_for() -> None:
    """It gets to its end, and nothing is reported."""
    ended = run("start(Thread(target=rest, daemon=True)); say('main ends')")

    assert ended.lines == ["main ends", "rest ends"]
    assert (ended.status, ended.errors) == (0, "")


@pytest.mark.parametrize("mode", ["off", "observe"])
def test_without_an_owner_a_daemon_is_abandoned(mode: str) -> None:
    """As CPython does."""
    ended = run("start(Thread(target=rest, daemon=True)); say('main ends')", mode)

    assert ended.lines == ["main ends"]
    assert ended.seconds < SOON


def test_observe_says_what_enforce_would_have_told() -> None:
    """One event for each thread that is alive at the exit."""
    ended = run(
        """
        penstock_limits.add_listener(lambda event: say(event.name, event.resource, event.details["daemon"]))
        start(Thread(target=rest, name="worker", daemon=True))
        """,
        "observe",
    )

    assert ended.lines == ["thread.would_stop worker True"]


def test_a_daemon_that_overstays_is_reported_with_its_stack_and_left_behind() -> None:
    """In an event and in the log, which goes to stderr unless it is told otherwise."""
    ended = run(
        """
        set_exit_deadline(0.2)
        penstock_limits.add_listener(lambda event: say(event.name, event.resource, "in hang" in event.details["stack"]))
        start(Thread(target=hang, name="worker", daemon=True))
        """
    )

    assert ended.lines == ["thread.left_behind worker True"]
    assert "the thread 'worker', made at <string>:" in ended.errors
    assert "did not stop within 0.2 s at the exit." in ended.errors
    assert "in hang" in ended.errors
    assert ended.seconds < SOON


def test_a_non_daemon_is_told_to_stop_too() -> None:
    """Where CPython only waits for it."""
    ended = run("start(Thread(target=rest)); say('main ends')")

    assert ended.lines == ["main ends", "rest ends"]
    assert ended.errors == ""


def test_a_non_daemon_that_overstays_is_reported_and_holds_the_exit() -> None:
    """It stays what it is: nothing of its work is lost."""
    ended = run(
        """
        set_exit_deadline(0.1)
        reported = threading.Event()
        penstock_limits.add_listener(lambda event: reported.set())

        def work():
            begun.release()
            reported.wait()
            say("work is done")

        start(Thread(target=work))
        """
    )

    assert ended.lines == ["work is done"]
    assert "at the exit, and holds it, being no daemon" in ended.errors


def test_a_daemon_serves_as_long_as_another_thread_lives() -> None:
    """It is told to stop when nobody needs it any more, not when main ends."""
    ended = run(
        """
        def serve():
            begun.release()
            stop_event().wait()
            say("server ends")

        server = start(Thread(target=serve, daemon=True))

        def work():
            begun.release()
            threading.main_thread().join()
            for _ in range(20):
                assert not stop_event(server).wait(0.01)
            say("work is done")

        start(threading.Thread(target=work))
        """
    )

    assert ended.lines == ["work is done", "server ends"]
    assert ended.errors == ""


def test_the_programs_own_exit_functions_may_stop_a_daemon() -> None:
    """It is waited for after those that were registered after it had started."""
    ended = run(
        """
        own = threading.Event()
        def loop():
            begun.release()
            own.wait()
            say("loop ends")
        start(Thread(target=loop, daemon=True))
        atexit.register(own.set)
        """
    )

    assert ended.lines == ["loop ends"]
    assert ended.errors == ""


@pytest.mark.parametrize(
    ("end", "status"), [("sys.exit(3)", 3), ("raise ValueError('no')", 1), ("raise KeyboardInterrupt", -signal.SIGINT)]
)
def test_it_does_not_matter_how_main_ends(end: str, status: int) -> None:
    """By sys.exit, an exception, Ctrl-C: the status is as without threads."""
    ended = run(f"start(Thread(target=rest, daemon=True)); {end}")

    assert ended.lines == ["rest ends"]
    assert ended.status == status


def test_a_signal_whose_handler_raises_ends_the_program_as_usual() -> None:
    """SIGTERM without a handler ends a process at once, and no Python runs any more."""
    ended = run(
        """
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
        start(Thread(target=rest, daemon=True))
        say("ready")
        time.sleep(50)
        """,
        signal_at=("ready", signal.SIGTERM),
    )

    assert ended.lines == ["ready", "rest ends"]
    assert ended.status == 7


def test_a_signal_without_a_handler_ends_the_process_as_before() -> None:
    """Nothing is run."""
    ended = run(
        "start(Thread(target=rest, daemon=True)); say('ready'); time.sleep(50)", signal_at=("ready", signal.SIGTERM)
    )

    assert ended.lines == ["ready"]
    assert ended.status == -signal.SIGTERM


def test_os_exit_does_nothing() -> None:
    """It is there to do nothing."""
    ended = run("start(Thread(target=rest, daemon=True)); os._exit(4)")

    assert ended.lines == []
    assert ended.status == 4


def test_a_second_interrupt_ends_the_waiting() -> None:
    """Whoever cannot wait presses Ctrl-C; what still runs is reported."""
    ended = run(
        """
        set_exit_deadline(45)
        def obstinate():
            begun.release()
            stop_event().wait()
            say("told")
            time.sleep(50)
        start(Thread(target=obstinate, daemon=True))
        """,
        signal_at=("told", signal.SIGINT),
    )

    assert ended.seconds < SOON
    assert "did not stop" in ended.errors


def test_an_interrupt_that_wakes_nobody_is_seen_all_the_same() -> None:
    """It may come just before the main thread begins to wait, or be given to another thread, as here."""
    ended = run(
        """
        set_exit_deadline(45)
        def main_waits():
            frame = sys._current_frames()[threading.main_thread().ident]
            while frame is not None and frame.f_code.co_name != "join":
                frame = frame.f_back
            return frame is not None
        def obstinate():
            begun.release()
            stop_event().wait()
            while not main_waits():
                time.sleep(0.001)
            signal.pthread_kill(threading.get_ident(), signal.SIGINT)
            time.sleep(50)
        start(Thread(target=obstinate, daemon=True))
        """
    )

    assert ended.seconds < SOON
    assert "did not stop" in ended.errors


def test_an_interrupt_while_others_are_waited_for_ends_the_waiting_for_daemons_too() -> None:
    """Nobody is asked to press Ctrl-C once for each kind of thread."""
    ended = run(
        """
        set_exit_deadline(45)
        def ends():
            begun.release()
            stop_event().wait()
            say("told")
            interrupted.wait()

        interrupted = threading.Event()
        before = signal.getsignal(signal.SIGINT)
        def interrupt(*received):
            interrupted.set()
            before(*received)
        signal.signal(signal.SIGINT, interrupt)
        start(Thread(target=hang, daemon=True))
        start(Thread(target=ends))
        """,
        signal_at=("told", signal.SIGINT),
    )

    assert ended.seconds < SOON


@starts_threads_at_the_exit
@pytest.mark.parametrize("daemon", [True, False])
def test_a_thread_started_at_the_exit_is_told_to_stop_too(daemon: bool) -> None:
    """And waited for."""
    ended = run(
        f"""
        def first():
            begun.release()
            stop_event().wait()
            Thread(target=rest, args=("second",), daemon={daemon}).start()
            say("first ends")
        start(Thread(target=first, daemon={daemon}))
        """
    )

    assert sorted(ended.lines) == ["first ends", "second ends"]
    assert ended.errors == ""


@starts_threads_at_the_exit
def test_a_thread_started_while_the_exit_waits_for_another_is_told_at_once() -> None:
    """Not when that has ended, or the deadline has passed."""
    ended = run(
        """
        set_exit_deadline(2)
        start(Thread(target=hang, daemon=True))
        def first():
            begun.release()
            stop_event().wait()
            time.sleep(0.1)
            Thread(target=rest, args=("second",), daemon=True).start()
        start(Thread(target=first, daemon=True))
        """
    )

    assert ended.lines == ["second ends"]


def test_a_daemon_first_made_at_the_exit_does_not_hold_it() -> None:
    """By an atexit function, in a program that had no thread before: it is too late to wait for it."""
    ended = run(
        """
        def late():
            Thread(target=rest, daemon=True).start()
            begun.acquire()
        atexit.register(late)
        """
    )

    assert ended.seconds < SOON
    assert ended.status == 0


def test_threads_that_start_each_other_do_not_hold_the_exit() -> None:
    """The deadline is for all together."""
    ended = run(
        """
        set_exit_deadline(0.3)
        def endless():
            begun.release()
            time.sleep(0.01)
            try:
                Thread(target=endless, daemon=True).start()
            except RuntimeError:  # too late
                pass
        start(Thread(target=endless, daemon=True))
        """
    )

    assert ended.seconds < SOON


def test_a_timer_is_cancelled() -> None:
    """CPython would wait for it, and call its function."""
    ended = run("Timer(50, say, args=['fired']).start(); say('main ends')")

    assert ended.lines == ["main ends"]
    assert ended.seconds < SOON


def test_a_timer_that_starts_itself_again_comes_to_an_end() -> None:
    """The one that it starts at the exit is cancelled."""
    ended = run(
        """
        def tick():
            begun.release()
            Timer(0.001, tick).start()
        tick()
        for _ in range(3):
            begun.acquire()
        say("main ends")
        """
    )

    assert ended.lines == ["main ends"]
    assert ended.status == 0


def test_an_executor_that_nobody_shut_down_is_ended() -> None:
    """What waits is cancelled, what runs is told to stop, and waited for."""
    ended = run(
        """
        executor = ThreadPoolExecutor(1, "mine")
        penstock_limits.add_listener(
            lambda event: say(event.name, event.resource, event.details["running"], event.details["queued"])
        )
        first, second = executor.submit(rest), executor.submit(rest, "second")
        begun.acquire()
        atexit.register(lambda: say(first.done(), second.cancelled()))
        """
    )

    assert ended.lines == ["executor.ended mine 1 1", "rest ends", "True True"]
    assert ended.errors == ""


def test_a_call_that_overstays_does_not_hold_the_exit() -> None:
    """CPython waits for it without a deadline."""
    ended = run(
        """
        set_exit_deadline(0.2)
        executor = ThreadPoolExecutor(1)
        executor.submit(hang)
        begun.acquire()
        """
    )

    assert ended.seconds < SOON
    assert "in hang" in ended.errors


def test_an_executor_that_was_shut_down_finishes_its_queue() -> None:
    """Somebody has said that it should, by not cancelling; until the deadline."""
    ended = run(
        """
        executor = ThreadPoolExecutor(1)
        for number in range(3):
            executor.submit(say, number)
        executor.shutdown(wait=False)
        """
    )

    assert ended.lines == ["0", "1", "2"]
    assert ended.errors == ""


def test_the_queue_of_an_executor_that_was_shut_down_is_told_of_when_it_is_lost() -> None:
    """After the deadline."""
    ended = run(
        """
        set_exit_deadline(0.1)
        executor = ThreadPoolExecutor(1)
        executor.submit(hang)
        executor.submit(say, "second")
        begun.acquire()
        executor.shutdown(wait=False)
        penstock_limits.add_listener(lambda event: say(event.name, event.details.get("queued")))
        """
    )

    assert ended.lines == ["executor.ended 1", "thread.left_behind None"]


@pytest.mark.parametrize("mode", ["off", "observe"])
def test_without_an_owner_an_executor_does_all_it_has(mode: str) -> None:
    """As CPython does."""
    ended = run(
        """
        executor = ThreadPoolExecutor(1)
        for number in range(3):
            executor.submit(say, number)
        """,
        mode,
    )

    assert ended.lines == ["0", "1", "2"]


@starts_threads_at_the_exit
def test_an_idle_executor_holds_nothing() -> None:
    """Also one that is made when main has ended, and one that nobody has any more."""
    ended = run(
        """
        executor = ThreadPoolExecutor(1)
        executor.submit(int).result()
        ThreadPoolExecutor(1).submit(int).result()

        def late():
            begun.release()
            stop_event().wait()
            global another
            another = ThreadPoolExecutor(1)
            another.submit(int).result()
            say("late ends")
        start(Thread(target=late))
        """
    )

    assert ended.lines == ["late ends"]
    assert ended.errors == ""


def test_a_call_by_to_thread_is_told_to_stop_at_the_exit() -> None:
    """Its task is gone by then; the function gets to its end."""
    ended = run(
        """
        import asyncio
        async def main():
            task = asyncio.create_task(penstock_tasks.to_thread(rest))
            while not begun.acquire(blocking=False):
                await asyncio.sleep(0.001)
        asyncio.run(main())
        """
    )

    assert ended.lines == ["rest ends"]
    assert ended.errors == ""


def test_a_call_by_to_thread_that_overstays_does_not_hold_the_exit() -> None:
    """Nor the end of the event loop."""
    ended = run(
        """
        import asyncio
        set_exit_deadline(0.2)
        async def main():
            try:
                await penstock_tasks.to_thread(hang, timeout=0.1)
            except TimeoutError as error:
                say(error.function, error.thread)
        asyncio.run(main())
        """
    )

    assert ended.lines == ["hang threads_0"]
    assert "in hang" in ended.errors
    assert ended.seconds < SOON


@pytest.mark.skipif("not hasattr(__import__('os'), 'fork')")
def test_a_forked_child_answers_for_its_own_threads_only() -> None:
    """The threads of its parent have not come along; what it starts is told to stop."""
    ended = run(
        """
        start(Thread(target=rest, args=("of the parent",), daemon=True))
        child = os.fork()
        if child == 0:
            start(Thread(target=rest, args=("of the child",), daemon=True))
            sys.exit(0)
        assert os.waitpid(child, 0)[1] == 0
        say("child ended")
        """
    )

    assert ended.lines == ["of the child ends", "child ended", "of the parent ends"]
    assert ended.errors == ""


@pytest.mark.skipif("not hasattr(__import__('os'), 'fork')")
def test_a_forked_child_calls_functions_in_threads_of_its_own() -> None:
    """Although its parent's were all taken when it forked."""
    ended = run(
        """
        import asyncio
        penstock_limits.configure(
            penstock_limits.ConcurrencyConfig(limits={"threads": penstock_limits.LimitSettings(1)})
        )
        async def main():
            task = asyncio.create_task(penstock_tasks.to_thread(rest))
            while not begun.acquire(blocking=False):
                await asyncio.sleep(0.001)
            if (child := os.fork()) == 0:
                return True
            assert os.waitpid(child, 0)[1] == 0
        if asyncio.run(main()):
            say(asyncio.run(penstock_tasks.to_thread(lambda: "of the child")))
            os._exit(0)
        """
    )

    assert ended.lines[0] == "of the child"


@pytest.mark.skipif("not hasattr(__import__('os'), 'fork')")
def test_a_forked_child_counts_anew_in_observe() -> None:
    """Neither the calls that run in its parent nor what they have counted have come along."""
    ended = run(
        """
        import asyncio
        from penstock_tasks._threads.blocking import _calls
        from penstock_tasks._threads.counters import counters
        done = threading.Event()
        def work():
            begun.release()
            done.wait()
        async def main():
            await penstock_tasks.to_thread(time.sleep, 0.01, timeout=0.001)
            task = asyncio.create_task(penstock_tasks.to_thread(work))
            while not begun.acquire(blocking=False):
                await asyncio.sleep(0.001)
            child = os.fork()
            say(_calls.limiter().statistics().running, counters.statistics().would_time_out)
            if child == 0:
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
            done.set()
            await task
        asyncio.run(main())
        """,
        mode="observe",
    )

    assert sorted(ended.lines) == ["0 0", "1 1"]


@pytest.mark.skipif("not hasattr(__import__('os'), 'fork')")
def test_a_forked_child_leaves_the_queues_of_its_parent_alone() -> None:
    """It calls nobody back for them; its own executors, of its parent's making or not, it ends."""
    ended = run(
        """
        gate = threading.Event()
        executor, unused = ThreadPoolExecutor(1), ThreadPoolExecutor(1)
        calls = [executor.submit(gate.wait) for _ in range(3)]
        for call in calls:
            call.add_done_callback(lambda call: say(call.result() if not call.cancelled() else "cancelled"))
        if (child := os.fork()) == 0:
            unused.submit(rest, "of the child")
            begun.acquire()
            sys.exit(0)
        assert os.waitpid(child, 0)[1] == 0
        gate.set()
        calls[-1].result()
        """
    )

    assert ended.lines == ["of the child ends", "True", "True", "True"]
    assert ended.errors == ""


def test_a_thread_that_a_call_starts_holds_the_exit_as_before() -> None:
    """The worker is left behind if it must be; who works for nobody is not."""
    ended = run(
        """
        import concurrent.futures
        def started():
            threading.Thread(target=lambda: (time.sleep(0.2), say("done"))).start()
        ThreadPoolExecutor(1).submit(started).result()
        """
    )

    assert ended.lines == ["done"]
    assert ended.errors == ""


@pytest.mark.skipif("not hasattr(__import__('os'), 'fork')")
def test_a_child_of_multiprocessing_tells_its_threads() -> None:
    """It ends without CPython's usual way out."""
    ended = run(
        """
        import multiprocessing
        def child():
            start(Thread(target=rest))
        process = multiprocessing.get_context("fork").Process(target=child)
        process.start()
        process.join()
        say(process.exitcode)
        """
    )

    assert ended.lines == ["rest ends", "0"]


@pytest.mark.skipif(
    sys.version_info < (3, 13), reason="children of multiprocessing run no atexit functions before 3.13"
)
def test_a_child_of_multiprocessing_waits_for_its_daemons() -> None:
    """Although it has forgotten the exit functions of its parent."""
    ended = run(
        """
        import multiprocessing
        Thread(target=int).start()
        def child():
            start(Thread(target=rest, daemon=True))
        process = multiprocessing.get_context("fork").Process(target=child)
        process.start()
        process.join()
        """
    )

    assert ended.lines == ["rest ends"]


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), "5", True, None])
def test_a_deadline_that_is_none_is_refused(seconds: object) -> None:
    """The message says what is allowed."""
    import penstock_tasks

    with pytest.raises(ValueError, match=r"set_exit_deadline\(\): seconds = .*; allowed are seconds from 0"):
        penstock_tasks.set_exit_deadline(seconds)  # type: ignore[arg-type]
