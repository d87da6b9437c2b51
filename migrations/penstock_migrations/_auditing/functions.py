"""`module_facts`: what the functions of a parsed file tell the audit of other files."""

from __future__ import annotations

import ast
import sys
from collections import defaultdict

from penstock_migrations._code.endless import never_ends
from penstock_migrations._code.facts import MODULE, CallFacts, FunctionFacts, ModuleFacts
from penstock_migrations._code.limits import Limits
from penstock_migrations._code.module import Function, Module
from penstock_migrations._code.reaching import Reaching

__all__ = ["module_facts"]

_TAKING = ("acquire", "acquire_nowait", "acquire_on_behalf_of", "try_acquire")
_WAITING = ("join", "wait", "wait_for")


def module_facts(module: Module) -> ModuleFacts:
    """Look at every function of a module."""
    limits = module.analysis(_Limits).limits
    calls = _calls(module, limits)
    notable = _notable(module)
    functions = {
        name: _combined([_function_facts(limits, one, calls, notable) for one in found])
        for name, found in module.functions.items()
    }
    functions[MODULE] = FunctionFacts(calls=tuple(calls.get(None, ())))
    bases = {name: _bases(limits, found) for name, found in module.classes.items()}
    return ModuleFacts(functions, bases, dict(module.imports))


class _Limits:
    def __init__(self, module: Module) -> None:
        self.limits = Limits(Reaching(module))


def _function_facts(
    limits: Limits,
    function: Function,
    calls: dict[Function | None, list[CallFacts]],
    notable: set[Function | None],
) -> FunctionFacts:
    looked_at = function in notable or bool(function.decorator_list)
    return FunctionFacts(
        limits=looked_at and limits.holds_limiter(function),
        endless=function in notable and never_ends(limits.names, function),
        is_async=isinstance(function, ast.AsyncFunctionDef),
        blocks=(),
        calls=tuple(calls.get(function, ())),
    )


def _notable(module: Module) -> set[Function | None]:
    """Return the functions that may hold a limiter or never end: all the others need no closer look."""
    return {module.function(node) for node in (*module.blocks, *module.calls_of(*_TAKING, *_WAITING))}


def _calls(module: Module, limits: Limits) -> dict[Function | None, list[CallFacts]]:
    """Return the calls of each function that may mean the project's own functions."""
    found: dict[Function | None, list[CallFacts]] = defaultdict(list)
    for call in module.calls:
        references = [one for one in limits.references.of(call) if not _is_elsewhere(one)]
        if references:
            how = "awaited" if isinstance(module.parents.get(call), ast.Await) else "called"
            column = module.character_column(call) + 1
            place = (how, call.lineno, call.end_lineno or call.lineno, column)
            found[module.function(call)] += [CallFacts(one, *place) for one in references]
    return found


def _is_elsewhere(reference: str) -> bool:
    """Say whether a reference names something of the standard library."""
    return reference.partition(".")[0] in sys.stdlib_module_names


def _bases(limits: Limits, found: ast.ClassDef) -> tuple[str, ...]:
    return tuple(reference for base in found.bases for reference in limits.references.of_class(base))


def _combined(found: list[FunctionFacts]) -> FunctionFacts:
    """Join the facts of functions of one name: overloads, or variants for platforms."""
    if len(found) == 1:
        return found[0]
    return FunctionFacts(
        limits=any(one.limits for one in found),
        endless=any(one.endless for one in found),
        is_async=all(one.is_async for one in found),
        blocks=tuple(dict.fromkeys(each for one in found for each in one.blocks)),
        calls=tuple(dict.fromkeys(each for one in found for each in one.calls)),
    )
