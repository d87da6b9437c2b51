"""`Swap`: how a call gets an owner, by the drop-in that takes its arguments: safely, after review, or not at all."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from penstock_migrations._code.module import Function, Module
from penstock_migrations._code.patching import patching
from penstock_migrations._code.reaching import last_name
from penstock_migrations._code.tree import walk
from penstock_migrations._fanout.fixes import TEMPORAL, is_temporal
from penstock_migrations.rule import Defect, Fix, ReplaceCall, Rewrite, Severity

__all__ = ["Remark", "Swap", "Swaps"]

Remark = tuple[Fix, str]

_RUNTIME = "penstock_tasks"
_ARGUMENTS = {
    "Thread": frozenset({"group", "target", "name", "args", "kwargs", "daemon"}),
    "Timer": frozenset({"interval", "function", "args", "kwargs"}),
    "ThreadPoolExecutor": frozenset({"max_workers", "thread_name_prefix", "initializer", "initargs"}),
    "create_task": frozenset({"coro", "name", "context"}),
}
_ELSEWHERE = "`{}` may stand for something else here"
_UNKNOWN = "the call has an argument that not all supported Pythons know: {}"
_AT_EXIT = "it is made while the program ends: what would own it then has ended already"
_AFTER_FORK = "it is made in a function that forks: the child may end without the exit that ends what is owned"
_COMPARED = "the module compares a type with `{}`, which the drop-in's is not when enforced"
_ENDING = frozenset({"atexit.register", "weakref.finalize", "os.register_at_fork", "threading._register_atexit"})
_FORKS = frozenset({"os.fork", "os.forkpty", "pty.fork"})


@dataclass(frozen=True, slots=True)
class Swap:
    """How a call gets an owner.

    Attributes:
        fix: How much review the rewrite needs.
        reason: Why it is not rewritten, or what to look at.
        rewrites: The rewrite, if there is one.
        replaced: The name that is called no more; what tests put in its place would be passed by.
    """

    fix: Fix
    reason: str | None
    rewrites: tuple[Rewrite, ...] = ()
    replaced: tuple[str, ...] = ()

    def defect(self, call: ast.Call, severity: Severity, message: str) -> Defect:
        """Return the finding that the call is."""
        return Defect(
            node=call,
            severity=severity,
            message=message,
            fix=self.fix,
            fix_reason=self.reason,
            rewrites=self.rewrites,
            callees=self.replaced,
        )


class Swaps:
    """Decides for the calls of one module, as far as it does not matter what they make."""

    def __init__(self, module: Module) -> None:
        self.module = module

    def swap(self, call: ast.Call, name: str, remarks: list[Remark], note: str | None = None) -> Swap:
        """Decide for one call.

        Args:
            call: The call.
            name: What it makes, and what the drop-in is called: `Thread`.
            remarks: What speaks against the rewrite, or asks for a review.
            note: What there is to know of a rewrite that is safe.
        """
        obstacles = [(Fix.NONE, reason) for reason in self._obstacles(call, name)]
        reviews = [(Fix.REVIEW, reason) for reason in patching(self.module)]
        fix, reason = _worst([*obstacles, *remarks, *reviews])
        if fix is Fix.NONE:
            return Swap(fix, reason)
        place = (call.lineno, self.module.character_column(call))
        rewrite = ReplaceCall(*place, f"{_RUNTIME}.{name}", called=ast.unparse(call.func))
        return Swap(fix, reason or note, (rewrite,), (name,))

    def _obstacles(self, call: ast.Call, name: str) -> Iterator[str]:
        if is_temporal(self.module):
            yield TEMPORAL
        if not self.module.is_certain(call.func):
            yield _ELSEWHERE.format(ast.unparse(call.func))
        for keyword in call.keywords:
            if keyword.arg is not None and keyword.arg not in _ARGUMENTS[name]:
                yield _UNKNOWN.format(keyword.arg)
        if name in self._compared:
            yield _COMPARED.format(name)
        for function in self._functions(call):
            if function.name == "__del__" or function.name in self._at_exit or self._is_registered(function):
                yield _AT_EXIT
            if any(self.module.qualified(one.func) in _FORKS for one in self.module.calls_in(function)):
                yield _AFTER_FORK

    def _functions(self, node: ast.AST) -> Iterator[Function]:
        """Yield the functions around a node, innermost first."""
        while (function := self.module.function(node)) is not None:
            yield function
            node = function

    def _is_registered(self, function: Function) -> bool:
        """Say whether a decorator hands a function to the exit."""
        named = [one.func if isinstance(one, ast.Call) else one for one in function.decorator_list]
        return any(self.module.qualified(one) in _ENDING for one in named)

    @cached_property
    def _at_exit(self) -> frozenset[str]:
        """The last words of what is handed to the exit: `close` of `atexit.register(self.close)`."""
        calls = self.module.calls_to(_ENDING)
        given = [value for call in calls for value in (*call.args, *(one.value for one in call.keywords))]
        return frozenset(last_name(value) for value in given) - {""}

    @cached_property
    def _compared(self) -> frozenset[str]:
        """The last words of what a type is compared with: `Thread` of `type(job) is Thread`."""
        found: set[str] = set()
        for node in walk(self.module.tree):
            if isinstance(node, ast.Compare):
                sides = [node.left, *node.comparators]
                if any(map(_is_type, sides)):
                    found.update(last_name(one) for side in sides for one in _parts(side))
        return frozenset(found) - {"", "type"}


def _is_type(node: ast.expr) -> bool:
    match node:
        case ast.Call(func=ast.Name(id="type"), args=[_]) | ast.Attribute(attr="__class__"):
            return True
        case _:
            return False


def _parts(node: ast.expr) -> list[ast.expr]:
    return node.elts if isinstance(node, ast.Tuple | ast.List | ast.Set) else [node]


def _worst(remarks: list[Remark]) -> Remark | tuple[Fix, None]:
    """Return the first remark that forbids the rewrite, else the first that asks for a review."""
    for fix in (Fix.NONE, Fix.REVIEW):
        for remark in remarks:
            if remark[0] is fix:
                return remark
    return Fix.SAFE, None
