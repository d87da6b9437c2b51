"""What a lifespan opens and closes: in which order, in which time, and what a signal does."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import threading
import traceback
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from penstock_limits import ConfigurationError, Event, add_listener
from penstock_limits.testing import run_in_virtual_time
from penstock_pooling import lifespan

from tests.limits.gauge import settled


class Resource:
    """Tells a list what happens to it."""

    def __init__(self, name: str, told: list[str], *, closes_in: float = 0.0, fails: str = "") -> None:
        self.name = name
        self.told = told
        self.closes_in = closes_in
        self.fails = fails

    async def __aenter__(self) -> str:
        if self.fails == "opening":
            raise ConnectionError(self.name)
        if self.fails == "never opens":
            await asyncio.Event().wait()
        self.told.append(f"{self.name} opened")
        return self.name.upper()

    async def __aexit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        self.told.append(f"{self.name} closes" + ("" if error is None else f" for {error!r}"))
        try:
            await asyncio.sleep(self.closes_in)
        except asyncio.CancelledError:
            self.told.append(f"{self.name} gave up")
            raise
        if self.fails == "closing":
            raise ConnectionError(self.name)
        self.told.append(f"{self.name} closed")


async def test_resources_are_closed_in_reverse_order() -> None:
    """What they give is there by name."""
    told: list[str] = []

    async with lifespan({"pools": Resource("a", told), "clients": lambda: Resource("b", told)}) as opened:
        assert dict(opened) == {"pools": "A", "clients": "B"}
        told.append("body")

    assert told == ["a opened", "b opened", "body", "b closes", "b closed", "a closes", "a closed"]


async def test_what_the_block_raises_is_raised_and_told_to_the_resources() -> None:
    """A task group among them would wait for ever if it were not told."""
    told: list[str] = []

    with pytest.raises(ValueError, match=r"^body$") as caught:
        async with lifespan({"a": Resource("a", told), "b": Resource("b", told)}):
            raise ValueError("body")

    assert told[2:] == ["b closes for ValueError('body')", "b closed", "a closes for ValueError('body')", "a closed"]
    assert "_keep" not in [frame.f_code.co_name for frame, _ in traceback.walk_tb(caught.value.__traceback__)]


async def test_what_fails_to_open_closes_those_before_it() -> None:
    """Its error is what is raised."""
    told: list[str] = []
    life = lifespan({"a": Resource("a", told), "b": Resource("b", told, fails="opening"), "c": Resource("c", told)})

    with pytest.raises(ConnectionError, match=r"^b$"):
        await life.__aenter__()

    assert told == ["a opened", "a closes for ConnectionError('b')", "a closed"]


async def test_a_task_that_is_cancelled_while_opening_closes_what_is_open() -> None:
    """And leaves no task behind."""
    told: list[str] = []
    life = lifespan({"a": Resource("a", told), "b": Resource("b", told, fails="never opens")})
    opening = asyncio.create_task(life.__aenter__())
    await settled()

    opening.cancel()
    await asyncio.wait([opening])

    assert opening.cancelled()
    assert told[1:] == ["a closes for CancelledError()", "a closed"]
    assert [task for task in asyncio.all_tasks() if "lifespan" in task.get_name()] == []


def test_closing_takes_no_longer_than_its_time(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever is late is cancelled and named; the others are closed all the same."""
    told: list[str] = []
    events: list[Event] = []
    remove = add_listener(events.append)

    async def main() -> float:
        loop = asyncio.get_running_loop()
        resources = {
            "first": Resource("first", told),
            "slow": Resource("slow", told, closes_in=100),
            "last": Resource("last", told, closes_in=1),
        }
        async with lifespan(resources, close_timeout=9.0):
            began = loop.time()
        return loop.time() - began

    try:
        took = run_in_virtual_time(main)
    finally:
        remove()

    assert took == pytest.approx(1 + 4)  # half of what the last one left
    assert told[3:] == ["last closes", "last closed", "slow closes", "slow gave up", "first closes", "first closed"]
    assert [(each.name, each.resource) for each in events] == [("lifespan.not_closed", "slow")]
    assert "not closed within 9 s, and cancelled: slow" in caplog.text


