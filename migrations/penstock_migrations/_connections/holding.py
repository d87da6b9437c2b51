"""`Holding`: where in a function a connection is held, and whether each way out of the function closes it."""

from __future__ import annotations

import ast
import enum
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from penstock_migrations._code.module import Function
from penstock_migrations._code.reaching import last_name, own_nodes
from penstock_migrations._code.vocabulary import vocabulary

__all__ = ["CLOSERS", "Closed", "Holding", "hold", "unwrapped"]

CLOSERS = frozenset({"close", "terminate"})
_WRAPPERS = frozenset({"wait_for", "shield"})
_CLOSING = frozenset({"closing", "aclosing"})
_STACKS = frozenset(
    {"enter_context", "enter_async_context", "callback", "push_async_callback", "push_async_exit", "push"}
)
# What fails so rarely that nobody guards a connection against it.
_QUIET = vocabulary(
    "close aclose terminate cursor transaction is_closed locals print len str isinstance time monotonic perf_counter"
    " now debug info warning error exception critical log"
)

BEFORE, HELD, GONE = "before", "held", "gone"
States = frozenset[str]
_NONE: States = frozenset()


class Closed(enum.Enum):
    """On which ways out of its function a connection is closed."""

    ALWAYS = "always"
    UNLESS_FAILING = "unless something fails"
    SOMETIMES = "on some ways only"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Holding:
    """How a function holds a connection.

    Attributes:
        closed: On which ways out it is closed, or handed to the caller.
        nodes: What is evaluated while it is held: statements without a block, and the heads of those with one.
    """

    closed: Closed
    nodes: tuple[ast.AST, ...]


@dataclass(slots=True)
class _Ends:
    """The states in which a block is left, by the way that it is left."""

    falls: States = _NONE
    returns: States = _NONE
    raises: States = _NONE
    breaks: States = _NONE
    continues: States = _NONE

    def add(self, other: _Ends, *, falls: bool = True) -> None:
        """Join the ways out of another block."""
        self.falls |= other.falls if falls else _NONE
        self.returns |= other.returns
        self.raises |= other.raises
        self.breaks |= other.breaks
        self.continues |= other.continues

    def mapped(self, change: Callable[[States], States]) -> _Ends:
        """Return the same ways with other states."""
        return _Ends(*map(change, (self.falls, self.returns, self.raises, self.breaks, self.continues)))


def hold(
    function: Function,
    name: str | None,
    sources: Iterable[ast.expr],
    *,
    closes_at_exit: bool,
    closes: Callable[[ast.Call, str], bool],
    given: bool = False,
) -> Holding:
    """Follow a connection through the statements of the function that holds it.

    Args:
        function: The function.
        name: The local name that the connection has; None for one that only a `with` has.
        sources: The expressions that give it.
        closes_at_exit: Whether a `with` over it closes it.
        closes: Says whether a call of another function closes the connection of a name.
        given: Whether the function is given it, and has it from the start.
    """
    walk = _Walk(name or "", tuple(sources), isinstance(function, ast.AsyncFunctionDef), closes_at_exit, closes)
    ends = walk.block(function.body, frozenset({HELD if given else BEFORE}))
    if not walk.has_close:
        return Holding(Closed.NEVER, tuple(walk.held))
    if walk.lost or HELD in ends.falls | ends.returns:
        return Holding(Closed.SOMETIMES, tuple(walk.held))
    return Holding(Closed.UNLESS_FAILING if HELD in ends.raises else Closed.ALWAYS, tuple(walk.held))


def unwrapped(node: ast.expr) -> ast.expr:
    """Return what is awaited, waited for with a deadline, or closed at the end of a block."""
    match node:
        case ast.Await(value=inner):
            return unwrapped(inner)
        case ast.Call(args=[inner, *_]) if last_name(node.func) in _WRAPPERS | _CLOSING:
            return unwrapped(inner)
        case _:
            return node


