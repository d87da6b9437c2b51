"""Permits that are kept until a stream is closed."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from penstock_limits import Limiter


async def numbers() -> AsyncIterator[int]:
    for number in range(3):
        yield number


def test_a_hold_says_whether_it_holds() -> None:
    """In its repr."""
    limiter = Limiter("provider", max_running=1)
    hold = limiter.hold()
    assert repr(hold) == "<Hold of 1 on 'provider': not held>"

    with hold:
        assert repr(hold) == "<Hold of 1 on 'provider': held>"


async def test_a_hold_by_hand_is_given_back_once() -> None:
    """However often it is closed."""
    limiter = Limiter(max_running=2)
    hold = await limiter.hold(weight=2)
    assert limiter.statistics().running == 2

    hold.close()
    hold.close()

    now = limiter.statistics()
    assert (now.running, now.surplus_releases) == (0, 0)


async def test_a_hold_that_is_held_is_not_entered_again() -> None:
    """Its permits would be lost."""
    limiter = Limiter(max_running=2)
    async with limiter.hold() as hold:
        with pytest.raises(RuntimeError, match="entered twice"):
            await hold

    assert limiter.statistics().running == 0


async def test_permits_stay_with_an_async_generator_until_its_end() -> None:
    """Leaving the block gives nothing back."""
    limiter = Limiter(max_running=1)
    async with limiter.hold() as hold:
        stream = hold.until_closed(numbers())

    assert limiter.statistics().running == 1
    assert [number async for number in stream] == [0, 1, 2]
    assert limiter.statistics().running == 0


async def test_an_async_generator_that_is_closed_early_gives_back() -> None:
    """Also if it was never started."""
    limiter = Limiter(max_running=1)
    async with limiter.hold() as hold:
        stream = hold.until_closed(numbers())

    await stream.aclose()  # type: ignore[attr-defined]

    assert limiter.statistics().running == 0


async def test_an_async_generator_that_is_forgotten_gives_back() -> None:
    """When it is collected."""
    limiter = Limiter(max_running=1)
    async with limiter.hold() as hold:
        stream = hold.until_closed(numbers())
    del stream, hold
    gc.collect()

    assert limiter.statistics().running == 0


def test_permits_stay_with_a_generator_until_its_end() -> None:
    """In a thread without a loop."""
    limiter = Limiter(max_running=1)

    def lines() -> Iterator[str]:
        yield "line"

    with limiter.hold() as hold:
        stream = hold.until_closed(lines())

    assert limiter.statistics().running == 1
    assert list(stream) == ["line"]
    assert limiter.statistics().running == 0


@pytest.mark.parametrize("reads", [True, False])
async def test_permits_stay_with_a_streamed_response(reads: bool) -> None:
    """Until it is read to its end, or closed."""
    limiter = Limiter(max_running=1)

    async def body() -> AsyncIterator[bytes]:
        yield b"token"

    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=body()))
    async with httpx.AsyncClient(transport=transport) as client:
        async with limiter.hold() as hold:
            request = client.build_request("GET", "http://localhost/")
            response = hold.until_closed(await client.send(request, stream=True))
        assert limiter.statistics().running == 1

        await (response.aread() if reads else response.aclose())

        assert isinstance(response, httpx.Response)
        assert limiter.statistics().running == 0


class Stream:
    """What a client may return: `close` is a coroutine function, as with openai."""

    closed = False

    async def close(self) -> str:
        self.closed = True
        return "closed"


async def test_a_close_that_is_a_coroutine_gives_back_when_it_is_done() -> None:
    """And returns what it returned."""
    limiter = Limiter(max_running=1)
    async with limiter.hold() as hold:
        stream = hold.until_closed(Stream())
    closing = stream.close()
    assert limiter.statistics().running == 1

    assert await closing == "closed"

    assert stream.closed
    assert limiter.statistics().running == 0


async def test_a_stream_that_is_forgotten_is_collected_and_gives_back() -> None:
    """At once: what is wrapped around its methods does not keep it alive."""
    limiter = Limiter(max_running=1)
    async with limiter.hold() as hold:
        stream = hold.until_closed(Stream())
    gc.disable()
    try:
        del stream
        assert limiter.statistics().running == 0
    finally:
        gc.enable()


async def test_an_error_in_the_block_gives_back() -> None:
    """The stream will never reach anybody."""
    limiter = Limiter(max_running=1)

    async def fails() -> None:
        async with limiter.hold() as hold:
            hold.until_closed(numbers())
            raise ValueError("lost")

    with pytest.raises(ValueError, match="lost"):
        await fails()

    assert limiter.statistics().running == 0


@pytest.mark.parametrize("stream", ["text", object()])
async def test_what_cannot_be_followed_is_refused(stream: Any) -> None:
    """And the permits are given back at the block's end."""
    limiter = Limiter(max_running=1)
    async with limiter.hold() as hold:
        with pytest.raises(TypeError, match="call close"):
            hold.until_closed(stream)

    assert limiter.statistics().running == 0


async def test_a_hold_that_is_cancelled_while_it_waits_holds_nothing() -> None:
    """The permit goes to the next."""
    limiter = Limiter(max_running=1)
    await limiter.acquire()
    waiting = asyncio.create_task(limiter.hold().__aenter__())
    await asyncio.sleep(0)

    limiter.release()
    waiting.cancel()
    await asyncio.wait([waiting])

    assert limiter.statistics().running == 0


async def test_a_hold_that_is_used_again_is_not_given_back_by_its_first_stream() -> None:
    """That has given back what it was handed, and no more."""
    limiter = Limiter(max_running=1)
    hold = limiter.hold()
    async with hold:
        first = hold.until_closed(Stream())
    await first.close()

    async with hold:
        second = hold.until_closed(Stream())
        await first.close()
        del first
        gc.collect()

    assert limiter.statistics().running == 1
    await second.close()
    assert limiter.statistics().running == 0