def test_a_resource_that_will_not_be_cancelled_is_left() -> None:
    """It holds nobody up."""

    class Stubborn(Resource):
        async def __aexit__(self, *_: object) -> None:
            for _ in range(3):
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(50)

    async def main() -> float:
        loop = asyncio.get_running_loop()
        async with lifespan({"stubborn": Stubborn("stubborn", [])}, close_timeout=2.0):
            began = loop.time()
        return loop.time() - began

    assert run_in_virtual_time(main) == pytest.approx(2.0)


def test_what_is_late_has_the_time_that_the_others_leave() -> None:
    """It is cancelled once, and may still clean up."""
    told: list[str] = []

    class Slow(Resource):
        async def __aexit__(self, *_: object) -> None:
            try:
                await asyncio.sleep(100)
            finally:
                await asyncio.sleep(3)
                self.told.append("cleaned up")

    async def main() -> float:
        loop = asyncio.get_running_loop()
        async with lifespan({"first": Resource("first", told), "slow": Slow("slow", told)}, close_timeout=10.0):
            began = loop.time()
        return loop.time() - began

    assert run_in_virtual_time(main) == pytest.approx(5 + 3)
    assert told[2:] == ["first closes", "first closed", "cleaned up"]


LEFT = """
import asyncio, contextlib
from penstock_pooling import lifespan

class Stubborn:
    async def __aenter__(self):
        return self
    async def __aexit__(self, *_):
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(600)

async def main():
    async with lifespan({"stubborn": Stubborn()}, close_timeout=0.1):
        print("open", flush=True)
    print("left", flush=True)

asyncio.run(main())
print("ended", flush=True)
"""


async def test_what_was_left_does_not_keep_the_program(tmp_path: Path) -> None:
    """`asyncio.run` would wait for a task that cannot be cancelled, for ever."""
    async with running(LEFT, tmp_path) as process:
        out, err = await ended(process)

    assert (out, process.returncode) == (["left", "ended"], 0)
    assert "not closed within 0.1 s, and cancelled: stubborn" in err


# --- resources that end before the block


def keepers() -> list[asyncio.Task[Any]]:
    return [task for task in asyncio.all_tasks() if "lifespan of" in task.get_name()]


async def fails() -> None:
    raise ValueError("job")


async def test_a_task_group_whose_task_fails_cancels_the_block() -> None:
    """As without a lifespan; what was opened before it outlives it, and what was opened after it does not."""
    told: list[str] = []
    resources = {"first": Resource("a", told), "jobs": asyncio.TaskGroup, "last": Resource("b", told)}

    async def main() -> None:
        async with lifespan(resources) as opened:
            opened["jobs"].create_task(fails())
            await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup) as caught:
        await main()

    assert [repr(each) for each in caught.value.exceptions] == ["ValueError('job')"]
    assert told[2:] == ["b closes for CancelledError()", "b closed", "a closes for CancelledError()", "a closed"]
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(0)  # no cancellation is left over


async def test_a_timeout_among_the_resources_is_one() -> None:
    """It cancels the block, and its error is raised."""
    told: list[str] = []

    with pytest.raises(TimeoutError):
        async with lifespan({"a": Resource("a", told), "limit": lambda: asyncio.timeout(0.001)}):
            await asyncio.Event().wait()

    assert told[-1] == "a closed"


async def test_a_resource_that_is_cancelled_is_told_of_and_named() -> None:
    """By whoever cancels all tasks; everything is closed in order all the same."""
    told: list[str] = []
    events: list[Event] = []
    remove = add_listener(events.append)

    async def main() -> None:
        async with lifespan({"a": Resource("a", told), "b": Resource("b", told)}):
            for task in keepers():
                task.cancel()
            await asyncio.Event().wait()

    try:
        with pytest.raises(RuntimeError, match=r"^lifespan: (a, b|b, a) ended before the block did"):
            await main()
    finally:
        remove()

    assert [line for line in told if line.endswith("closed")] == ["b closed", "a closed"]
    assert sorted((each.name, each.resource) for each in events) == [
        ("lifespan.ended_early", "a"),
        ("lifespan.ended_early", "b"),
    ]


async def test_a_resource_may_be_cancelled_as_its_block_ends() -> None:
    """It is closed anyhow; the others are, and nothing is left over."""
    told: list[str] = []

    async with lifespan({"a": Resource("a", told), "b": Resource("b", told)}):
        for task in keepers():
            task.cancel()
    await asyncio.sleep(0)

    assert [line for line in told if line.endswith("closed")] == ["b closed", "a closed"]
    assert keepers() == []


