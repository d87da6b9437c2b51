"""`Loops`: hand-written loops that try a call again after a pause."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from penstock_migrations._code.module import Function, Module
from penstock_migrations._code.reaching import last_name, loops_around, own_nodes
from penstock_migrations._retries.delays import Delay, Delays
from penstock_migrations._retries.words import (
    ABSENT,
    COUNTER,
    HEADER,
    LIMITED,
    LOCAL_CALLS,
    LOCAL_ERRORS,
    RETRY,
    STATUS,
    WAITING,
)

__all__ = ["Loops", "Retry"]

_SLEEPS = frozenset({"time.sleep", "asyncio.sleep", "anyio.sleep", "trio.sleep", "gevent.sleep", "eventlet.sleep"})
_CLOCKS = frozenset({"time", "monotonic", "perf_counter", "now", "utcnow", "is_set", "is_alive"})
_SHORT = 0.05
Loop = ast.For | ast.AsyncFor | ast.While


@dataclass(frozen=True, slots=True, eq=False)
class Retry:
    """A pause before another attempt.

    Attributes:
        sleep: The call that pauses.
        amount: What it is given.
        loop: The loop of attempts.
        delay: How long it pauses.
        limited: It answers a provider that says "too many requests".
        heeds: The function reads Retry-After, or what it is told by another name.
        unlimited: Nothing ends the attempts but success.
    """

    sleep: ast.Call
    amount: ast.expr
    loop: Loop
    delay: Delay
    limited: bool
    heeds: bool
    unlimited: bool


class Loops:
    """The hand-written retries of one module."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.delays = Delays(module)

    @cached_property
    def retries(self) -> list[Retry]:
        """The pauses before another attempt that are known to be such."""
        calls = self.module.calls_of("sleep", "_sleep", "sleep_func", "sleep_fn")
        return [found for call in calls if _amount(call) is not None and (found := self._retry(call)) is not None]

    @cached_property
    def without_end(self) -> list[Retry]:
        """The retries that only success ends."""
        return [one for one in self.retries if one.unlimited and one.delay.known]

    @cached_property
    def without_jitter(self) -> list[Retry]:
        """The other retries whose delay has no random part, as far as this module tells."""
        found = [one for one in self.retries if not one.delay.random and one.delay.known]
        return [one for one in found if not one.delay.server_only and one not in self.without_end]

    def _retry(self, call: ast.Call) -> Retry | None:
        amount = _amount(call)
        loop = next(iter(loops_around(self.module, call)), None)
        if amount is None or not isinstance(loop, Loop) or not self._is_sleep(call) or _is_short(amount):
            return None
        if not self._is_retry(call, amount, loop):
            return None
        delay = self.delays.of(amount)
        around = self.module.function(call) or self.module.tree
        texts = list(_texts(ast.walk(loop)))
        return Retry(
            sleep=call,
            amount=amount,
            loop=loop,
            delay=delay,
            limited=any(LIMITED.search(text) for text in texts) or _mentions_429(loop),
            heeds=delay.server or any(HEADER.search(text) for text in _texts(ast.walk(around))),
            unlimited=_is_unlimited(loop) and self._ends_by_success(call, loop),
        )

    def _is_sleep(self, call: ast.Call) -> bool:
        name = self.module.qualified(call.func)
        return name in _SLEEPS or (name is None and isinstance(call.func, ast.Attribute))

    # -- is it a retry? -------------------------------------------------------------------------------------------

    def _is_retry(self, call: ast.Call, amount: ast.expr, loop: Loop) -> bool:
        function = self.module.function(call)
        named = self._is_named(amount, loop, function)
        if self._walks_over_data(loop) or self._waits(loop, function, named=named):
            return False
        block = self._attempted(call, loop)
        if block is None:
            return named and self._is_guarded(call, loop) and self._goes_on(call, loop)
        handlers = self._handlers(block, call)
        if not handlers or all(map(_is_absent, handlers)) or _is_local(block, handlers):
            return False
        if not self._goes_on(call, loop):
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
        names = list(_names(part for head in (*heads, amount) for part in ast.walk(head)))
        counted = [one.target for one in own_nodes(loop) if isinstance(one, ast.AugAssign)]
        names += _names(part for target in counted for part in ast.walk(target))
        return any(map(RETRY.search, names)) or (function is not None and bool(RETRY.search(function.name)))

    def _walks_over_data(self, loop: Loop) -> bool:
        """Say whether each turn has an item of its own: then it is no second attempt."""
        if isinstance(loop, ast.While):
            return False
        if isinstance(loop, ast.AsyncFor):
            return True
        names = list(_names(ast.walk(loop.target)))
        if any(map(RETRY.search, names)) or any(word in name for name in names for word in ("delay", "wait", "backoff")):
            return False
        iterated = loop.iter
        called = last_name(iterated) if isinstance(iterated, ast.Call) else ""
        if called not in {"range", "count", "repeat", "trange"}:
            return not any(map(RETRY.search, _names(ast.walk(iterated))))
        if len(getattr(iterated, "args", ())) > 2 or any(last_name(part) == "len" for part in _calls(iterated)):
            return True
        blocks = [one for one in own_nodes(loop) if isinstance(one, ast.Try)]
        return any(_uses_as_data(part, names) for block in blocks for line in block.body for part in ast.walk(line))

    def _waits(self, loop: Loop, function: Function | None, *, named: bool) -> bool:
        """Say whether the loop waits for a state, or comes back now and then."""
        if function is not None and WAITING.search(function.name) and not RETRY.search(function.name):
            return True
        if not isinstance(loop, ast.While) or named:
            return False
        return any(last_name(part) in _CLOCKS for part in _calls(loop.test))

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
        return around or [one for one in block.handlers if not _ends(one.body)]

    def _is_guarded(self, call: ast.Call, loop: Loop) -> bool:
        """Say whether the pause is for an answer that tells to come again: a status, a limit."""
        for around in self.module.ancestors(call):
            if around is loop:
                return False
            if isinstance(around, ast.If):
                names = list(_names(ast.walk(around.test)))
                if any(STATUS.search(name) or COUNTER.search(name) for name in names) or _mentions_429(around.test):
                    return bool(self._requests(loop))
        return False

    def _requests(self, loop: Loop) -> list[ast.Call]:
        words = {"get", "post", "put", "patch", "request", "send", "execute", "call", "fetch", "urlopen"}
        return [part for part in _calls(loop) if last_name(part) in words or "request" in last_name(part).lower()]

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
                    if around is not loop and _ends(rest):
                        return False
            if around is loop:
                return True
            inner = around
        return True

    def _leaving(self, block: ast.Try, call: ast.Call, loop: Loop) -> str:
        """Say whether success ends the loop: `always`, `sometimes` (by a condition) or `never`."""
        rest = self._rest(block, call)
        lines = [*block.body, *block.orelse, *rest]
        if _always_ends(lines):
            return "always"
        if isinstance(loop, ast.While) and self._unsets(loop, lines):
            return "always"
        return "sometimes" if any(_leaves(part, loop) for line in lines for part in _own(line)) else "never"

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
        tested = {ast.unparse(part) for part in ast.walk(loop.test) if isinstance(part, ast.Name | ast.Attribute)}
        for line in lines:
            for part in _own(line):
                targets = part.targets if isinstance(part, ast.Assign) else []
                if any(ast.unparse(target) in tested for target in targets):
                    return True
        return False

    def _asks_for_state(self, block: ast.Try) -> bool:
        """Say whether the attempt looks whether something is there already."""
        return any(WAITING.search(text) for line in block.body for text in _words(ast.walk(line)))

    def _is_reconnecting(self, call: ast.Call, amount: ast.expr, loop: Loop) -> bool:
        """Say whether a loop without an end comes back to a service after failures, slower and slower."""
        if not isinstance(loop, ast.While):
            return False
        words = list(_names(ast.walk(amount)))
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


