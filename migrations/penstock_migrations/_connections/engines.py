"""`Engines`: follows an SQLAlchemy engine of one operation, and says what speaks against one engine for all of them."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

from penstock_migrations._code.module import Function
from penstock_migrations._code.reaching import last_name, own_nodes
from penstock_migrations._code.tree import walk
from penstock_migrations._connections.arguments import Arguments
from penstock_migrations._connections.drop_ins import DropIn
from penstock_migrations._connections.meanwhile import remarks_meanwhile
from penstock_migrations._connections.openings import Opening
from penstock_migrations._connections.sessions import Sessions
from penstock_migrations._connections.statements import Remark, Statements
from penstock_migrations._connections.users import Users
from penstock_migrations.rule import Fix

__all__ = ["Engines"]

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_FACTORIES = frozenset({"sessionmaker", "async_sessionmaker"})
_SESSIONS = frozenset({"Session", "AsyncSession"})
_ENTERED = frozenset({"connect", "begin"})
_SAID = frozenset({"url", "dialect", "name", "driver", "dispose"})
_BORROWING = frozenset({"read_sql", "read_sql_query", "read_sql_table", "to_sql", "inspect", "create_all", "reflect"})
_LISTENERS = frozenset({"listen", "listens_for", "instrument", "instrument_engine"})
_KEEPS = "nothing to be seen closes what {} takes of it, which would keep one of the engine's places"
_CHUNKS = "{} reads in chunks, and holds a connection until the last is read"
_DEEP = 6


@dataclass(slots=True, eq=False)
class Engines:
    """What was found out about one engine.

    Attributes:
        users: Answers who calls what.
        drop_in: What would be called instead.
        remarks: What speaks against it, in the order found.
        helpers: The functions that return it, or what is made of it.
    """

    users: Users
    drop_in: DropIn
    remarks: list[Remark] = field(default_factory=list)
    helpers: list[Function] = field(default_factory=list)

    def follow(self, opening: Opening) -> None:
        """Follow an engine to wherever it is used."""
        call = opening.opener.call
        arguments = Arguments(self.users.names, self.users.given)
        self.remarks += arguments.remarks(call, self.drop_in.own_arguments)
        self._judge(opening.function)
        self._value(call, opening.function)

    def _doubt(self, reason: str) -> None:
        self.remarks.append((Fix.REVIEW, reason))

    def _value(self, node: ast.expr, function: Function) -> None:
        """Follow an expression that gives the engine, or a factory of sessions of it."""
        parent = self.users.module.parents[node]
        match parent:
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                self._named(name, function)
            case ast.Return():
                self._handed_out(function)
            case ast.keyword():
                self._passed(self.users.module.parents[parent], function)
            case ast.Call() if node is not parent.func:
                self._passed(parent, function)
            case ast.Call():
                self._taken(parent, function)
            case ast.Attribute(attr=attribute):
                self._asked(parent, attribute, function)
            case _:
                self._doubt(f"where the engine goes in {function.name} cannot be followed")

    def _named(self, name: str, function: Function) -> None:
        if any(isinstance(node, ast.Global | ast.Nonlocal) and name in node.names for node in own_nodes(function)):
            self.remarks.append((Fix.NONE, f"{function.name} keeps it beyond the call"))
            return
        for node in walk(function):
            match node:
                case ast.Name(id=found, ctx=ast.Load()) if found == name:
                    if isinstance(self.users.module.parents[node], ast.Call | ast.keyword | ast.Attribute | ast.Return):
                        self._value(node, function)
                    elif not isinstance(self.users.module.parents[node], ast.If | ast.Compare | ast.UnaryOp):
                        self._doubt(f"where the engine goes in {function.name} cannot be followed")

    def _asked(self, node: ast.Attribute, attribute: str, function: Function) -> None:
        """Look at a method or an attribute of an engine, or of a factory of sessions."""
        call = self.users.module.parents[node]
        if attribute in _SAID:
            return
        if attribute in _ENTERED and isinstance(call, ast.Call) and call.func is node:
            self._taken(call, function)
        else:
            self._doubt(f"{function.name} asks the engine for {attribute}")

    def _passed(self, call: ast.AST, function: Function) -> None:
        """Look at what the engine is given to."""
        called = last_name(call.func) if isinstance(call, ast.Call) else ""
        if called in _LISTENERS:
            self.remarks.append((Fix.NONE, "it listens to events of the engine: one engine would be listened to again"))
        elif called in _FACTORIES and isinstance(call, ast.Call):
            self._value(call, function)
        elif called in _SESSIONS and isinstance(call, ast.Call):
            self._taken(call, function)
        elif isinstance(call, ast.Call) and any(one.arg == "chunksize" for one in call.keywords):
            self._doubt(_CHUNKS.format(function.name))
        elif called not in _BORROWING:
            self._doubt(f"{function.name} hands the engine to {called or 'something'}, which is not to be seen here")

    def _taken(self, call: ast.Call, function: Function) -> None:
        """Look at a connection, or a session, that is taken of it: a `with` has to give it back."""
        item = self.users.module.parents[call]
        if not isinstance(item, ast.withitem):
            self._doubt(_KEEPS.format(function.name))
            return
        block = self.users.module.parents[item]
        name = item.optional_vars.id if isinstance(item.optional_vars, ast.Name) else None
        if item.optional_vars is not None and name is None:
            self._doubt(_KEEPS.format(function.name))
        if isinstance(block, ast.With | ast.AsyncWith):
            after = [one.context_expr for one in block.items[block.items.index(item) + 1 :]]
            session = Sessions(Statements(self.users.module, self.users.given), function, name)
            self.remarks += remarks_meanwhile(
                self.users, session, (*after, *block.body), asynchronous=self.drop_in.asynchronous
            )

    def _handed_out(self, function: Function) -> None:
        """Look at the callers of a function that returns it."""
        if function in self.helpers:
            return
        self.helpers.append(function)
        uses = self.users.openings.uses(function)
        if not uses or self.users.is_handed_on(function) or len(self.helpers) > _DEEP:
            self._doubt(f"the callers of {function.name} are elsewhere: do they share one engine, as it is?")
        for use in uses:
            around = self.users.module.function(use)
            if around is None or not isinstance(self.users.module.scope(use), _FUNCTIONS):
                self.remarks.append((Fix.NONE, f"the module keeps one for good: {ast.unparse(use)}"))
            else:
                self._judge(around)
                self._value(use, around)

    def _judge(self, function: Function) -> None:
        """Look at what a function does with the sessions of the engine, and where it runs."""
        blocks = not self.drop_in.asynchronous and isinstance(function, ast.AsyncFunctionDef)
        if blocks and self.users.module.awaits_in(function):
            self._doubt(
                f"{function.name} awaits: to wait for a connection of one engine would stop the event loop"
                " that those who hold one need to give it back"
            )
        if any(isinstance(node, ast.Yield | ast.YieldFrom) for node in own_nodes(function)):
            self._doubt(f"{function.name} yields in the midst, and its callers run while it holds a connection")
        if self.users.has_own_loop(function):
            self._doubt(f"{function.name} runs in an event loop of its own each time: an engine serves one loop")
        if self.users.openings.purposes.is_long(function, function):
            self._doubt(f"{function.name} works on it for long, or listens")
        names = self._names(function)
        statements = Statements(self.users.module, self.users.given)
        self.remarks += [remark for name in names for remark in Sessions(statements, function, name).remarks()]

    def _names(self, function: Function) -> list[str]:
        """Return the names that connections and sessions have in a function, whosever engine they are of."""
        found = []
        for node in own_nodes(function):
            match node:
                case ast.withitem(context_expr=ast.Call(), optional_vars=ast.Name(id=name)):
                    found.append(name)
                case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call()):
                    found.append(name)
        return found
