"""The demo's processes: they do what they say and end when they should."""

from __future__ import annotations

import asyncio
import signal
import sys

import httpx
import pytest

from examples.demo._by_hand import FILE, MAIN, mend, watch
from examples.demo._load import write_documents
from examples.demo._processes import run, running
from examples.demo._programs import ROOT, ProgramError, Provider, agents, copy_of_agents, penstock, provider

BODY = {"model": "small-1", "messages": [{"role": "user", "content": "Hello"}]}


async def ask(url: str, count: int) -> list[int]:
    async with httpx.AsyncClient(trust_env=False, timeout=60, limits=httpx.Limits(max_connections=None)) as client:
        answers = (client.post(f"{url}/v1/chat/completions", json=BODY) for _ in range(count))
        return [answer.status_code for answer in await asyncio.gather(*answers)]


def test_the_provider_serves_so_many_at_once_and_refuses_the_others():
    """It answers 429 over its limit, and remembers how many were open."""

    async def flood():
        async with provider(4, service=2.0) as asked:
            return await ask(asked.url, 10), await asked.requests()

    statuses, requests = asyncio.run(flood())

    assert sorted(statuses) == [200] * 4 + [429] * 6
    assert max(request.open for request in requests) > 4
    assert all(request.left > request.arrived for request in requests)


def test_the_provider_ends_with_whoever_started_it():
    """Its standard input ends, and it does too: nothing is left behind by a demo that was killed."""

    async def start_and_close():
        command = (sys.executable, "-m", "examples.demo.provider")
        async with running(*command, folder=ROOT, environment={}) as process:
            await process.stdout.readline()
            process.stdin.close()
            return await asyncio.wait_for(process.wait(), 60)

    assert asyncio.run(start_and_close()) == 0


def test_a_process_that_does_not_listen_is_killed_with_its_children():
    """Whatever ignores the end of its input and an interrupt is killed, and its own children too."""
    program = (
        "import signal, subprocess, sys, time; signal.signal(signal.SIGINT, signal.SIG_IGN);"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
        "print('ready', flush=True); time.sleep(600)"
    )

    async def start_and_leave():
        async with running(sys.executable, "-c", program, folder=ROOT, environment={}, grace=0.1) as process:
            await process.stdout.readline()
        # Its child has the same standard output, which ends only with the last of them.
        return process.returncode, await asyncio.wait_for(process.stdout.read(), 60)

    assert asyncio.run(start_and_leave()) == (-signal.SIGKILL, b"")


def test_what_steers_penstock_does_not_reach_the_demos_programs(monkeypatch):
    """A mode or a key in the user's own environment would decide instead of the flag."""
    monkeypatch.setenv("PENSTOCK_MODE", "enforce")
    monkeypatch.setenv("LAUNCHDARKLY_SDK_KEY", "secret")
    program = "import os; print([name for name in os.environ if name.startswith(('PENSTOCK_', 'LAUNCHDARKLY_'))])"
    done = asyncio.run(run(sys.executable, "-c", program, folder=ROOT, environment={"PENSTOCK_ENVIRONMENT": "canary"}))

    assert done.output == "['PENSTOCK_ENVIRONMENT']\n"


def test_agents_that_cannot_start_say_why(tmp_path):
    """The error has the end of what they wrote."""

    async def work():
        async with agents(tmp_path, {}) as working:
            await working.do("status")

    with pytest.raises(ProgramError, match="No module named agents"):
        asyncio.run(work())


def test_a_job_that_fails_is_an_error(tmp_path):
    """The demo does not go on with a job that did not work."""
    project = copy_of_agents(tmp_path / "agents")

    async def work():
        async with agents(project, {}) as working:
            await working.do("dance")

    with pytest.raises(ProgramError, match="unknown workflow 'dance'"):
        asyncio.run(work())


def test_documents_are_the_same_each_time(tmp_path):
    """Two demos research the same."""
    for name in ("one", "two"):
        write_documents(tmp_path / name, 3)
    one, two = ([file.read_text() for file in sorted((tmp_path / name).iterdir())] for name in ("one", "two"))

    assert one == two
    assert len(set(one)) == 3


def test_what_is_mended_by_hand_fits_the_example(tmp_path):
    """The edits apply to the file as it is, and what comes out compiles."""
    project = copy_of_agents(tmp_path / "agents")
    diff = mend(project)

    compile((project / FILE).read_text("utf-8"), FILE, "exec")
    assert "+    async for outcome in penstock_limits.bounded_map(" in diff


@pytest.mark.parametrize("rewritten", [False, True])
def test_the_monitor_started_by_hand_fits_the_example(tmp_path, rewritten):
    """Before the codemod and after it; what comes out compiles and is declared."""
    project = copy_of_agents(tmp_path / "agents")
    if rewritten:
        asyncio.run(penstock(project, "codemod", ".", "--select", "1,2,3", "--write"))

    diff = watch(project)

    compile((project / MAIN).read_text("utf-8"), MAIN, "exec")
    assert "+    async with ConcurrencyMonitor(page=0):" in diff
    assert '+    "penstock-monitoring",' in diff


def test_a_file_that_has_changed_is_not_mended(tmp_path):
    """Nothing is written, and the error names the file."""
    project = copy_of_agents(tmp_path / "agents")
    (project / FILE).write_text("changed = True\n")

    with pytest.raises(ValueError, match="has changed"):
        mend(project)
    assert (project / FILE).read_text() == "changed = True\n"


def test_a_provider_that_is_gone_is_an_error():
    """The demo says so in one line."""
    with pytest.raises(ProgramError, match="does not tell what it has seen"):
        asyncio.run(Provider("http://127.0.0.1:1", limit=4).requests())
