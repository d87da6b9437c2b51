"""The guard beside the plugins that run coroutines, and beside xdist."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.guard.runs import run

COROUTINES = """
import asyncio, threading, pytest, sys
KEPT = []
MARK
class TestAll:
    async def test_task(self):
        KEPT.append(asyncio.create_task(asyncio.Event().wait()))
    async def test_clean(self):
        await asyncio.create_task(asyncio.sleep(0))
    @staticmethod
    async def test_static():
        KEPT.append(asyncio.create_task(asyncio.Event().wait()))
@pytest.fixture
async def service():
    task = asyncio.create_task(asyncio.Event().wait())
    yield task
    task.cancel()
MARK
async def test_service(service):
    assert not service.done()
"""
ACCUSED = [("test_static", "task"), ("test_task", "task")]


@pytest.mark.parametrize(
    ("mode", "scope"),
    [
        ("auto", "session"),
        ("strict", "function"),
        pytest.param("auto", "function", marks=pytest.mark.slow),
        pytest.param("strict", "session", marks=pytest.mark.slow),
    ],
)
def test_pytest_asyncio(tmp_path: Path, mode: str, scope: str) -> None:
    """In both modes; a loop that lives on keeps the accused task, and no later test is accused of it."""
    source = COROUTINES.replace("MARK", "@pytest.mark.asyncio").replace(
        "@pytest.fixture", "import pytest_asyncio\n@pytest_asyncio.fixture"
    )
    options = [f"asyncio_mode={mode}", f"asyncio_default_test_loop_scope={scope}"]
    options.append(f"asyncio_default_fixture_loop_scope={scope}")

    done = run(tmp_path, source, "--penstock-guard", *[part for each in options for part in ("-o", each)])

    assert done.counts("passed") == 4, done.text
    assert done.accused == ACCUSED


def test_anyio_on_asyncio_and_trio(tmp_path: Path) -> None:
    """Its loop is closed within the call: the guard looks before. Tests on trio are counted and left alone."""
    source = COROUTINES.replace("MARK", "@pytest.mark.anyio") + (
        """
@pytest.mark.anyio
async def test_thread_of_anyio():
    import anyio
    await anyio.to_thread.run_sync(int)
"""
    )
    source = source.replace("asyncio.create_task(", "spawn(").replace(
        "KEPT = []",
        """KEPT = []
def spawn(coro):
    if "trio" not in sys.modules or not trio_runs():
        return asyncio.create_task(coro)
    coro.close()
    return Nothing()
class Nothing:
    def done(self): return False
    def cancel(self): pass
    def __await__(self): return iter(())
def trio_runs():
    import sniffio
    return sniffio.current_async_library() == "trio"
""",
    )

    done = run(tmp_path, source, "--penstock-guard", "-o", "asyncio_mode=strict", "-p", "no:asyncio", plugins=None)

    assert done.counts("passed") == 10, done.text
    assert done.accused == [("test_static[asyncio]", "task"), ("test_task[asyncio]", "task")]
    assert done.report is not None
    assert done.report["tests"] == 5
    assert "5 tests were not watched, as they run on trio" in done.text


def test_unittest(tmp_path: Path) -> None:
    """Its set-up and tear-down are part of the call."""
    source = """