def _amount(call: ast.Call) -> ast.expr | None:
    if call.args:
        return call.args[0]
    return next((one.value for one in call.keywords if one.arg in {"delay", "seconds", "secs"}), None)


def _is_short(amount: ast.expr) -> bool:
    return isinstance(amount, ast.Constant) and isinstance(amount.value, int | float) and amount.value < _SHORT


def _own(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    yield from own_nodes(node)


def _calls(node: ast.AST) -> list[ast.Call]:
    return [part for part in ast.walk(node) if isinstance(part, ast.Call)]


def _names(parts: Iterable[ast.AST]) -> Iterator[str]:
    for part in parts:
        if isinstance(part, ast.Name):
            yield part.id
        elif isinstance(part, ast.Attribute):
            yield part.attr


def _texts(parts: Iterable[ast.AST]) -> Iterator[str]:
    for part in parts:
        match part:
            case ast.Name(id=text) | ast.Attribute(attr=text) | ast.Constant(value=str() as text) | ast.arg(arg=text):
                yield text
            case _:
                pass


def _words(parts: Iterable[ast.AST]) -> Iterator[str]:
    """Yield names and short texts, such as the paths of addresses, with what separates their words made plain."""
    for text in _texts(parts):
        if len(text) < 80 and " " not in text:
            yield text.replace("/", "_").replace("-", "_")


def _mentions_429(node: ast.AST) -> bool:
    return any(isinstance(part, ast.Constant) and part.value == 429 for part in ast.walk(node))


def _ends(block: Iterable[ast.stmt]) -> bool:
    """Say whether a block ends its loop or function, whatever happens."""
    for line in block:
        if isinstance(line, ast.Raise | ast.Return | ast.Break):
            return True
        if isinstance(line, ast.If) and line.orelse and _ends(line.body) and _ends(line.orelse):
            return True
    return False


def _always_ends(block: Iterable[ast.stmt]) -> bool:
    """Say whether success leaves: at the end of a block, also within `with`, or in all arms of a condition."""
    for line in block:
        if _ends([line]):
            return True
        if isinstance(line, ast.With | ast.AsyncWith | ast.Try) and _always_ends((*line.body, *getattr(line, "orelse", ()))):
            return True
    return False


def _leaves(node: ast.AST, loop: Loop) -> bool:
    return isinstance(node, ast.Return | ast.Break)


def _caught(handler: ast.ExceptHandler) -> list[str]:
    if handler.type is None:
        return ["BaseException"]
    types = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return [last_name(one) or ast.unparse(one) for one in types]


def _is_absent(handler: ast.ExceptHandler) -> bool:
    return all(ABSENT.search(name) for name in _caught(handler))


def _is_local(block: ast.Try, handlers: Iterable[ast.ExceptHandler]) -> bool:
    """Say whether only files of this machine are tried: by the errors that are caught, and by what is called."""
    local_errors = all(name in LOCAL_ERRORS for handler in handlers for name in _caught(handler))
    called = [part for line in block.body for part in _calls(line)]
    touches = any(last_name(part) in LOCAL_CALLS for part in called)
    awaits = any(isinstance(part, ast.Await) for line in block.body for part in ast.walk(line))
    return touches and (local_errors or not awaits) and not any(_is_remote(part) for part in called)


def _is_remote(call: ast.Call) -> bool:
    owner = ast.unparse(call.func).lower()
    return any(word in owner for word in ("request", "client", "session", "http", "url", "api", "redis", "conn", "socket"))


def _uses_as_data(node: ast.AST, names: Iterable[str]) -> bool:
    """Say whether a loop's variable is handed to a call, or picks an item: a page, a part."""
    match node:
        case ast.Call(func=func, args=args) if "log" not in ast.unparse(func).lower() and last_name(func) != "print":
            return any(isinstance(arg, ast.Name) and arg.id in names for arg in args)
        case ast.Subscript(slice=ast.Name(id=name)):
            return name in names
        case _:
            return False


def _is_unlimited(loop: Loop) -> bool:
    """Say whether nothing but success ends a loop: no failure is raised, no counter and no clock is tested."""
    if not isinstance(loop, ast.While) or not isinstance(loop.test, ast.Constant):
        return False
    for part in own_nodes(loop):
        if isinstance(part, ast.ExceptHandler) and any(
            isinstance(one, ast.Raise | ast.Return | ast.Break) for one in own_nodes(part)
        ):
            if not all(ABSENT.search(name) for name in _caught(part)):
                return False
        if isinstance(part, ast.If) and any(COUNTER.search(name) for name in _names(ast.walk(part.test))):
            return False
        if isinstance(part, ast.If) and any(last_name(call) in _CLOCKS for call in _calls(part.test)):
            return False
        if isinstance(part, ast.Raise) and not isinstance(part.exc, type(None)):
            return False
    return True
