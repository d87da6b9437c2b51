"""The shapes of statements by which retries are known: what they catch, where they end, what they call."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from penstock_migrations._code.reaching import last_name, own_nodes
from penstock_migrations._code.tree import walk
from penstock_migrations._retries.words import ABSENT, COUNTER, LOCAL_CALLS, LOCAL_ERRORS, RETRY, RHYTHM

__all__ = [
    "CLOCKS",
    "Loop",
    "always_ends",
    "amount_of",
    "calls_in",
    "ends",
    "is_absent",
    "is_local",
    "is_rhythm",
    "is_short",
    "is_unlimited",
    "leaves",
    "mentions_429",
    "names_in",
    "own",
    "texts_in",
    "uses_as_data",
    "words_in",
]

Loop = ast.For | ast.AsyncFor | ast.While
CLOCKS = frozenset({"time", "monotonic", "perf_counter", "now", "utcnow", "is_set", "is_alive"})
_SHORT = 0.05


def amount_of(call: ast.Call) -> ast.expr | None:
    """Return how long a call sleeps; None for what is told something else, as the `sleep` of a policy is."""
    if len(call.args) > 1:
        return None
    if call.args:
        return call.args[0]
    return next((one.value for one in call.keywords if one.arg in {"delay", "seconds", "secs"}), None)


def is_rhythm(name: str) -> bool:
    return RHYTHM.search(name) is not None and RETRY.search(name) is None


def is_short(amount: ast.expr) -> bool:
    return isinstance(amount, ast.Constant) and isinstance(amount.value, int | float) and amount.value < _SHORT


def own(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    yield from own_nodes(node)


def calls_in(node: ast.AST) -> list[ast.Call]:
    return [part for part in walk(node) if isinstance(part, ast.Call)]


def names_in(parts: Iterable[ast.AST]) -> Iterator[str]:
    for part in parts:
        if isinstance(part, ast.Name):
            yield part.id
        elif isinstance(part, ast.Attribute):
            yield part.attr


def texts_in(parts: Iterable[ast.AST]) -> Iterator[str]:
    for part in parts:
        match part:
            case ast.Name(id=text) | ast.Attribute(attr=text) | ast.Constant(value=str() as text) | ast.arg(arg=text):
                yield text
            case _:
                pass


def words_in(parts: Iterable[ast.AST]) -> Iterator[str]:
    """Yield names and short texts, such as the paths of addresses, with what separates their words made plain."""
    for text in texts_in(parts):
        if len(text) < 80 and " " not in text:
            yield text.replace("/", "_").replace("-", "_")


def mentions_429(node: ast.AST) -> bool:
    return any(isinstance(part, ast.Constant) and part.value == 429 for part in walk(node))


def ends(block: Iterable[ast.stmt]) -> bool:
    """Say whether a block ends its loop or function, whatever happens."""
    for line in block:
        if isinstance(line, ast.Raise | ast.Return | ast.Break):
            return True
        if isinstance(line, ast.If) and line.orelse and ends(line.body) and ends(line.orelse):
            return True
    return False


def always_ends(block: Iterable[ast.stmt]) -> bool:
    """Say whether success leaves: at the end of a block, also within `with`, or in all arms of a condition."""
    for line in block:
        if ends([line]):
            return True
        if isinstance(line, ast.With | ast.AsyncWith | ast.Try) and always_ends(
            (*line.body, *getattr(line, "orelse", ()))
        ):
            return True
    return False


def leaves(node: ast.AST) -> bool:
    return isinstance(node, ast.Return | ast.Break)


def _caught(handler: ast.ExceptHandler) -> list[str]:
    if handler.type is None:
        return ["BaseException"]
    types = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return [last_name(one) or ast.unparse(one) for one in types]


def is_absent(handler: ast.ExceptHandler) -> bool:
    return all(ABSENT.search(name) for name in _caught(handler))


def is_local(block: ast.Try, handlers: Iterable[ast.ExceptHandler]) -> bool:
    """Say whether only files of this machine are tried: by the errors that are caught, and by what is called."""
    local_errors = all(name in LOCAL_ERRORS for handler in handlers for name in _caught(handler))
    called = [part for line in block.body for part in calls_in(line)]
    touches = any(last_name(part) in LOCAL_CALLS for part in called)
    awaits = any(isinstance(part, ast.Await) for line in block.body for part in walk(line))
    return touches and (local_errors or not awaits) and not any(_is_remote(part) for part in called)


def _is_remote(call: ast.Call) -> bool:
    owner = ast.unparse(call.func).lower()
    return any(
        word in owner for word in ("request", "client", "session", "http", "url", "api", "redis", "conn", "socket")
    )


def uses_as_data(node: ast.AST, names: Iterable[str]) -> bool:
    """Say whether a loop's variable is handed to a call, or picks an item: a page, a part."""
    match node:
        case ast.Call(func=func, args=args) if "log" not in ast.unparse(func).lower() and last_name(func) != "print":
            return any(isinstance(arg, ast.Name) and arg.id in names for arg in args)
        case ast.Subscript(slice=ast.Name(id=name)):
            return name in names
        case _:
            return False


def is_unlimited(loop: Loop) -> bool:
    """Say whether nothing but success ends a loop: no failure is raised, no counter and no clock is tested."""
    if not isinstance(loop, ast.While) or not isinstance(loop.test, ast.Constant):
        return False
    for part in own_nodes(loop):
        if (
            isinstance(part, ast.ExceptHandler)
            and any(isinstance(one, ast.Raise | ast.Return | ast.Break) for one in own_nodes(part))
            and not all(ABSENT.search(name) for name in _caught(part))
        ):
            return False
        if isinstance(part, ast.If) and any(COUNTER.search(name) for name in names_in(walk(part.test))):
            return False
        if isinstance(part, ast.If) and any(last_name(call) in CLOCKS for call in calls_in(part.test)):
            return False
        if isinstance(part, ast.Raise) and part.exc is not None:
            return False
    return True
