"""What a safe rewrite promises, by running it: off is what it was to the letter, and enforced it does the same work."""

from __future__ import annotations

import asyncio
import inspect
import queue
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from penstock_migrations._auditing.audit import audit
from penstock_migrations._auditing.settings import Settings
from penstock_migrations._rewriting.rewrite import rewrite

from tests.migrations.owning_shapes import HEAD, SAFE
from tests.migrations.test_rules_owning import CODES

MODES = ("off", "observe", "enforce")
PATIENCE = 30  # seconds until a test that hangs fails


@pytest.fixture(params=sorted(SAFE))
def shape(request, tmp_path):
    """A shape that is rewritten safely, before and after."""
    source = HEAD + SAFE[request.param]
    (tmp_path / "shape.py").write_text(source)
    found = audit([tmp_path], Settings(select=CODES)).findings
    return source, rewrite(source.encode(), found).source.decode()


def run(source: str) -> tuple[Any, list[Any]]:
    """Run a shape until its last work has told so: what it gave, and the work that it did."""
    told: queue.SimpleQueue[object] = queue.SimpleQueue()
    names: dict[str, Any] = {"__name__": "shape", "told": told.put}
    exec(compile(source, "shape", "exec"), names)
    result = names["run"]()
    if inspect.iscoroutine(result):
        result = asyncio.run(result)
    if result is None:  # threads do it: as many works as there are threads, or one that ends a chain
        for _ in range(source.count("range(3)") * 3 or 1):
            told.get(timeout=PATIENCE)
    return result, sorted(names["done"], key=repr)


@pytest.mark.parametrize("mode", MODES)
def test_does_the_same_work_in_every_mode(shape, mode, monkeypatch):
    """The same result, and the same work: by the old classes, counted, or owned."""
    before, after = shape
    monkeypatch.setenv("PENSTOCK_MODE", mode)

    assert "penstock_tasks" in after
    assert run(after) == run(before)


@pytest.fixture
def made(monkeypatch):
    """Return what is made of classes and tasks: the types, as they are."""
    types: list[type] = []
    originals = {
        threading.Thread: threading.Thread.start,
        ThreadPoolExecutor: ThreadPoolExecutor.submit,
    }
    for owner, original in originals.items():

        def noted(self, *arguments, _original=original, **named):
            types.append(type(self))
            return _original(self, *arguments, **named)

        monkeypatch.setattr(owner, original.__name__, noted)
    return types


def test_makes_the_old_classes_with_the_mode_off(shape, made, monkeypatch):
    """To the letter: what is started and submitted to is of the very types of the standard library."""
    monkeypatch.setenv("PENSTOCK_MODE", "off")
    before, after = shape
    run(before)
    expected, made[:] = list(made), []
    run(after)

    assert made == expected
    assert all(one.__module__.partition(".")[0] != "penstock_tasks" for one in made)
