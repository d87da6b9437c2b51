"""What a safe rewrite promises, by running it: the same results with the mode off, and a bound when it is enforced."""

from __future__ import annotations

import asyncio
import contextlib
from types import SimpleNamespace

import pytest
from penstock_migrations._rewriting.rewrite import rewrite

from tests.migrations.test_rules_shapes import MOVED, REWRITTEN, findings
from tests.migrations.test_rules_tasks import LIMITED

SHAPES = REWRITTEN | MOVED | LIMITED
LIMIT = 5  # of the limit named stress_test
ITEMS = list(range(12))


class Work:
    """Counts how much of it runs at once, and writes down what was started in which order."""

    def __init__(self):
        self.started = []
        self.running = self.peak = 0

    async def __call__(self, *arguments, **_options):
        self.started.append(arguments[:1])
        self.running += 1
        self.peak = max(self.peak, self.running)
        for _ in range(3):
            await asyncio.sleep(0)
        self.running -= 1
        return arguments


class Session:
    """A client whose requests are the work."""

    def __init__(self, work):
        self.get = work

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_exception):
        return None


def http(work):
    return SimpleNamespace(TCPConnector=lambda **_options: None, ClientSession=lambda **_options: Session(work))


async def found_by_search():
    return ITEMS


def run(source: str) -> tuple[object, Work]:
    """Run the shape, and return how it ended, and the work it did."""
    work = Work()
    names = {
        "f": work,
        "g": work,
        "search": found_by_search,
        "split": lambda _n: found_by_search(),
        "shuffled": list,
        "aiohttp": http(work),
        "span": contextlib.nullcontext,
    }
    exec(source, names)
    shape = names["A"]
    shape.__getattr__ = lambda _self, name: asyncio.Lock() if name == "lock" else ITEMS[:3] if name == "as_" else ITEMS
    try:
        return asyncio.run(shape().run(list(ITEMS), 12, response=SimpleNamespace(content=ITEMS))), work
    except (TypeError, ValueError) as error:
        return repr(error), work


@pytest.fixture(params=sorted(SHAPES))
def shape(request, tmp_path):
    """A shape that is rewritten safely, before and after."""
    (found,) = findings(tmp_path, SHAPES[request.param], limit="stress_test")
    before = (tmp_path / "shape.py").read_bytes()
    return before.decode(), rewrite(before, [found]).source.decode()


def test_does_what_it_did_with_the_mode_off(shape, monkeypatch):
    """The same results, or the same failure, and the same starts in the same order."""
    monkeypatch.setenv("PENSTOCK_MODE", "off")
    before, after = shape
    (result, work), (result_after, work_after) = run(before), run(after)

    assert result_after == result
    assert work_after.started == work.started
    assert work_after.peak == work.peak


def test_is_bounded_when_the_mode_is_enforced(shape, monkeypatch):
    """The same results, and no more at once than the limit."""
    monkeypatch.setenv("PENSTOCK_MODE", "enforce")
    before, after = shape
    (result, work), (result_after, work_after) = run(before), run(after)

    assert result_after == result
    assert sorted(map(repr, work_after.started)) == sorted(map(repr, work.started))
    assert work_after.peak <= LIMIT < work.peak
