"""`FanOuts`: the calls that start many awaitables at once, and what sets the number."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from penstock_migrations._code.elements import Element, Elements
from penstock_migrations._code.limits import Limits
from penstock_migrations._code.module import Module
from penstock_migrations._code.reaching import Reaching
from penstock_migrations._code.sizes import Size, Sizes
from penstock_migrations._fanout.patterns import (
    collections_of,
    growing_loops,
    has_window,
    is_consumed_in_turn,
    is_drained,
    is_race,
)
from penstock_migrations._fanout.work import GATHERS, WAITS, Work, Works

__all__ = ["FanOut", "FanOuts"]

_OTHER_GATHERS = frozenset(
    {"anyio.as_completed", "anyio.gather", "tqdm.asyncio.tqdm.gather", "tqdm.asyncio.tqdm_asyncio.gather"}
)
_MAPS = frozenset({"anyio.amap"})


@dataclass(frozen=True, slots=True, eq=False)
class FanOut:
    """A call that starts many awaitables, and those whose number nothing limits.

    Attributes:
        call: The offending call.
        works: What it starts without a limit.
        is_unlike: It starts different work beside.
    """

    call: ast.Call
    works: tuple[Work, ...]
    is_unlike: bool = False


class FanOuts:
    """The fan-outs of one module, each found by one rule only."""

    def __init__(self, module: Module) -> None:
        names = Reaching(module)
        self.module = module
        self.sizes = Sizes(names)
        self.elements = Elements(names, self.sizes)
        self.limits = Limits(names)
        self.works = Works(names, self.elements, self.limits)
        self._covered: set[ast.AST] = set()

    @cached_property
    def gathers(self) -> list[FanOut]:
        """The gathers whose number of awaitables nothing limits."""
        gathers = [(call, _starred(call)) for call in self.module.calls_to(GATHERS | _OTHER_GATHERS)]
        maps = [(call, [self._mapped(call)]) for call in self.module.calls_to(_MAPS) if len(call.args) > 1]
        return [found for call, given in gathers + maps if (found := self._waiting(call, given)) is not None]

    @cached_property
    def task_loops(self) -> list[FanOut]:
        """The other calls: tasks created in a loop, waited for one by one, or left."""
        _ = self.gathers  # they cover the tasks that they gather
        waits = [
            found for call in self.module.calls_to(WAITS) if (found := self._waiting(call, call.args[:1])) is not None
        ]
        spawns = [call for call in self.works.spawns() if call not in self._covered]
        return waits + [found for call in spawns if (found := self._left(call)) is not None]

    def callees(self, fan_out: FanOut) -> tuple[str, ...]:
        """Return references of what does the work; an empty one stands for what cannot be told."""
        found = [self.limits.references.of(work.call) if work.call is not None else [] for work in fan_out.works]
        return tuple(dict.fromkeys(one[0] if one else "" for one in found))

    def _mapped(self, call: ast.Call) -> ast.expr:
        """Return what a call maps, as `map` would: `amap(f, xs)` starts what `map(f, xs)` makes."""
        return self.module.made_call(ast.Name("map", ast.Load()), call.args[:2], call)

    def _waiting(self, call: ast.Call, collections: list[ast.expr]) -> FanOut | None:
        """Look at a call that waits for collections of awaitables."""
        works = [work for node in collections for element in self._gathered(node) for work in self.works.of(element)]
        works = [work for work in works if work.creation is None or self._is_beside(work.creation, call)]
        if any(is_drained(self.module, node, call) for node in collections):
            return None
        self._covered.update(work.creation for work in works if work.creation is not None)
        unlimited = [work for work in works if work.size > Size.CONFIGURED and not self.works.is_limited(work)]
        names = [node.value if isinstance(node, ast.Starred) else node for node in collections]
        windows = [ast.unparse(name) for name in names if isinstance(name, ast.Name | ast.Attribute)]
        if not unlimited or is_race(self.module, call) or any(has_window(self.module, one, call) for one in windows):
            return None
        started = {ast.unparse(work.call.func) for work in works if work.call is not None}
        return FanOut(_blamed(call, works, unlimited), tuple(unlimited), len(started) > 1)

    def _gathered(self, node: ast.expr) -> Iterator[Element]:
        """Yield the elements of a collection; what a local one has piled up in a loop without a head is data."""
        held = isinstance(node.value if isinstance(node, ast.Starred) else node, ast.Attribute)
        for element in self.elements.of(node):
            piled_up = element.size is Size.ARRIVALS and not held
            yield replace(element, size=Size.DATA) if piled_up else element

    def _left(self, call: ast.Call) -> FanOut | None:
        """Look at a call that makes a task which nothing in the same function waits for."""
        loops = growing_loops(self.module, call)
        if not loops or is_consumed_in_turn(self.module, call, loops[0]):
            return None
        element = Element(call, self.sizes.turns(loops), over=self.sizes.decisive(loops))
        works = [work for work in self.works.of_call(call, element) if not self.works.is_limited(work)]
        collections = collections_of(self.module, call)
        if not works or element.size <= Size.CONFIGURED:
            return None
        if any(has_window(self.module, name, call) for name in collections):
            return None
        if element.size is Size.ARRIVALS and not collections and not _is_left(self.module.statement(call)):
            return None  # one task, replaced from time to time
        return FanOut(call, tuple(works))

    def _is_beside(self, creation: ast.Call, call: ast.Call) -> bool:
        """Say whether a task is made by the function that waits for it: else the wait only drains what runs."""
        return self.module.function(creation) is self.module.function(call)


def _starred(call: ast.Call) -> list[ast.expr]:
    return [argument for argument in call.args if isinstance(argument, ast.Starred)]


def _is_left(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr)


def _blamed(call: ast.Call, works: list[Work], unlimited: list[Work]) -> ast.Call:
    """Return the call to report: where a part is limited, the one that makes the unlimited part."""
    creation = unlimited[0].creation
    return call if creation is None or len(unlimited) == len(works) else creation
