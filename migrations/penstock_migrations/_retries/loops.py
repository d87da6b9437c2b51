"""`Loops`: hand-written loops, and functions that call themselves, that try a call again after a pause."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from penstock_migrations._code.module import Function, Module
from penstock_migrations._code.reaching import Reaching, last_name, loops_around, own_nodes, start_of
from penstock_migrations._code.tree import walk
from penstock_migrations._retries.delays import Delay, Delays
from penstock_migrations._retries.shapes import (
    CLOCKS,
    Loop,
    always_ends,
    amount_of,
    calls_in,
    ends,
    is_absent,
    is_local,
    is_rhythm,
    is_short,
    is_unlimited,
    leaves,
    mentions_429,
    names_in,
    own,
    texts_in,
    uses_as_data,
    words_in,
)
from penstock_migrations._retries.words import (
    COUNTER,
    HEADER,
    LIMITED,
    RETRY,
    SQLITE,
    STARTING,
    STATUS,
    WAITING,
)

__all__ = ["Loops", "Retry"]

_SLEEPS = ("sleep", "_sleep", "sleep_func", "sleep_fn")


@dataclass(frozen=True, slots=True, eq=False)
class Retry:
    """A pause before another attempt.

    Attributes:
        sleep: The call that pauses.
        amount: What it is given.
        delay: How long it pauses.
        limited: It answers a provider that says "too many requests".
        heeds: The function reads Retry-After, or what it is told by another name.
        unlimited: Nothing ends the attempts but success.
    """

    sleep: ast.Call
    amount: ast.expr
    delay: Delay
    limited: bool
    heeds: bool
    unlimited: bool


class Loops:
    """The hand-written retries of one module."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.names = Reaching(module)
        self.delays = Delays(module)

    @cached_property
    def retries(self) -> list[Retry]:
        """The pauses before another attempt that are known to be such."""
        calls = self.module.calls_of(*_SLEEPS)
        return [found for call in calls if amount_of(call) is not None and (found := self._retry(call)) is not None]

    @cached_property
    def without_end(self) -> list[Retry]:
        """The retries that only success ends."""
        return [one for one in self.retries if one.unlimited and (one.delay.plain or one.delay.random)]

    @cached_property
    def without_jitter(self) -> list[Retry]:
        """The other retries whose delay has no random part, as far as this module tells."""
        return [one for one in self.retries if one.delay.plain and one not in self.without_end]

    def _retry(self, call: ast.Call) -> Retry | None:
        amount = amount_of(call)
        if amount is None or not self._is_sleep(call) or is_short(amount):
            return None
        again = self._loop(call, amount) or self._recursion(call)
        if again is None:
            return None
        delay = self.delays.of(amount)
        around = self.module.function(call) or self.module.tree
        texts = list(texts_in(walk(again)))
        return Retry(
            sleep=call,
            amount=amount,
            delay=delay,
            limited=any(LIMITED.search(text) for text in texts) or mentions_429(again),
            heeds=delay.server or any(HEADER.search(text) for text in texts_in(walk(around))),
            unlimited=isinstance(again, Loop) and is_unlimited(again) and self._ends_by_success(call, again),
        )

    def _is_sleep(self, call: ast.Call) -> bool:
        if isinstance(call.func, ast.Name) and self.module.function_named(call.func.id, call):
            return False  # a helper of the module
        return (self.module.qualified(call.func) or "sleep").rpartition(".")[2] in _SLEEPS

    # -- is it a retry? -------------------------------------------------------------------------------------------

    def _loop(self, call: ast.Call, amount: ast.expr) -> Loop | None:
        """Return the loop around a pause that tries again."""
        loop = next(iter(loops_around(self.module, call)), None)
        return loop if isinstance(loop, Loop) and self._is_retry(call, amount, loop) else None

    def _recursion(self, call: ast.Call) -> ast.ExceptHandler | None:
        """Return the handler around a pause in which the function calls itself afterwards."""
        function = self.module.function(call)
        around = [one for one in self.module.ancestors(call) if isinstance(one, ast.ExceptHandler)]
        handler = next((one for one in around if self.module.function(one) is function), None)
        block = self.module.parents[handler] if handler is not None else None
        if function is None or handler is None or not isinstance(block, ast.Try):
            return None
        if WAITING.search(function.name) and not RETRY.search(function.name):
            return None
        later = (one for one in calls_in(handler) if last_name(one.func) == function.name)
        if not any(self._is_next_attempt(one, call) and function in self.names.functions(one) for one in later):
            return None
        harmless = is_absent(handler) or is_local(block, [handler]) or self._only_probes(block)
        return None if harmless or self._is_of_this_machine(call, [handler]) else handler

    def _is_next_attempt(self, again: ast.Call, pause: ast.Call) -> bool:
        """Say whether a call comes after a pause, and is all that its statement does."""
        statement = self.module.statement(again)
        value = getattr(statement, "value", None) if isinstance(statement, ast.Return | ast.Expr | ast.Assign) else None
        done = value.value if isinstance(value, ast.Await) else value
        return done is again and start_of(again) > start_of(pause)

    def _is_retry(self, call: ast.Call, amount: ast.expr, loop: Loop) -> bool:
        function = self.module.function(call)
        named = self._is_named(amount, loop, function)
        if self._walks_over_data(loop) or self._waits(loop, function, named=named):
            return False
        if not self.delays.of(amount).grows and any(map(is_rhythm, self.delays.texts(amount))):
            return False
        block = self._attempted(call, loop)
        handlers = self._handlers(block, call) if block is not None else []
        if not self._goes_on(call, loop):
            return False
        if block is None or not handlers:
            return named and self._is_guarded(call, loop)
        if all(map(is_absent, handlers)) or is_local(block, handlers) or self._only_probes(block):
            return False
        if self._is_of_this_machine(call, handlers):
            return False
        leaving = self._leaving(block, call, loop)
        if leaving == "always":
            return named or not self._asks_for_state(block)
        if leaving == "sometimes":
            return named
        return self._is_reconnecting(call, amount, loop)

    def _is_named(self, amount: ast.expr, loop: Loop, function: Function | None) -> bool:
        """Say whether a name around the loop speaks of attempts: what it counts, tests, or sleeps for."""
        heads: list[ast.AST] = [loop.test] if isinstance(loop, ast.While) else [loop.target, loop.iter]
        names = list(names_in(part for head in (*heads, amount) for part in walk(head)))
        counted = [one.target for one in own_nodes(loop) if isinstance(one, ast.AugAssign)]
        names += names_in(part for target in counted for part in walk(target))
        return any(map(RETRY.search, names)) or (function is not None and bool(RETRY.search(function.name)))

    def _walks_over_data(self, loop: Loop) -> bool:
        """Say whether each turn has an item of its own: then it is no second attempt."""
        if isinstance(loop, ast.While):
            return False
        if isinstance(loop, ast.AsyncFor):
            return True
        names = list(names_in(walk(loop.target)))
        if any(map(RETRY.search, names)) or any(
            word in name for name in names for word in ("delay", "wait", "backoff")
        ):
            return False
        iterated = loop.iter
        called = last_name(iterated) if isinstance(iterated, ast.Call) else ""
        if called not in {"range", "count", "repeat", "trange"}:
            return not any(map(RETRY.search, names_in(walk(iterated))))
        if len(getattr(iterated, "args", ())) > 2 or any(last_name(part) == "len" for part in calls_in(iterated)):
            return True
        blocks = [one for one in own_nodes(loop) if isinstance(one, ast.Try)]
        return any(uses_as_data(part, names) for block in blocks for line in block.body for part in walk(line))

    def _waits(self, loop: Loop, function: Function | None, *, named: bool) -> bool:
        """Say whether the loop waits for a state, or comes back now and then."""
        if function is not None and WAITING.search(function.name) and not RETRY.search(function.name):
            return True
        if named:
            return False
        if function is not None and STARTING.search(function.name):
            return True
        return isinstance(loop, ast.While) and any(last_name(part) in CLOCKS for part in calls_in(loop.test))

    def _attempted(self, call: ast.Call, loop: Loop) -> ast.Try | None:
        """Return the `try` that a pause follows: around it, before it, or after it in the loop."""
        inner: ast.AST = call
        for around in self.module.ancestors(call):
            if around is loop:
                break
            if isinstance(around, ast.Try) and any(inner is one for one in around.handlers):
                return around
            inner = around
        tries = [one for one in own_nodes(loop) if isinstance(one, ast.Try) and not self._is_nested(one, loop)]
        tries = [one for one in tries if not self.module.contains(one, call) or any(one.handlers)]
        return min(tries, key=lambda one: (self.module.contains(one, call), one.lineno), default=None)

    def _is_nested(self, block: ast.Try, loop: Loop) -> bool:
        """Say whether a `try` is in an inner loop, or part of an outer one's handlers."""
        return loops_around(self.module, block)[:1] != [loop] or any(
            isinstance(around, ast.ExceptHandler) and self.module.contains(loop, around)
            for around in self.module.ancestors(block)
        )

    def _handlers(self, block: ast.Try, call: ast.Call) -> list[ast.ExceptHandler]:
        """Return the handlers after which the pause comes: the one around it, or those that swallow."""
        around = [one for one in block.handlers if self.module.contains(one, call)]
        return around or [one for one in block.handlers if not ends(one.body)]

    def _is_guarded(self, call: ast.Call, loop: Loop) -> bool:
        """Say whether the pause is for an answer that tells to come again: a status, a limit."""
        for around in self.module.ancestors(call):
            if around is loop:
                return False
            if isinstance(around, ast.If):
                names = list(names_in(walk(around.test)))
                if any(STATUS.search(name) or COUNTER.search(name) for name in names) or mentions_429(around.test):
                    return bool(self._requests(loop))
        return False

    def _requests(self, loop: Loop) -> list[ast.Call]:
        words = {
            "get",
            "post",
            "put",
            "patch",
            "delete",
            "head",
            "request",
            "send",
            "execute",
            "call",
            "fetch",
            "urlopen",
        }
        return [part for part in calls_in(loop) if last_name(part) in words or "request" in last_name(part).lower()]

    def _goes_on(self, call: ast.Call, loop: Loop) -> bool:
        """Say whether the loop has another turn after the pause."""
        inner: ast.AST = call
        for around in self.module.ancestors(call):
            for name in ("body", "orelse", "finalbody"):
                block = getattr(around, name, None)
                if isinstance(block, list) and inner in block:
                    rest = block[block.index(inner) + 1 :]
                    if any(isinstance(one, ast.Continue) for one in rest):
                        return True
                    if around is not loop and ends(rest):
                        return False
            if around is loop:
                return True
            inner = around
        return True

    def _leaving(self, block: ast.Try, call: ast.Call, loop: Loop) -> str:
        """Say whether success ends the loop: `always`, `sometimes` (by a condition) or `never`."""
        rest = self._rest(block, call)
        lines = [*block.body, *block.orelse, *rest]
        if always_ends(lines):
            return "always"
        if isinstance(loop, ast.While) and self._unsets(loop, lines):
            return "always"
        return "sometimes" if any(leaves(part) for line in lines for part in own(line)) else "never"

    def _ends_by_success(self, call: ast.Call, loop: Loop) -> bool:
        block = self._attempted(call, loop)
        return block is not None and self._leaving(block, call, loop) == "always"

    def _rest(self, block: ast.Try, call: ast.Call) -> list[ast.stmt]:
        """Return what follows a `try` in its block, up to the pause."""
        parent = self.module.parents[block]
        for name in ("body", "orelse", "finalbody"):
            found = getattr(parent, name, None)
            if isinstance(found, list) and block in found:
                after = found[found.index(block) + 1 :]
                return [one for one in after if not self.module.contains(one, call)]
        return []

    def _unsets(self, loop: ast.While, lines: Iterable[ast.stmt]) -> bool:
        """Say whether success changes what the loop tests: `connected = True`."""
        tested = {ast.unparse(part) for part in walk(loop.test) if isinstance(part, ast.Name | ast.Attribute)}
        for line in lines:
            for part in own(line):
                targets = part.targets if isinstance(part, ast.Assign) else []
                if any(ast.unparse(target) in tested for target in targets):
                    return True
        return False

    def _asks_for_state(self, block: ast.Try) -> bool:
        """Say whether the attempt looks whether something is there already."""
        return any(WAITING.search(text) for line in block.body for text in words_in(walk(line)))

    def _is_of_this_machine(self, call: ast.Call, handlers: Iterable[ast.ExceptHandler]) -> bool:
        """Say whether SQLite, or a lock, is what is tried: by the names of class, function and errors."""
        around = self.module.class_around(call)
        function = self.module.function(call)
        if around is not None and around.name.endswith("Lock"):
            return True
        names = [one.name for one in (around, function) if one is not None]
        types = [ast.unparse(one.type) for one in handlers if one.type is not None]
        return any(map(SQLITE.search, (*names, *types)))

    def _only_probes(self, block: ast.Try) -> bool:
        """Say whether all that is tried is a probe: its number of attempts is a number of looks."""
        called = [last_name(part) for line in block.body for part in calls_in(line)]
        return bool(called) and all(WAITING.search(name) for name in called)

    def _is_reconnecting(self, call: ast.Call, amount: ast.expr, loop: Loop) -> bool:
        """Say whether a loop without an end comes back to a service after failures, slower and slower."""
        if not isinstance(loop, ast.While):
            return False
        words = list(names_in(walk(amount)))
        grows = self.delays.of(amount).grows
        named = any(map(RETRY.search, words))
        return (grows or named) and not self._is_in_success(call, loop)

    def _is_in_success(self, call: ast.Call, loop: Loop) -> bool:
        """Say whether the pause comes before the work of a turn, or within it: then it is the loop's rhythm."""
        for around in self.module.ancestors(call):
            if around is loop:
                return False
            if isinstance(around, ast.Try) and any(self.module.contains(line, call) for line in around.body):
                return True
        return False
