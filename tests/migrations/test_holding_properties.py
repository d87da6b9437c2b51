"""A connection that is said to be closed on every way out is, whichever way a program takes and wherever it fails."""

from __future__ import annotations

import ast
import contextlib
import random
import textwrap

from hypothesis import given, settings
from hypothesis import strategies as st
from penstock_migrations._connections.holding import Closed, hold

SEEDS = range(6)


class FailureError(Exception):
    """What the programs run into."""


class Connection:
    def __init__(self, world):
        world.connections.append(self)
        self.is_open = True

    def close(self):
        self.is_open = False


class World:
    """What a program runs in: each step may fail, and each question is answered at random."""

    def __init__(self, seed, fail_at=None):
        self.random = random.Random(seed)
        self.fail_at = fail_at
        self.steps = 0
        self.connections = []

    def work(self):
        self.steps += 1
        if self.steps == self.fail_at:
            raise FailureError

    def connect(self):
        self.work()
        return Connection(self)

    def flip(self):
        self.work()
        return self.random.random() < 0.5

    def few(self):
        return range(self.random.randrange(3))

    @property
    def left_open(self):
        return sum(one.is_open for one in self.connections)


SIMPLE = st.sampled_from(
    [
        *("c = w.connect()", "c = w.connect()", "c.close()", "c.close()", "w.work()", "w.work()", "c = None", "return"),
        *("return w.work()", "raise ValueError", "if c is not None:\n    c.close()", "if not c:\n    return"),
    ]
)
OF_LOOPS = st.sampled_from(["break", "continue"])


def indented(lines):
    return textwrap.indent("\n".join(lines) or "pass", "    ")


def compound(blocks):
    loops = st.lists(st.one_of(blocks, OF_LOOPS), min_size=1, max_size=3)
    inner = st.lists(blocks, min_size=1, max_size=3)
    return st.one_of(
        st.builds(lambda a, b: f"if w.flip():\n{indented(a)}\nelse:\n{indented(b)}", inner, inner),
        st.builds(lambda a, b: f"if c is None:\n{indented(a)}\nelse:\n{indented(b)}", inner, inner),
        st.builds(lambda a: f"for _ in w.few():\n{indented(a)}", loops),
        st.builds(lambda a, b: f"try:\n{indented(a)}\nfinally:\n{indented(b)}", inner, inner),
        st.builds(
            lambda a, e, b: f"try:\n{indented(a)}\nexcept {e}:\n{indented(b)}",
            inner,
            st.sampled_from(["Exception", "FailureError", "ValueError"]),
            inner,
        ),
        st.builds(lambda a: f"with closing(c):\n{indented(a)}", inner),
        st.builds(lambda a: f"with closing(w.connect()) as c:\n{indented(a)}", inner),
    )


STATEMENTS = st.recursive(SIMPLE, compound, max_leaves=8)
PROGRAMS = st.lists(STATEMENTS, min_size=1, max_size=5)


def held_by(source):
    function = ast.parse(source).body[0]
    calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
    sources = [call for call in calls if ast.unparse(call.func) == "w.connect"]
    return hold(function, "c", sources, closes_at_exit=False, closes=lambda _call, _name: False).closed


def ran(source, world):
    names = {"closing": contextlib.closing, "FailureError": FailureError}
    exec(source, names)
    with contextlib.suppress(FailureError, ValueError, AttributeError):
        names["run"](world)
    return world


@given(PROGRAMS)
@settings(max_examples=400, deadline=None)
def test_what_is_always_closed_is_closed_wherever_it_fails(statements):
    """Each step fails in its turn, in each of several ways through the program."""
    source = f"def run(w):\n    c = None\n{indented(statements)}\n"
    closed = held_by(source)

    for seed in SEEDS if closed in (Closed.ALWAYS, Closed.UNLESS_FAILING) else ():
        world = ran(source, World(seed))
        if closed is Closed.UNLESS_FAILING:
            continue
        assert world.left_open == 0, source
        for fail_at in range(1, world.steps + 1):
            assert ran(source, World(seed, fail_at)).left_open == 0, (source, fail_at)
