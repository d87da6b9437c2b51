"""What the codemod makes of what nobody owns: replaced, left to review, or left alone, and why."""

from __future__ import annotations

from pathlib import Path

import pytest
from penstock_migrations._auditing.audit import audit
from penstock_migrations._auditing.settings import Settings
from penstock_migrations._rewriting.rewrite import rewrite
from penstock_migrations.rule import Finding, Fix

from tests.migrations.owning_shapes import HEAD, NONE, REVIEW, SAFE

CODES = ("PEN301", "PEN302", "PEN303", "PEN304", "PEN603")


def findings(folder: Path, source: str) -> list[Finding]:
    (folder / "shape.py").write_text(source, encoding="utf-8")
    return [one for one in audit([folder], Settings(select=CODES)).findings if one.path.endswith("shape.py")]


@pytest.mark.parametrize("source", [HEAD + one for one in SAFE.values()], ids=list(SAFE))
def test_replaces_what_is_called_and_nothing_else(source, tmp_path):
    """One call becomes the drop-in's, its module is imported, and every other line stays."""
    found = findings(tmp_path, source)
    after = rewrite(source.encode(), found).source.decode().splitlines()
    changed = [line for line in after if line not in source.splitlines()]

    assert [one.fix for one in found] == [Fix.SAFE]
    assert changed[0] == "import penstock_tasks"
    assert len(changed) == 2
    assert "penstock_tasks." in changed[1]
    assert len(after) == len(source.splitlines()) + len(changed) - 1


@pytest.mark.parametrize("source", [HEAD + one for one in SAFE.values()], ids=list(SAFE))
def test_finds_nothing_more_in_what_was_replaced(source, tmp_path):
    """What the codemod wrote has an owner."""
    after = rewrite(source.encode(), findings(tmp_path, source)).source.decode()

    assert not findings(tmp_path, after)


@pytest.mark.parametrize(("reason", "source"), REVIEW.values(), ids=list(REVIEW))
def test_leaves_to_review_what_the_exit_would_change(reason, source, tmp_path):
    """The reason says what to look at, and the rewrite is offered."""
    found = findings(tmp_path, HEAD + source)

    assert [one.fix for one in found] == [Fix.REVIEW]
    assert reason in (found[0].fix_reason or "")
    assert "penstock_tasks." in rewrite((HEAD + source).encode(), found).source.decode()


@pytest.mark.parametrize(("reason", "source"), NONE.values(), ids=list(NONE))
def test_leaves_alone_what_it_is_not_sure_of(reason, source, tmp_path):
    """The reason says why, and no rewrite is offered."""
    found = findings(tmp_path, HEAD + source)

    assert [one.fix for one in found] == [Fix.NONE]
    assert reason in (found[0].fix_reason or "")
    assert not found[0].rewrites


REPLACING = {
    "a dotted text": 'with mock.patch("jobs.shape.Thread"):\n    pass',
    "through the library": 'with mock.patch("jobs.shape.threading.Thread"):\n    pass',
    "a decorator of several lines": '@patch(\n    "shape.Thread"\n)\ndef test_it(thread):\n    shape.f()',
    "in the library itself": 'import shape\nmonkeypatch.setattr("threading.Thread", Fake)',
    "an attribute": 'from jobs import shape as module\nmock.patch.object(module, "Thread")',
    "an attribute of the library there": 'import shape\nmonkeypatch.setattr(shape.threading, "Thread", Fake)',
    "several at once": 'mock.patch.multiple("jobs.shape", Thread=Fake, other=1)',
    "an assignment": "import shape\nshape.Thread = Fake",
    "an import of several lines": 'from jobs import (\n    other,\n    shape,\n)\nmock.patch("threading.Thread")',
    "by a keyword": 'mock.patch(target="jobs.shape.Thread")',
    "a text with a name in it": 'from jobs import shape\nmock.patch(f"{MODULE}.Thread")',
    "a text behind a name": 'from jobs import shape\nmock.patch(MODULE + ".threading.Thread")',
}
WHOLE = {
    "a dotted text": 'mock.patch("jobs.shape.threading")',
    "an attribute": 'from jobs import shape\nmock.patch.object(shape, "threading")',
    "an item of the module": 'from jobs import shape\nmonkeypatch.setitem(vars(shape), "threading", Fake)',
    "an assignment": "import shape\nshape.threading = Fake",
}
HARMLESS = {
    "of another module": 'mock.patch("jobs.other.Thread")',
    "another name": 'mock.patch("jobs.shape.Timer")',
    "another library": 'mock.patch("jobs.shape.asyncio")',
    "an attribute of an object": "import shape\nself.Thread = Thread",
    "an attribute, where the module is not named": 'mock.patch.object(jobs, "Thread")',
    "a method of the thread": 'mock.patch("jobs.shape.Thread.start")',
}
THREAD = HEAD + "\ndef f():\n    Thread(target=work).start()\n"