@dataclass(slots=True)
class _Walk:
    """One way through a function, statement by statement; loops twice."""

    name: str
    sources: tuple[ast.expr, ...]
    asynchronous: bool
    closes_at_exit: bool
    closes: Callable[[ast.Call, str], bool]
    held: dict[ast.AST, None] = field(default_factory=dict)
    lost: bool = False
    has_close: bool = False

    def block(self, statements: Sequence[ast.stmt], states: States) -> _Ends:
        ends = _Ends()
        for statement in statements:
            if not states:
                break
            found = self._statement(statement, states)
            ends.add(found, falls=False)
            states = found.falls
        ends.falls = states
        return ends

    def _statement(self, statement: ast.stmt, states: States) -> _Ends:
        match statement:
            case ast.If():
                return self._if(statement, states)
            case ast.For() | ast.AsyncFor() | ast.While():
                return self._loop(statement, states)
            case ast.With() | ast.AsyncWith():
                return self._with(statement, states)
            case ast.Try() | ast.TryStar():
                return self._try(statement, states)
            case ast.Match():
                return self._match(statement, states)
            case ast.Break():
                return _Ends(breaks=states)
            case ast.Continue():
                return _Ends(continues=states)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                return _Ends(falls=states)
            case _:
                return self._simple(statement, states)

    def _simple(self, statement: ast.stmt, states: States) -> _Ends:
        after, raises = self._evaluated(statement, states)
        match statement:
            case ast.Return(value=ast.Name(id=self.name)) if self.name:
                self.has_close = True  # the caller's to close
                return _Ends(returns=_gone(after), raises=raises)
            case ast.Return():
                return _Ends(returns=after, raises=raises)
            case ast.Raise():
                return _Ends(raises=after | raises)
            case _:
                return _Ends(falls=after, raises=raises)

    def _evaluated(self, node: ast.AST, states: States) -> tuple[States, States]:
        """Return the states after something was evaluated, and those in which it may fail."""
        nodes = [node, *own_nodes(node)]
        if any(one in self.sources for one in nodes):
            self.lost |= HELD in states
            return frozenset({HELD}), states
        if HELD in states:
            self.held[node] = None
        if any(isinstance(one, ast.Call) and self._closes(one) for one in nodes):
            self.has_close = True
            return _gone(states), _gone(states)
        if any(isinstance(one, ast.Name) and one.id == self.name and isinstance(one.ctx, ast.Store) for one in nodes):
            self.lost |= HELD in states
            return frozenset({BEFORE}), states
        return states, states if any(map(_is_risky, nodes)) else _NONE

    def _closes(self, call: ast.Call) -> bool:
        match call.func:
            case ast.Attribute(value=ast.Name(id=self.name), attr=method) if method in CLOSERS:
                return True
            case ast.Attribute(attr=method) if method in _STACKS and any(map(self._is_closing, call.args)):
                return True
            case _:
                return self.closes(call, self.name)

    def _is_closing(self, node: ast.expr) -> bool:
        """Say whether something closes the connection when a stack is left."""
        match node:
            case ast.Attribute(value=ast.Name(id=self.name), attr="close"):
                return True
            case ast.Name(id=self.name):
                return self.closes_at_exit
            case ast.Call(args=[ast.Name(id=self.name)]):
                return last_name(node.func) in _CLOSING
            case _:
                return False

    def _if(self, statement: ast.If, states: States) -> _Ends:
        states, raises = self._evaluated(statement.test, states)
        ends = _Ends(raises=raises)
        ends.add(self.block(statement.body, self._where(statement.test, states, outcome=True)))
        ends.add(self.block(statement.orelse, self._where(statement.test, states, outcome=False)))
        return ends

    def _where(self, test: ast.expr, states: States, *, outcome: bool) -> States:
        """Return the states in which a test may have an outcome."""
        return frozenset(state for state in states if self._truth(test, state) is not (not outcome))

    def _truth(self, test: ast.expr, state: str) -> bool | None:
        """Return what a test says of the connection in a state; None where it cannot be told."""
        match test:
            case ast.Name(id=self.name):
                return state != BEFORE
            case ast.Compare(left=ast.Name(id=self.name), ops=[operator], comparators=[ast.Constant(value=None)]):
                is_none = state == BEFORE
                return is_none if isinstance(operator, ast.Is | ast.Eq) else not is_none
            case ast.Compare(left=ast.Constant(value=self.name), ops=[ast.In()]):
                return state != BEFORE
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                inner = self._truth(operand, state)
                return None if inner is None else not inner
            case ast.BoolOp(op=operator, values=values):
                deciding = isinstance(operator, ast.Or)
                found = [self._truth(value, state) for value in values]
                return deciding if deciding in found else None if None in found else not deciding
            case ast.Attribute(value=ast.Name(id=self.name), attr="closed"):
                return False if state == HELD else None
            case ast.Call(func=ast.Attribute(value=ast.Name(id=self.name), attr="is_closed")):
                return False if state == HELD else None
            case _:
                return None

    def _loop(self, statement: ast.For | ast.AsyncFor | ast.While, states: States) -> _Ends:
        head = statement.test if isinstance(statement, ast.While) else statement.iter
        ends = _Ends()
        endless = isinstance(head, ast.Constant) and bool(head.value)
        for _ in range(2):
            after, raises = self._evaluated(head, states)
            ends.raises |= raises | (states if isinstance(statement, ast.AsyncFor) else _NONE)
            body = self.block(statement.body, after)
            states |= body.falls | body.continues
            ends.add(body, falls=False)
        left = self.block(statement.orelse, _NONE if endless else states)
        ends.add(left)
        ends.falls |= ends.breaks
        ends.breaks = ends.continues = _NONE
        return ends

    def _with(self, statement: ast.With | ast.AsyncWith, states: States) -> _Ends:
        ends = _Ends()
        guarded = False
        for item in statement.items:
            guarded |= self._guards(item.context_expr)
            states, raises = self._evaluated(item.context_expr, states)
            ends.raises |= raises
        self.has_close |= guarded
        if guarded and any(node in self.sources for inner in statement.body for node in own_nodes(inner)):
            self.lost = True  # another is opened under it, which it does not close
        body = self.block(statement.body, states)
        if any(last_name(item.context_expr) == "suppress" for item in statement.items):
            body.falls |= body.raises
        ends.add(body.mapped(_gone) if guarded else body)
        return ends

    def _guards(self, node: ast.expr) -> bool:
        """Say whether a `with` over something closes the connection."""
        is_closing = isinstance(node, ast.Call) and last_name(node.func) in _CLOSING
        inner = unwrapped(node)
        is_it = inner in self.sources or (isinstance(inner, ast.Name) and inner.id == self.name)
        return is_it and (is_closing or self.closes_at_exit)

    def _try(self, statement: ast.Try | ast.TryStar, states: States) -> _Ends:
        body = self.block(statement.body, states)
        ends = _Ends(returns=body.returns, breaks=body.breaks, continues=body.continues)
        if not any(map(self._catches_all, statement.handlers)):
            ends.raises = body.raises
        ends.add(self.block(statement.orelse, body.falls))
        for handler in statement.handlers:
            ends.add(self.block(handler.body, body.raises))
        return self._finally(statement.finalbody, ends) if statement.finalbody else ends

    def _finally(self, statements: Sequence[ast.stmt], ends: _Ends) -> _Ends:
        further = _Ends()

        def through(states: States) -> States:
            found = self.block(statements, states)
            further.add(found, falls=False)
            return found.falls

        result = ends.mapped(through)
        result.add(further, falls=False)
        return result

    def _catches_all(self, handler: ast.ExceptHandler) -> bool:
        """Say whether a handler takes whatever is raised; in a coroutine, `Exception` leaves out its cancellation."""
        caught = "" if handler.type is None else last_name(handler.type)
        return handler.type is None or caught == "BaseException" or (caught == "Exception" and not self.asynchronous)

    def _match(self, statement: ast.Match, states: States) -> _Ends:
        states, raises = self._evaluated(statement.subject, states)
        ends = _Ends(falls=states, raises=raises)
        for case in statement.cases:
            ends.add(self.block(case.body, states))
        return ends


def _gone(states: States) -> States:
    return frozenset(GONE if state == HELD else state for state in states)


def _is_risky(node: ast.AST) -> bool:
    """Say whether evaluating a node itself may fail, of those that are likely to."""
    match node:
        case ast.Await(value=ast.Call(func=func)) | ast.Call(func=func):
            return last_name(func) not in _QUIET
        case ast.Subscript(ctx=ast.Load()):
            return True
        case _:
            return isinstance(node, ast.Await | ast.Yield | ast.YieldFrom | ast.Assert)
