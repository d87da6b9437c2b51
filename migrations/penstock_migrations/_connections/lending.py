"""`Lending`: follows one connection through helpers and operations, and says what speaks against a pool there."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from penstock_migrations._code.module import Function, Module
from penstock_migrations._code.reaching import Reaching, last_name, own_nodes, start_of
from penstock_migrations._code.tree import walk
from penstock_migrations._connections.arguments import Arguments
from penstock_migrations._connections.drop_ins import DropIn, drop_in
from penstock_migrations._connections.holding import Closed, Holding, hold, unwrapped
from penstock_migrations._connections.meanwhile import hands, is_manager, remarks_meanwhile
from penstock_migrations._connections.openings import Opening
from penstock_migrations._connections.sessions import HELPERS, READERS, REGISTERING, Sessions
from penstock_migrations._connections.statements import Remark, Statements
from penstock_migrations._connections.users import Users, parameter_of
from penstock_migrations.rule import Fix

__all__ = ["Lending"]

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_STACKS = frozenset({"enter_context", "enter_async_context"})
_LOOKING = frozenset({"isinstance", "bool", "print", "repr", "str", "id", "type", "hasattr", "len", "callable"})
_SEEN = _LOOKING | HELPERS | READERS | REGISTERING  # what it may be handed to
_ASKED = (ast.If, ast.While, ast.Assert)
_DEEP = 6


@dataclass(slots=True, eq=False)
class Lending:
    """What was found out about one connection.

    Attributes:
        users: Answers who calls what.
        drop_in: What would be called instead.
        remarks: What speaks against it, in the order found.
        helpers: The functions that return or yield the connection.
    """

    users: Users
    drop_in: DropIn
    remarks: list[Remark] = field(default_factory=list)
    helpers: list[Function] = field(default_factory=list)
    _seen: set[tuple[Function, str | None]] = field(default_factory=set)
    _asked: set[tuple[Function, str]] = field(default_factory=set)

    @property
    def module(self) -> Module:
        """The module around it."""
        return self.users.module

    @property
    def names(self) -> Reaching:
        """Follows the module's names."""
        return self.users.names

    def follow(self, opening: Opening) -> None:
        """Follow an opening to wherever it is used."""
        call = opening.opener.call
        arguments = Arguments(self.names, self.users.given)
        self.remarks += arguments.remarks(call, self.drop_in.own_arguments)
        self._follow(call, opening.function)

    # -- where it goes ------------------------------------------------------------------------------------------------

    def _no(self, reason: str) -> None:
        self.remarks.append((Fix.NONE, reason))

    def _doubt(self, reason: str) -> None:
        self.remarks.append((Fix.REVIEW, reason))

    def _follow(self, node: ast.expr, function: Function) -> None:
        """Follow an expression that gives a connection to the statement that it is part of."""
        parent = self.module.parents[node]
        match parent:
            case ast.Await():
                self._follow(parent, function)
            case ast.Call() if node is not parent.func and unwrapped(parent) is unwrapped(node):
                self._follow(parent, function)
            case ast.Call(func=ast.Attribute(attr=method, value=ast.Name() as stack)) if method in _STACKS:
                self._on_stack(parent, stack, function)
            case ast.Return():
                self._handed_out(function)
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                self._held(node, name, function)
            case ast.withitem(optional_vars=ast.Name(id=name)):
                self._held(node, name, function)
            case ast.withitem(optional_vars=None):
                self._held(node, None, function)
            case ast.Attribute():
                self._no(f"nothing closes it in {function.name}: it is used where it is opened")
            case _:
                self._no(f"where it goes in {function.name} cannot be followed")

    def _on_stack(self, call: ast.Call, stack: ast.Name, function: Function) -> None:
        """Follow what an exit stack closes, which is left in the same function."""
        _, found = self.module.bindings(stack.id, call)
        closing = call.args[0] if call.args else call
        closes = self.drop_in.closes_at_exit or (
            isinstance(closing, ast.Call) and last_name(closing.func) in ("closing", "aclosing")
        )
        if not closes or not found or any(one.kind != "context" for one in found):
            self._no(f"what closes it in {function.name} cannot be followed")
            return
        outer: ast.expr = call
        parent = self.module.parents[outer]
        while isinstance(parent, ast.Await):
            outer, parent = parent, self.module.parents[parent]
        after = [node for node in own_nodes(function) if start_of(node) > start_of(call)]
        held = Holding(Closed.ALWAYS, tuple(node for node in after if not self.module.contains(call, node)))
        match parent:
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                self._judge_holding(held, call, function, name)
                self._used(name, function)
            case ast.Expr():
                self._judge_holding(held, call, function, None)
            case _:
                self._no(f"where it goes in {function.name} cannot be followed")

    def _held(self, source: ast.expr, name: str | None, function: Function) -> None:
        """Look at how a function holds it, which may hand it to its callers."""
        if name is not None and self._is_shared(name, function):
            self._no(f"{function.name} keeps it beyond the call")
            return
        sources = [unwrapped(source)]
        if name is not None:
            sources += [
                unwrapped(one.value)
                for one in self.module.bindings(name, source)[1]
                if one.value is not None and one.kind == "value" and self._is_opening(unwrapped(one.value))
            ]
        found = hold(function, name, sources, closes_at_exit=self.drop_in.closes_at_exit, closes=self._closes_given)
        yields = self._yields(function, name)
        if name is not None:
            self._used(name, function)
        self._judge_closing(found, source, function)
        self._judge_holding(found, source, function, name)
        returned = name is not None and any(
            isinstance(value, ast.Name) and value.id == name for value in self.module.returned_by(function)
        )
        if returned or yields:
            self._handed_out(function)

    def _handed_out(self, function: Function) -> None:
        """Look at the callers of a function that returns or yields it."""
        if function in self.helpers:
            return
        if len(self.helpers) >= _DEEP:
            self._no("it is handed on too often to be followed")
            return
        self.helpers.append(function)
        if self.users.is_handed_on(function):
            self._doubt(f"{function.name} is handed on as a function, and who calls it then is not to be seen")
        uses = self.users.openings.uses(function)
        if not uses:
            self._doubt(
                f"the callers of {function.name} are elsewhere: do all of them close it, and set nothing in it?"
            )
        for use in uses:
            self._taken(use, function)

    def _taken(self, use: ast.expr, helper: Function) -> None:
        """Look at one caller of a helper."""
        around = self.module.function(use)
        if around is None or not isinstance(self.module.scope(use), _FUNCTIONS):
            self._no(f"the module keeps one for good: {ast.unparse(use)}")
        elif isinstance(use, ast.Call) and last_name(use.func) != helper.name:
            self._no(f"{helper.name} runs in a thread or an executor, and where it goes from there cannot be followed")
        elif is_manager(helper):
            self._entered(use, around)
        else:
            self._follow(use, around)

    def _entered(self, use: ast.expr, function: Function) -> None:
        """Look at a caller that enters a context manager made here."""
        match parent := self.module.parents[use]:
            case ast.withitem(optional_vars=ast.Name(id=name)):
                found = hold(function, name, [use], closes_at_exit=True, closes=self._closes_given)
                self._judge_holding(found, use, function, name)
                self._used(name, function)
                if self._yields(function, name):
                    self._handed_out(function)
            case ast.withitem(optional_vars=None):
                found = hold(function, None, [use], closes_at_exit=True, closes=self._closes_given)
                self._judge_holding(found, use, function, None)
            case ast.Call(func=ast.Attribute(attr=method)) if method in _STACKS:
                self._doubt(f"{function.name} holds it until its exit stack is left: how long is that?")
            case ast.Return():
                self._handed_out(function)
            case _:
                self._doubt(f"how {function.name} enters it cannot be followed ({type(parent).__name__.lower()})")

    # -- what is said of it -----------------------------------------------------------------------------------------

    def _judge_closing(self, found: Holding, source: ast.expr, function: Function) -> None:
        where = function.name
        match found.closed:
            case Closed.NEVER if (
                isinstance(self.module.parents[source], ast.withitem) and not self.drop_in.asynchronous
            ):
                self._no(f"nothing closes it in {where}: `with` ends a transaction of this driver, not the connection")
            case Closed.NEVER:
                self._no(f"nothing closes it in {where}: it would keep its place in a pool")
            case Closed.SOMETIMES:
                self._no(f"{where} does not close it on every way out: it would keep its place in a pool")
            case Closed.UNLESS_FAILING:
                self._doubt(
                    f"{where} does not close it when something fails before: "
                    "it would keep its place in a pool until it is collected; close it in a `finally`"
                )
            case Closed.ALWAYS:
                pass

    def _judge_holding(self, found: Holding, source: ast.AST, function: Function, name: str | None) -> None:
        """Look at what happens while a function holds it."""
        if (function, name) in self._seen:
            return
        self._seen.add((function, name))
        session = self._session(function, name)
        self.remarks += remarks_meanwhile(self.users, session, found.nodes, asynchronous=self.drop_in.asynchronous)
        if self.users.openings.purposes.is_long(function, source):
            self._no(f"{function.name} works on it for long, or listens")
        if self.users.has_own_loop(function):
            self._doubt(f"{function.name} runs in an event loop of its own each time: a pool serves one loop")
        self.remarks += session.remarks()

    def _yields(self, function: Function, name: str | None) -> bool:
        session = self._session(function, name)
        return any(isinstance(node, ast.Yield) and hands(session, node) for node in own_nodes(function))

    def _session(self, function: Function, name: str | None) -> Sessions:
        return Sessions(Statements(self.module, self.users.given), function, name)

    # -- names ------------------------------------------------------------------------------------------------------

    def _used(self, name: str, function: Function) -> None:
        """Look at each use of the name by which a function holds it."""
        for use in _loads(function, name):
            if self.module.scope(use) is not function:
                if not any(one.kind == "parameter" for one in self.module.bindings(name, use)[1]):
                    self._doubt(f"a function within {function.name} uses it, whenever that is called")
            else:
                self._use(use, function)

    def _use(self, use: ast.Name, function: Function) -> None:
        match parent := self.module.parents[use]:
            case ast.Call() if use is not parent.func:
                self._passed(parent, use, function)
            case ast.keyword():
                call = self.module.parents[parent]
                if isinstance(call, ast.Call):
                    self._passed(call, use, function)
            case ast.Assign(value=value) if value is use:
                self._doubt(f"{function.name} gives it another name, or keeps it elsewhere meanwhile")
            case ast.AnnAssign() | ast.NamedExpr():
                self._doubt(f"{function.name} gives it another name, or keeps it elsewhere meanwhile")
            case ast.Tuple() | ast.List() | ast.Dict() | ast.Set() | ast.Starred() | ast.Lambda():
                self._no(f"where it goes in {function.name} cannot be followed")
            case ast.BoolOp() | ast.IfExp() if not self._is_asked(use):
                self._doubt(f"{function.name} takes it or something else, by what it finds")
            case _:
                pass

    def _is_asked(self, node: ast.expr) -> bool:
        """Say whether an expression only serves a question: whether there is a connection, whether it is closed."""
        parent = self.module.parents[node]
        if isinstance(parent, ast.BoolOp | ast.UnaryOp):
            return self._is_asked(parent)
        return isinstance(parent, _ASKED) or (isinstance(parent, ast.IfExp) and parent.test is node)

    def _passed(self, call: ast.Call, use: ast.Name, function: Function) -> None:
        """Look at what it is handed to."""
        called = last_name(call.func)
        if called in _SEEN or unwrapped(call) is use:
            return
        functions = self.names.functions(call)
        parameter = parameter_of(call, use, functions[0]) if len(functions) == 1 else None
        if parameter is None:
            self._doubt(f"{function.name} hands it to {ast.unparse(call.func)}, which is not to be seen here")
        elif (functions[0], parameter) not in self._seen:
            self._borrowed(functions[0], parameter)

    def _borrowed(self, function: Function, parameter: str) -> None:
        """Look at a function of this module that is lent it for a while."""
        found = Holding(Closed.ALWAYS, tuple(function.body))
        self._judge_holding(found, function, function, parameter)
        self._used(parameter, function)
        if any(isinstance(value, ast.Name) and value.id == parameter for value in self._returned(function)):
            self._doubt(f"{function.name} returns it")

    def _returned(self, function: Function) -> list[ast.expr]:
        return self.module.returned_by(function)

    def _closes_given(self, call: ast.Call, name: str) -> bool:
        """Say whether a function of this module closes what it is given."""
        given = [one for one in call.args if isinstance(one, ast.Name) and one.id == name]
        functions = self.names.functions(call)
        parameter = parameter_of(call, given[0], functions[0]) if given and len(functions) == 1 else None
        if parameter is None or (functions[0], parameter) in self._asked:
            return False
        self._asked.add((functions[0], parameter))
        found = hold(
            functions[0],
            parameter,
            (),
            closes_at_exit=self.drop_in.closes_at_exit,
            closes=self._closes_given,
            given=True,
        )
        self._asked.discard((functions[0], parameter))
        return found.closed is Closed.ALWAYS

    def _is_shared(self, name: str, function: Function) -> bool:
        return any(isinstance(node, ast.Global | ast.Nonlocal) and name in node.names for node in own_nodes(function))

    def _is_opening(self, node: ast.expr) -> bool:
        """Say whether an expression gives a connection of the same kind: the call itself, or that of a helper."""
        if not isinstance(node, ast.Call):
            return False
        helpers = {helper for helper in self.helpers if helper in self.names.functions(node)}
        openers = [one.opener for one in self.users.openings.found if drop_in(one.opener.name) is self.drop_in]
        return bool(helpers) or any(node is opener.call for opener in openers)


def _loads(function: Function, name: str) -> Iterator[ast.Name]:
    for node in walk(function):
        if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load):
            yield node