async def test_what_the_block_raises_goes_before_an_early_end(caplog: pytest.LogCaptureFixture) -> None:
    """The resource's error is logged."""

    async def main() -> None:
        async with lifespan({"jobs": asyncio.TaskGroup}) as opened:
            opened["jobs"].create_task(fails())
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise KeyError("cleaning up") from None

    with pytest.raises(KeyError, match="cleaning up"):
        await main()

    assert "ValueError: job" in caplog.text


async def test_a_cancellation_by_others_goes_before_an_early_end() -> None:
    """Both at once, as when `asyncio.run` ends: everything is closed in order."""
    told: list[str] = []

    async def main() -> None:
        async with lifespan({"a": Resource("a", told), "b": Resource("b", told)}):
            await asyncio.Event().wait()

    block = asyncio.create_task(main())
    await settled()
    for task in [*keepers(), block]:
        task.cancel()
    await asyncio.wait([block])

    assert block.cancelled()
    assert told[2:] == ["b closes for CancelledError()", "b closed", "a closes for CancelledError()", "a closed"]


def test_what_nobody_closes_ends_with_its_loop() -> None:
    """Who opened it is gone: it does not wait for him."""
    told: list[str] = []

    async def main() -> None:
        await lifespan({"a": Resource("a", told)}).__aenter__()

    asyncio.run(main())

    assert told[-1] == "a closed"


async def test_a_server_is_not_stopped_by_an_early_end(caplog: pytest.LogCaptureFixture) -> None:
    """It would go on serving without its other resources; the error is logged at once, and raised at the end."""
    told: list[str] = []
    life = lifespan({"a": Resource("a", told), "jobs": asyncio.TaskGroup})

    async def main() -> None:
        async with life(None) as state:
            state["jobs"].create_task(fails())
            while "jobs has ended, before the program did" not in caplog.text:
                await asyncio.sleep(0)
            assert "ValueError: job" in caplog.text
            assert told == ["a opened"]

    with pytest.raises(ExceptionGroup) as caught:
        await main()

    assert [repr(each) for each in caught.value.exceptions] == ["ValueError('job')"]
    assert told[-1] == "a closed"


async def test_what_closing_raises_is_raised_after_all_are_closed() -> None:
    """One error as it is, several as a group."""
    told: list[str] = []

    def resource(name: str, fails: str = "closing") -> Resource:
        return Resource(name, told, fails=fails)

    with pytest.raises(ConnectionError, match=r"^b$"):
        async with lifespan({"a": resource("a", ""), "b": resource("b")}):
            pass
    assert told[-1] == "a closed"
    with pytest.raises(ExceptionGroup) as caught:
        async with lifespan({"a": resource("a"), "b": resource("b")}):
            pass
    assert [str(each) for each in caught.value.exceptions] == ["b", "a"]


