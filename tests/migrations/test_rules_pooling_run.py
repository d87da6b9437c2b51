"""What a safe rewrite promises, by running it: off is what it was, and whatever fails, every place is given back."""

from __future__ import annotations

import asyncio
import inspect
import sys
from typing import Any

import pytest
from penstock_migrations._auditing.audit import audit
from penstock_migrations._auditing.settings import Settings
from penstock_migrations._rewriting.rewrite import rewrite

from tests.migrations.pooling_drivers import FailureError, Record, drivers, switched_off
from tests.migrations.pooling_shapes import HEAD, SAFE


@pytest.fixture(params=sorted(SAFE))
def shape(request, tmp_path):
    """A shape that is rewritten safely, before and after."""
    source = HEAD + SAFE[request.param]
    (tmp_path / "shape.py").write_text(source)
    found = audit([tmp_path], Settings(select=("PEN201",))).findings
    return source, rewrite(source.encode(), found).source.decode()


@pytest.fixture
def run(monkeypatch):
    """Run a program over drivers that connect to nothing: how it ended, with what it asked of them."""

    def run(source: str, fail_at: int | None = None, error: type[BaseException] = FailureError) -> tuple[str, Record]:
        record = Record(fail_at, error)
        known = drivers(record)
        for name, one in (known | switched_off(known)).items():
            monkeypatch.setitem(sys.modules, name, one)
        return ended(source), record

    return run


def ended(source: str) -> str:
    names: dict[str, Any] = {"__name__": "shape"}
    exec(compile(source, "shape", "exec"), names)
    try:
        result = names["run"]()
        return repr(asyncio.run(result) if inspect.iscoroutine(result) else result)
    except (FailureError, RuntimeError, asyncio.CancelledError) as error:
        return repr(error)


def test_does_what_it_did_with_the_mode_off(shape, run):
    """The same result, by the same arguments, statements and closes in the same order."""
    before, after = shape
    (result, record), (result_after, record_after) = run(before), run(after)

    assert "penstock_pooling" in after
    assert record.asked
    assert result_after == result
    assert record_after.asked == record.asked


@pytest.mark.parametrize("error", [FailureError, asyncio.CancelledError])
def test_gives_every_place_back_whatever_fails(shape, run, error):
    """Each step fails in its turn: the connecting, each statement, each commit; nothing is left open after it."""
    _, after = shape
    _, record = run(after)

    for fail_at in range(1, len(record.asked) + 1):
        if error is asyncio.CancelledError and not is_awaited(after):
            break  # nothing cancels a function that blocks
        _, failed = run(after, fail_at, error)
        assert failed.held == 0, failed.asked


def test_never_holds_two_places_at_once(shape, run):
    """A pool of one is enough: no operation waits for a place while it holds one."""
    _, record = run(shape[1])

    assert record.most == 1


def is_awaited(source: str) -> bool:
    return "await penstock_pooling" in source or "penstock_pooling.connect(" in source