import asyncio, socket, unittest
KEPT = []
class Test(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.service = asyncio.create_task(asyncio.Event().wait())
        self.socket = socket.socket()
    async def asyncTearDown(self):
        self.service.cancel()
        self.socket.close()
    async def test_task(self):
        KEPT.append(asyncio.create_task(asyncio.Event().wait()))
    async def test_clean(self):
        assert not self.service.done()
"""

    done = run(tmp_path, source, "--penstock-guard")

    assert done.counts("passed") == 2, done.text
    assert done.accused == [("test_task", "task")]


def test_hypothesis(tmp_path: Path) -> None:
    """Each example is looked at inside the loop."""
    source = """
import asyncio
from hypothesis import given, settings, strategies
KEPT = []
@settings(max_examples=3, database=None, deadline=None)
@given(strategies.integers(0, 10))
async def test_examples(number):
    KEPT.append(asyncio.create_task(asyncio.Event().wait()))
"""

    done = run(tmp_path, source, "--penstock-guard")

    assert done.counts("passed") == 1, done.text
    assert set(done.accused) == {("test_examples", "task")}


def test_uvloop(tmp_path: Path) -> None:
    """Tasks, threads and files are seen in a loop that is not written in Python, too."""
    source = """
import asyncio, pytest, uvloop
KEPT = []
@pytest.fixture(scope="session")
def event_loop_policy():
    return uvloop.EventLoopPolicy()
async def test_task():
    assert isinstance(asyncio.get_running_loop(), uvloop.Loop)
    KEPT.append(asyncio.create_task(asyncio.Event().wait()))
async def test_fan_out():
    await asyncio.gather(*[asyncio.sleep(0.01) for _ in range(200)])
async def test_clean():
    await asyncio.to_thread(int)
"""

    done = run(tmp_path, source, "--penstock-guard", "-W", "ignore")

    assert done.counts("passed") == 3, done.text
    assert done.accused == [("test_fan_out", "fan-out"), ("test_task", "task")]


LEAKS = """
import socket, pytest
KEPT = []
@pytest.mark.parametrize("number", range(6))
def test_leak(number):
    KEPT.append(socket.socket())
"""
XDIST = ("penstock_guard.plugin", "xdist.plugin")


def test_xdist(tmp_path: Path) -> None:
    """Workers accuse, and one report says it all; the environment, which the first process takes, reaches them."""
    done = run(tmp_path, LEAKS, "-n", "2", plugins=XDIST, environment={"PENSTOCK_GUARD": "report"})

    assert done.counts("passed") == 6, done.text
    assert done.accused == [(f"test_leak[{number}]", "socket") for number in range(6)]
    assert done.text.count("6 accusations in 6 tests") == 1


def test_xdist_tells_what_a_monitor_would_show(tmp_path: Path) -> None:
    """Workers hand on what each of them has seen, and what is the same is told once."""
    source = """
import penstock_limits, pytest
@pytest.mark.parametrize("number", range(4))
def test_limited(number):
    penstock_limits.limiter("api_call")
"""
    done = run(tmp_path, source, "-n", "2", plugins=XDIST, environment={"PENSTOCK_GUARD": "report"})

    assert done.report is not None
    assert done.report["resources"] == [{"package": "penstock_limits", "kind": "limiter", "name": "api_call"}]


def test_a_drop_in_that_is_only_named_is_not_what_a_monitor_would_show(tmp_path: Path) -> None:
    """A test that puts a mock in its place comes to no connection; one that is refused has come to a pool."""
    source = """
import asyncio, gc, pytest, unittest.mock
import penstock_pooling
async def connect():
    with pytest.raises(OSError):
        await penstock_pooling.connect("postgresql://127.0.0.1:1/rag")
def test_mocks():
    with unittest.mock.patch("penstock_pooling.connect") as mock:
        mock("postgresql://127.0.0.1:1/rag")
def test_is_refused():
    asyncio.run(connect())
    gc.collect()
"""
    environment = {"PENSTOCK_GUARD": "report", "PENSTOCK_MODE": "enforce"}
    mocked = run(tmp_path, source, "-k", "mocks", environment=environment)
    refused = run(tmp_path, source, "-k", "refused", environment=environment)

    assert mocked.counts("passed") == refused.counts("passed") == 1
    assert mocked.report is not None
    assert mocked.report["resources"] == []
    assert refused.report is not None
    assert "connect" in {each["kind"] for each in refused.report["resources"]}


@pytest.mark.slow
def test_xdist_knows_the_baseline(tmp_path: Path) -> None:
    """Each worker does, and fails what is new."""
    report = ("--penstock-guard", "-n", "2")

    assert run(tmp_path, LEAKS, "--penstock-guard=fail", "-n", "2", plugins=XDIST).counts("failed") == 6
    assert run(tmp_path, LEAKS, *report, "--penstock-guard-update-baseline", plugins=XDIST).status == 0
    assert run(tmp_path, LEAKS, *report, plugins=XDIST).status == 0
    assert run(tmp_path, LEAKS + "    KEPT.append(open(__file__))", *report, plugins=XDIST).status == 1


def test_without_blockbuster(tmp_path: Path) -> None:
    """A long call is the watchdog's, a short one nobody's; the ini file says so, or it is not installed."""
    source = """
import time
async def test_short():
    time.sleep(0.001)
"""
    off = run(tmp_path, source, "--penstock-guard", ini="penstock_guard_blockbuster = false\n")

    assert off.accused == []


@pytest.mark.parametrize("error", ["RuntimeError", "asyncio.CancelledError"])
def test_a_resource_that_cannot_be_read_fails_no_test(tmp_path: Path, error: str) -> None:
    """It is somebody else's, and hides nothing that a monitor would show."""
    source = f"""
import asyncio, penstock_limits
class Broken:
    kind, name = "thing", "broken"
    def statistics(self):
        raise {error}
broken = Broken()
penstock_limits.enter_resource(broken)
def test_limited():
    penstock_limits.limiter("api_call")
"""
    done = run(tmp_path, source, environment={"PENSTOCK_GUARD": "report"})

    assert done.counts("passed") == 1
    assert done.report is not None
    assert {"package": "penstock_limits", "kind": "limiter", "name": "api_call"} in done.report["resources"]