@pytest.mark.parametrize("text", REPLACING.values(), ids=list(REPLACING))
def test_leaves_alone_what_tests_replace(text, tmp_path):
    """A test that puts something in the place of `Thread` would not see the drop-in."""
    (tmp_path / "test_jobs.py").write_text(text)
    (found,) = findings(tmp_path, THREAD)

    assert found.fix is Fix.NONE
    assert found.fix_reason == "`Thread` is replaced in test_jobs.py: the drop-in would pass that by"
    assert not found.rewrites


@pytest.mark.parametrize("text", WHOLE.values(), ids=list(WHOLE))
def test_leaves_alone_the_library_that_tests_replace(text, tmp_path):
    """Who replaces `threading` in the module wants its `Thread` not to be called."""
    (tmp_path / "test_jobs.py").write_text(text)
    (found,) = findings(tmp_path, THREAD)

    assert found.fix is Fix.NONE
    assert found.fix_reason == "`threading` is replaced in test_jobs.py: the drop-in would pass that by"


def test_leaves_alone_what_its_own_file_replaces(tmp_path):
    """As a test does that brings what it tests."""
    (found,) = findings(tmp_path, THREAD + '\ndef test_it():\n    with mock.patch("threading.Thread"):\n        f()\n')

    assert found.fix is Fix.NONE


@pytest.mark.parametrize(
    "text", ["type(job.thread) is threading.Thread", "job.__class__ == Thread", "type(one) not in (Timer, Thread)"]
)
def test_leaves_to_review_what_another_file_asks_for_the_very_type_of(text, tmp_path):
    """The drop-in's type is one of its own."""
    (tmp_path / "others.py").write_text(f"def f(job):\n    return {text}\n")
    (found,) = findings(tmp_path, THREAD)

    assert found.fix is Fix.REVIEW
    assert "others.py compares a type with `Thread`" in (found.fix_reason or "")


@pytest.mark.parametrize("text", HARMLESS.values(), ids=list(HARMLESS))
def test_replaces_what_no_test_replaces(text, tmp_path):
    """What tests put elsewhere does not matter."""
    (tmp_path / "test_jobs.py").write_text(text)
    (found,) = findings(tmp_path, THREAD)

    assert found.fix is Fix.SAFE


def test_looks_into_tests_that_are_not_audited(tmp_path, monkeypatch):
    """`penstock codemod src` sees what the project's `tests` folder replaces, and what it does from now on."""
    monkeypatch.setenv("PENSTOCK_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "pyproject.toml").touch()
    for name in ("src", "tests"):
        (tmp_path / name).mkdir()
    before = [one.fix for one in findings(tmp_path / "src", THREAD)]
    (tmp_path / "tests" / "test_shape.py").write_text(REPLACING["a dotted text"])

    assert before == [Fix.SAFE]
    assert [one.fix for one in findings(tmp_path / "src", THREAD)] == [Fix.NONE]


def test_says_where_the_exit_becomes_longer(tmp_path):
    """A loop that looks at no event is safe to be owned, and people are told what that costs, and the way out."""
    source = (
        HEAD
        + "\ndef beat():\n    while True:\n        work()\n\ndef f():\n    Thread(target=beat, daemon=True).start()"
    )
    (found,) = findings(tmp_path, source)

    assert found.fix is Fix.SAFE
    assert "stop_event()" in (found.fix_reason or "")


def test_a_task_with_an_owner_is_counted_in_a_loop_all_the_same(tmp_path):
    """To have an owner bounds nothing: the loop is still one that makes many tasks."""
    loop = "async def f(urls, g):\n    for url in urls:\n        penstock_tasks.create_task(g(url))"
    source = f"import penstock_tasks\n\n{loop}"
    (tmp_path / "shape.py").write_text(source)
    (found,) = audit([tmp_path], Settings(select=("1",))).findings

    assert (found.code, found.fix) == ("PEN102", Fix.NONE)
    assert "owner" in (found.fix_reason or "")
