"""`module_facts`: what the functions of a parsed file tell the audit of other files."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator

from penstock_migrations._blocking.telling import Telling
from penstock_migrations._code.endings import Endings
from penstock_migrations._code.facts import MODULE, CallFacts, FunctionFacts, ModuleFacts
from penstock_migrations._code.limits import Limits
from penstock_migrations._code.module import Function, Module
from penstock_migrations._code.reaching import Reaching
from penstock_migrations.rule import Options

__all__ = ["module_facts"]


def module_facts(module: Module, options: Options) -> ModuleFacts:
    """Look at every function of a module."""
    limits = module.analysis(_Limits).limits
    telling = Telling(module, limits.references, options)
    functions = {
        name: _combined([_function_facts(limits, telling, one) for one in found])
        for name, found in module.functions.items()
    }
    functions[MODULE] = FunctionFacts(calls=tuple(_calls(telling, None)))
    bases = {name: _bases(limits, found) for name, found in module.classes.items()}
    return ModuleFacts(functions, bases, dict(module.imports))


class _Limits:
    def __init__(self, module: Module) -> None:
        self.limits = Limits(Reaching(module))


def _function_facts(limits: Limits, telling: Telling, function: Function) -> FunctionFacts:
    return FunctionFacts(
        limits=limits.holds_limiter(function),
        ending=int(Endings(limits.names).own(function)),
        is_async=isinstance(function, ast.AsyncFunctionDef),
        blocks=telling.blocks(function),
        calls=tuple(_calls(telling, function)),
        makes=telling.makes(function),
        runs=telling.runs(function),
    )


def _calls(telling: Telling, function: Function | None) -> Iterator[CallFacts]:
    """Yield the calls of a function that may mean the project's own functions."""
    for call in telling.module.calls_in(function):
        how = None
        for reference in telling.references.of(call) or telling.more(call):
            if not _is_elsewhere(reference):
                how = how or telling.how(call, function)
                yield telling.fact(call, reference, how)
    yield from (one for one in telling.ships(function) if not _is_elsewhere(one.reference))


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
        ending=max(one.ending for one in found),
        is_async=all(one.is_async for one in found),
        blocks=tuple(dict.fromkeys(each for one in found for each in one.blocks)),
        calls=tuple(dict.fromkeys(each for one in found for each in one.calls)),
        makes=next((one.makes for one in found if one.makes is not None), None),
        runs=found[0].runs,
    )
