"""The limits hold on the example: what the provider sees is what counts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from examples.demo._load import research, wait_for_mode
from examples.demo._measure import Request, within
from examples.demo._programs import copy_of_agents, penstock
from tests.load.conftest import LIMIT, PROVIDER_LIMIT

# An answer takes so long, and nobody asks twice, that a slow machine has every call open at once, too.
PATIENT = {"service": 1.0, "PROVIDER_RETRIES": "0"}


def peak(requests: Sequence[Request]) -> int:
    return max(request.open for request in requests)


def refused(requests: Sequence[Request]) -> int:
    return sum(request.status == 429 for request in requests)


async def one_research(agents, provider, documents):
    window = await research(agents, "test", documents)
    return await provider.requests(), window


async def three_researches_at_once(agents, provider, documents):
    result = await agents.do("compare", questions=["Why?", "How?", "When?"], folder=documents)
    status = await agents.do("status")
    return result["summaries"], status["limiters"]["api_call"]


def test_before_the_migration_the_provider_is_flooded(tmp_path, under_load):
    """The example is as bad as it says: more calls at once than the provider serves, and refusals."""
    requests, _ = under_load(copy_of_agents(tmp_path / "agents"), one_research, **PATIENT)

    assert peak(requests) > PROVIDER_LIMIT
    assert refused(requests) > 0


def test_migrated_and_off_nothing_is_held_back(project, under_load):
    """Off is what the code did before: the limiter only counts, and the provider is flooded."""
    requests, window = under_load(project, one_research, **PATIENT)

    assert peak(requests) > PROVIDER_LIMIT
    assert window.limiter["mode"] == "off"
    assert window.limiter["waited"] == window.limiter["would_wait"] == 0


def test_observe_counts_what_would_have_waited_and_holds_nothing_back(project, under_load):
    """Observe tells what enforce would do, before it is done to anybody."""
    requests, window = under_load(project, one_research, PENSTOCK_MODE="observe", **PATIENT)

    assert peak(requests) > PROVIDER_LIMIT
    assert window.limiter["would_wait"] > 0
    assert window.limiter["waited"] == 0


def test_enforce_never_has_more_open_than_the_limit(project, under_load):
    """Enforced, the provider never sees more than the limit, refuses nothing, and every answer arrives."""
    requests, window = under_load(project, one_research, PENSTOCK_MODE="enforce")

    assert peak(requests) <= LIMIT
    assert refused(requests) == window.lost == 0
    assert window.limiter["peak_running"] == LIMIT
    assert window.limiter["running"] == window.limiter["queued"] == 0


@pytest.mark.slow
def test_fan_outs_within_fan_outs_come_to_an_end(project, under_load):
    """Three researches admitted by the limiter fan out on the same limiter, three times each, without a deadlock."""
    summaries, limiter = under_load(project, three_researches_at_once, PENSTOCK_MODE="enforce")

    assert len(summaries) == 3
    assert limiter["peak_running"] <= LIMIT
    assert limiter["running"] == limiter["queued"] == 0


@pytest.mark.slow
def test_switched_off_with_work_in_flight_everybody_who_waits_comes_in(project, under_load):
    """One job starts bounded and ends unbounded: the flip wakes who waits, and no answer and no permit is lost."""

    async def switched_off(agents, provider, documents):
        await set_flag(project, "enforce")
        await research(agents, "first", documents)
        await wait_for_mode(agents, "enforce")
        before = await provider.requests()
        job = asyncio.create_task(agents.do("research", question="Why?", folder=documents))
        while len(await provider.requests()) <= len(before) + LIMIT:
            await asyncio.sleep(0.05)
        early = await provider.requests()
        await set_flag(project, "off")
        report = await job
        return early, await provider.requests(), report, (await agents.do("status"))["limiters"]["api_call"]

    early, late, report, limiter = under_load(
        project, switched_off, provider_limit=1000, service=1.0, PENSTOCK_ENVIRONMENT="development"
    )

    assert peak(early) <= LIMIT < peak(late)
    assert report["lost"] == refused(late) == 0
    assert limiter["running"] == limiter["queued"] == 0


@pytest.mark.slow
def test_switched_on_with_work_in_flight_the_next_fan_out_is_bounded(project, under_load):
    """What has started goes on; what comes after the flip keeps to the limit, and no permit is lost."""

    async def switched_on(agents, provider, documents):
        await set_flag(project, "off")
        job = asyncio.create_task(agents.do("research", question="Why?", folder=documents))
        while not await provider.requests():
            await asyncio.sleep(0.01)
        await set_flag(project, "enforce")
        await job
        await wait_for_mode(agents, "enforce")
        window = await research(agents, "after", documents)
        return within(window, await provider.requests()), window

    requests, window = under_load(project, switched_on, PENSTOCK_ENVIRONMENT="development")

    assert peak(requests) <= LIMIT
    assert refused(requests) == window.lost == 0
    assert window.limiter["running"] == window.limiter["queued"] == 0


async def set_flag(project, mode):
    done = await penstock(project, "flags", "set", "bounded-fanout", mode, "--env", "development")
    assert done.status == 0, done.errors