async def test_what_closing_raises_does_not_hide_why(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged."""
    with pytest.raises(ValueError, match="body"):
        async with lifespan({"a": Resource("a", [], fails="closing")}):
            raise ValueError("body")

    assert [record.message for record in caplog.records if record.levelno == logging.ERROR] == [
        "a resource failed to close"
    ]


async def test_a_task_that_is_cancelled_while_closing_closes_everything() -> None:
    """Then it is cancelled."""
    told: list[str] = []
    doors = asyncio.Event()

    class Slow(Resource):
        async def __aexit__(self, *_: object) -> None:
            await doors.wait()
            self.told.append(f"{self.name} closed")

    async def main() -> None:
        async with lifespan({"a": Resource("a", told), "b": Slow("b", told)}):
            pass

    task = asyncio.create_task(main())
    await settled()
    task.cancel()
    await settled()
    assert not task.done()
    doors.set()
    await asyncio.wait([task])

    assert task.cancelled()
    assert told[-1] == "a closed"


async def test_a_resource_is_opened_and_closed_in_one_task() -> None:
    """As task groups, and cancel scopes of anyio, demand."""
    import anyio

    async with lifespan({"group": anyio.create_task_group, "of asyncio": asyncio.TaskGroup}) as opened:
        opened["group"].start_soon(asyncio.sleep, 0)
        opened["of asyncio"].create_task(asyncio.sleep(0))


async def test_a_lifespan_may_be_used_again_and_is_open_once() -> None:
    """What it is made of decides whether it can be opened again."""
    told: list[str] = []
    life = lifespan({"a": lambda: Resource("a", told)})

    for _ in range(2):
        async with life:
            with pytest.raises(RuntimeError, match="<Lifespan of a> is open already"):
                await life.__aenter__()

    assert told.count("a closed") == 2
    assert repr(lifespan({})) == "<Lifespan of nothing>"


@pytest.mark.parametrize(
    ("resources", "options", "message"),
    [
        ({}, {"close_timeout": 0}, "close_timeout = 0; allowed are seconds above 0"),
        ({}, {"close_timeout": True}, "close_timeout = True"),
        ({"pools": 3}, {}, "pools = 3; allowed is an async context manager, or a function that makes one"),
    ],
)
def test_a_wrong_value_is_refused(resources: Any, options: Any, message: str) -> None:
    """With what is allowed."""
    with pytest.raises(ConfigurationError, match=f"^lifespan: {message}"):
        lifespan(resources, **options)


async def test_outside_of_the_main_thread_no_signal_is_handled() -> None:
    """And everything else works."""
    told: list[str] = []

    async def main() -> None:
        before = signal.getsignal(signal.SIGTERM)
        async with lifespan({"a": Resource("a", told)}):
            assert signal.getsignal(signal.SIGTERM) is before

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    await asyncio.to_thread(thread.join)

    assert told[-1] == "a closed"


async def test_handlers_are_as_they_were_afterwards() -> None:
    """Ignored signals are never touched."""
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        interrupt = signal.getsignal(signal.SIGINT)
        async with lifespan({}):
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
            assert signal.getsignal(signal.SIGINT) is not interrupt
        assert signal.getsignal(signal.SIGINT) is interrupt
    finally:
        signal.signal(signal.SIGTERM, before)


# --- processes that are signalled

PROGRAM = """
import asyncio, sys
from penstock_pooling import lifespan

class Resource:
    def __init__(self, name, seconds=0.0):
        self.name, self.seconds = name, seconds
    async def __aenter__(self):
        return self
    async def __aexit__(self, *_):
        print(self.name, "closing", flush=True)
        await asyncio.sleep(self.seconds)
        print(self.name, "closed", flush=True)

async def main():
    resources = {"pools": Resource("pools"), "clients": Resource("clients", float(sys.argv[1]))}
    async with lifespan(resources, close_timeout=float(sys.argv[2])):
        print("open", flush=True)
        try:
            await asyncio.sleep(600)
        finally:
            print("stopped", flush=True)

if sys.argv[3] == "uvloop":
    import uvloop
    uvloop.run(main())
else:
    asyncio.run(main())
"""
CLOSED = ["stopped", "clients closing", "clients closed", "pools closing", "pools closed"]


@contextlib.asynccontextmanager
async def running(program: str, folder: Path, *arguments: str) -> AsyncIterator[Process]:
    """A process of ours that has printed `open`; it is gone afterwards."""
    (folder / "program.py").write_text(program)
    process = await asyncio.create_subprocess_exec(
        sys.executable, folder / "program.py", *arguments, stdout=PIPE, stderr=PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            assert (await process.stdout.readline()).strip() == b"open"
            yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def ended(process: Process) -> tuple[list[str], str]:
    out, err = await process.communicate()
    return out.decode().splitlines(), err.decode()


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_closes_everything_and_then_has_its_usual_effect(
    tmp_path: Path, number: signal.Signals, loop: str
) -> None:
    """The process ends by it, as without."""
    async with running(PROGRAM, tmp_path, "0", "10", loop) as process:
        process.send_signal(number)
        out, err = await ended(process)

    assert out == CLOSED
    assert process.returncode in {-number, 130}
    assert ("KeyboardInterrupt" in err) == (number == signal.SIGINT)


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
async def test_a_signalled_process_names_what_did_not_close(tmp_path: Path) -> None:
    """And ends all the same, by the signal."""
    async with running(PROGRAM, tmp_path, "600", "0.2", "asyncio") as process:
        process.send_signal(signal.SIGTERM)
        out, err = await ended(process)

    assert out == ["stopped", "clients closing", "pools closing", "pools closed"]
    assert process.returncode == -signal.SIGTERM
    assert "not closed within 0.2 s, and cancelled: clients" in err


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
async def test_a_second_signal_ends_the_process_at_once(tmp_path: Path) -> None:
    """Whoever sends it does not want to wait."""
    async with running(PROGRAM, tmp_path, "600", "500", "asyncio") as process:
        assert process.stdout is not None
        process.send_signal(signal.SIGTERM)
        while (await process.stdout.readline()).strip() != b"clients closing":
            pass
        process.send_signal(signal.SIGTERM)
        out, _ = await ended(process)

    assert out == []
    assert process.returncode == -signal.SIGTERM


HANDLED = """
import asyncio, signal, sys
from penstock_pooling import lifespan

async def main():
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    async with lifespan({}):
        print("open", flush=True)
        await stop.wait()
        print("graceful", flush=True)

if sys.argv[1] == "uvloop":
    import uvloop
    uvloop.run(main())
else:
    asyncio.run(main())
"""


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_a_signal_that_the_event_loop_handles_is_left_to_it(tmp_path: Path, loop: str) -> None:
    """The program's own handler decides what it does."""
    async with running(HANDLED, tmp_path, loop) as process:
        process.send_signal(signal.SIGTERM)
        out, err = await ended(process)

    assert (out, process.returncode) == (["graceful"], 0), err


SERVER = """
import sys
import uvicorn
from penstock_pooling import lifespan

class Resource:
    def __init__(self, name):
        self.name = name
        self.opened = 0
    async def __aenter__(self):
        if self.name == sys.argv[1]:
            raise ConnectionError(self.name)
        self.opened += 1
        return f"{self.name} {self.opened}"
    async def __aexit__(self, *_):
        print(self.name, "closed", flush=True)

life = lifespan({"pools": Resource("pools"), "clients": Resource("clients")})
from application import make
app = make(life)
server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))

async def main():
    import asyncio
    serving = asyncio.ensure_future(server.serve())
    while not server.started and not serving.done():
        await asyncio.sleep(0.01)
    if server.started:
        print("open", flush=True)
        print(server.servers[0].sockets[0].getsockname()[1], flush=True)
    await serving
    sys.exit(0 if server.started else 3)

import asyncio
asyncio.run(main())
"""

STARLETTE = """
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

async def show(request):
    return PlainTextResponse(request.state.pools + ", " + request.state.clients)

def make(life):
    return Starlette(routes=[Route("/", show)], lifespan=life)
"""

FASTAPI = """
from typing import Annotated
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import PlainTextResponse

def pools(request: Request) -> str:
    return request.state.pools

router = APIRouter()

@router.get("/")
async def show(request: Request, pools: Annotated[str, Depends(pools)]) -> PlainTextResponse:
    return PlainTextResponse(pools + ", " + request.state.clients)

def make(life):
    app = FastAPI(lifespan=life)
    app.include_router(router)
    return app
"""


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("application", [STARLETTE, FASTAPI], ids=["starlette", "fastapi"])
async def test_an_application_under_uvicorn_opens_and_closes(application: str, tmp_path: Path) -> None:
    """Handlers find what was opened, once, in `request.state`; the server's own signals close it."""
    import httpx

    (tmp_path / "application.py").write_text(application)
    async with running(SERVER, tmp_path, "") as process:
        assert process.stdout is not None
        port = int(await process.stdout.readline())
        async with httpx.AsyncClient() as client:
            for _ in range(3):
                assert (await client.get(f"http://127.0.0.1:{port}/")).text == "pools 1, clients 1"
        process.send_signal(signal.SIGTERM)
        out, _ = await ended(process)

    assert out == ["clients closed", "pools closed"]
    assert process.returncode in {0, -signal.SIGTERM}


@pytest.mark.parametrize("application", [STARLETTE, FASTAPI], ids=["starlette", "fastapi"])
async def test_an_application_does_not_start_when_something_does_not_open(application: str, tmp_path: Path) -> None:
    """What was opened before it is closed."""
    (tmp_path / "application.py").write_text(application)
    (tmp_path / "server.py").write_text(SERVER)
    process = await asyncio.create_subprocess_exec(
        sys.executable, tmp_path / "server.py", "clients", stdout=PIPE, stderr=PIPE
    )
    out, err = await ended(process)

    assert out == ["pools closed"]
    assert process.returncode == 3
    assert "ConnectionError: clients" in err
