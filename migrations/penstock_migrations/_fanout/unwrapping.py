"""Decides whether tasks may become coroutines again, for gather to start: nobody may notice that they start later.

Only where that is plain to see: the tasks are made in gather's own arguments, or one block of statements makes a new
collection, fills it and gathers all of it, and does nothing in between that a task that runs already would notice.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Collection, Iterator

from penstock_migrations._code.module import Binding, Function, Module
from penstock_migrations._code.reaching import LOOPS, Reaching, blocks, last_name, own_nodes, start_of
from penstock_migrations._code.tree import walk
from penstock_migrations._code.vocabulary import vocabulary, words
from penstock_migrations._fanout.holders import is_counted, name_of_growth
from penstock_migrations._fanout.work import SPAWNS

__all__ = ["task_doubt", "task_obstacle"]

_LOOPS = frozenset({"asyncio.get_running_loop", "asyncio.get_event_loop"})
_COPIES = frozenset({"list", "tuple"})
_PASSING = (ast.expr, ast.keyword, ast.Expr, ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Return)
# First words of what changes context variables, whatever it returns; and what starts other work meanwhile.
_CHANGING = vocabulary("activate attach bind bound clear deactivate detach enter push reset set switch unbind use")
_STARTING = vocabulary("call_later call_soon create_task ensure_future gather shield start_soon")
# What is known to do neither.
_HARMLESS = vocabulary(
    "abs add all any append appendleft bool bytes copy count critical debug decode dict discard divmod dumps encode"
    " endswith enumerate error exception extend filter find float format frozenset get getattr group hasattr hash id"
    " index info insert int isinstance isoformat items iter join keys len list loads log lower lstrip map match max min"
    " model_dump monotonic next now ord perf_counter print range remove replace repr reversed round rstrip search"
    " setdefault sorted split splitlines startswith str strip sum time title tuple type upper uuid4 values warn warning"
    " zip"
)


def task_obstacle(names: Reaching, gather: ast.Call, creation: ast.Call, creations: Collection[ast.Call]) -> str | None:
    """Say why the creation of a task cannot be left to the gather that waits for it; None if it can.

    Args:
        names: Follows the module's names.
        gather: The call that waits for the tasks.
        creation: The call that makes them.
        creations: All the calls whose tasks the gather would start.
    """
    module = names.module
    if len(creation.args) != 1 or creation.keywords or not isinstance(creation.args[0], ast.Call):
        return "the tasks are made with more than a coroutine, and run already when gather sees them"
    if not _is_asyncios_own(module, creation):
        return "the tasks belong to what makes them, such as a group that watches over them"
    function = module.function(gather)
    if function is None or module.function(creation) is not function:
        return "the tasks are made in another function, and run already when gather sees them"
    way = _Way(names, gather, creation, creations)
    if not way.is_plain(function):
        return "the tasks are used besides being gathered, and run already when gather sees them"
    if any(map(way.suspends, way.nodes)):
        return "the function waits for something else while the tasks run already"
    if any(map(way.changes_context, way.nodes)):
        return "the tasks may see context variables that are others by the time of the gather"
    if not way.is_reached():
        return "the tasks run even where the function does not come to the gather"
    return None


def task_doubt(names: Reaching, gather: ast.Call, creation: ast.Call, creations: Collection[ast.Call]) -> str | None:
    """Say what to look at before the creation of a task is left to the gather; None if there is nothing."""
    way = _Way(names, gather, creation, creations)
    unknown = next(filter(way.may_matter, way.nodes), None)
    if unknown is None:
        return None
    called = ast.unparse(unknown.func) if isinstance(unknown, ast.Call) else ""
    return f"does `{called}` set a context variable or start other work? The tasks would notice, as they start later"


def _is_asyncios_own(module: Module, creation: ast.Call) -> bool:
    """Say whether asyncio or its running loop makes the task, and nobody else keeps it."""
    if module.qualified(creation.func) in SPAWNS:
        return True
    if not isinstance(creation.func, ast.Attribute):
        return False
    host = creation.func.value
    _, found = module.bindings(host.id, host) if isinstance(host, ast.Name) else (None, [])
    hosts = [one.value for one in found] if found else [host]
    return all(isinstance(one, ast.Call) and module.qualified(one.func) in _LOOPS for one in hosts)


class _Way:
    """The statements from the one that makes the tasks to the one that gathers them, in one block."""

    def __init__(self, names: Reaching, gather: ast.Call, creation: ast.Call, creations: Collection[ast.Call]) -> None:
        self.names = names
        self.module = names.module
        self.gather = gather
        self.creation = creation
        self.creations = creations
        self.in_place = self.module.contains(gather, creation)
        self.statements = [] if self.in_place else self._between()
        self.nodes = list(self._nodes())
        self.holder = ""

    def is_plain(self, function: Function) -> bool:
        """Say whether the tasks go into a new collection only, which is gathered as it is and read by nothing else."""
        if self.in_place:
            return self._is_put_plainly(self.gather)
        growth = self._growth(function)
        if growth is None or len(self.statements) < 2:
            return False
        self.holder = name_of_growth(growth) or ""
        shared = [node for node in own_nodes(function) if isinstance(node, ast.Global | ast.Nonlocal)]
        if not self.holder or any(self.holder in node.names for node in shared):
            return False
        return self._is_made_here(growth) and all(map(self._is_kept, _mentions(function, self.holder)))

    def suspends(self, node: ast.AST) -> bool:
        """Say whether the function gives way at a node, with tasks that run already."""
        match node:
            case ast.comprehension(is_async=is_async):
                return bool(is_async)
            case ast.AsyncWith() | ast.AsyncFor():
                return True
            case ast.Await() | ast.Yield() | ast.YieldFrom():
                return not self.module.contains(node, self.gather)
            case _:
                return False

    def changes_context(self, node: ast.AST) -> bool:
        """Say whether the context that a task copies when it is made may be another by the time of the gather."""
        match node:
            case ast.With():
                return self.module.contains(node, self.creation) or self.module.contains(node, self.gather)
            case ast.Call() if self._is_beside(node):
                effect = isinstance(self.module.parents[node], ast.Expr) and last_name(node.func) not in _HARMLESS
                return effect or _may_change_context(self.names, node, set())
            case _:
                return False

    def may_matter(self, node: ast.AST) -> bool:
        """Say whether a node calls something of which it is not known that it changes no context."""
        return isinstance(node, ast.Call) and self._is_beside(node) and not _is_harmless(self.names, node, set())

    def _is_beside(self, call: ast.Call) -> bool:
        """Say whether a call is another than those that make the coroutines and the tasks, and that wait for them."""
        made = any(call is creation or call in creation.args for creation in self.creations)
        return not made and not self.module.contains(call, self.gather)

    def is_reached(self) -> bool:
        """Say whether the function comes to the gather wherever it made a task, unless something fails."""
        if self.in_place:
            return True
        around = itertools.takewhile(lambda node: node is not self._owner, self.module.ancestors(self.gather))
        passed = all(self._is_passed(node) or self._asks_only_for_tasks(node) for node in around)
        return passed and not any(map(self._leaves, self.nodes))

    # -- the way ----------------------------------------------------------------------------------------------------

    def _between(self) -> list[ast.stmt]:
        """Return the statements of the innermost block that holds both, from one to the other."""
        making = {self.creation, *self.module.ancestors(self.creation)}
        gathering = {self.gather, *self.module.ancestors(self.gather)}
        for around in self.module.ancestors(self.creation):
            for block in blocks(around):
                first = next((place for place, one in enumerate(block) if one in making), None)
                last = next((place for place, one in enumerate(block) if one in gathering), None)
                if first is not None and last is not None:
                    return block[first : last + 1]
        return []

    def _nodes(self) -> Iterator[ast.AST]:
        """Yield what is done on the way: after the first task is made, and before all are gathered."""
        if self.in_place:
            yield from own_nodes(self.gather)
            return
        for statement in self.statements:
            for node in (statement, *own_nodes(statement)):
                if self.module.contains(self.gather, node) or start_of(node) < start_of(self.gather):
                    yield node

    @property
    def _owner(self) -> ast.AST:
        return self.module.parents[self.statements[0]]

    # -- the collection ---------------------------------------------------------------------------------------------

    def _growth(self, function: Function) -> ast.stmt | None:
        """Return the statement that puts the tasks into their collection; a task may have a name until the next one."""
        statement = self.module.statement(self.creation)
        match statement:
            case ast.Assign(targets=[ast.Name(id=task)], value=value) if value is self.creation:
                following = self._next(statement)
                read = [node for node in _mentions(function, task) if not isinstance(node.ctx, ast.Store)]
                match following:
                    case ast.Expr(value=ast.Call(func=ast.Attribute(attr="append"), args=[ast.Name() as given])):
                        return following if read == [given] else None
                    case _:
                        return None
            case _:
                return statement if self._is_put_plainly(statement) else None

    def _next(self, statement: ast.stmt) -> ast.stmt | None:
        for block in blocks(self.module.parents[statement]):
            if statement in block:
                return next(iter(block[block.index(statement) + 1 :]), None)
        return None

    def _is_put_plainly(self, outer: ast.AST) -> bool:
        """Say whether every task becomes an element of the outer's collection, in the order in which they are made."""
        node: ast.AST = self.creation
        while (around := self.module.parents[node]) is not outer:
            match around:
                case ast.ListComp(elt=made) | ast.GeneratorExp(elt=made) if made is node:
                    pass
                case ast.List(elts=elements) | ast.Tuple(elts=elements):
                    if any(isinstance(one, ast.Call) and one not in self.creations for one in elements):
                        return False  # a coroutine among the tasks starts after them, or else in its turn
                case ast.Starred():
                    pass
                case ast.Call(func=ast.Name(id=name)) if name in _COPIES:
                    pass
                case ast.Call(func=ast.Attribute(value=ast.Name(), attr="append" | "extend")):
                    if self.module.parents[around] is not outer:
                        return False
                case _:
                    return False
            node = around
        return True

    def _is_made_here(self, growth: ast.stmt) -> bool:
        """Say whether whoever comes to the growth, and then to the gather, has made the collection anew before."""
        _, bindings = self.module.bindings(self.holder, self.gather)
        made = [one for one in bindings if one.kind not in ("item", "items")]
        origin = self._origin(growth, made)
        if origin is None or not _is_new(origin.value, self.creation, self.module):
            return False
        if isinstance(origin.node, ast.Assign) and len(origin.node.targets) > 1:
            return False
        if not all(map(self._puts_tasks, bindings)):
            return False
        later = [one.node for one in made if start_of(origin.node) < start_of(one.node) < start_of(self.gather)]
        return all(_exclude_each_other(self.module, origin.node, one) for one in later)

    def _puts_tasks(self, binding: Binding) -> bool:
        """Say whether a binding of the collection adds tasks only: coroutines among them would start after them."""
        value = binding.value
        if isinstance(value, ast.Name):
            return all(made in self.creations for made in self.names.values(value))
        calls = [node for node in (value, *own_nodes(value)) if isinstance(node, ast.Call)] if value is not None else []
        empty = isinstance(value, ast.Call) and last_name(value.func) in _COPIES and not value.args
        return not calls or empty or any(call in self.creations for call in calls)

    def _origin(self, growth: ast.stmt, made: list[Binding]) -> Binding | None:
        """Return the binding that every growth comes by, with nothing but an `if` between it and the gather's block."""
        found = next((one for one in made if one.node is growth), None)
        node: ast.AST = growth
        while node is not self._owner:
            around = self.module.parents[node]
            if found is None:
                beside = [statement for block in blocks(around) if node in block for statement in block]
                before = [one for one in made if one.node in beside and start_of(one.node) < start_of(node)]
                found = max(before, key=lambda one: start_of(one.node), default=None)
            if found is not None and around is not self._owner and not isinstance(around, ast.If):
                return None
            node = around
        return found

    def _is_kept(self, name: ast.Name) -> bool:
        """Say whether a mention of the collection only fills, counts or gathers it."""
        if isinstance(name.ctx, ast.Store):
            return True  # the bindings are looked at on their own
        if isinstance(name.ctx, ast.Del):
            return False
        parent = self.module.parents[name]
        match parent, self.module.statement(name):
            case ast.Attribute(attr="append" | "extend"), ast.Expr(value=ast.Call(func=func)) if func is parent:
                return True
            case _:
                return is_counted(self.module, name) or self._is_gathered(name)

    def _is_gathered(self, name: ast.Name) -> bool:
        """Say whether the gather is given all the tasks of a name, in their order, and looks at none."""
        given: ast.AST = name
        while (around := self.module.parents.get(given)) is not self.gather:
            match around:
                case ast.Starred():
                    pass
                case ast.Call(func=ast.Name(id="list" | "tuple")) | ast.comprehension(ifs=[]):
                    pass
                case ast.ListComp(elt=ast.Name()) | ast.GeneratorExp(elt=ast.Name()):
                    pass
                case _:
                    return False
            given = around
        return True

    # -- what is passed ---------------------------------------------------------------------------------------------

    def _leaves(self, node: ast.AST) -> bool:
        """Say whether a node leaves the way before the gather, though there may be tasks."""
        if isinstance(node, ast.Break | ast.Continue):
            loop = next(around for around in self.module.ancestors(node) if isinstance(around, LOOPS))
            return not any(self.module.contains(statement, loop) for statement in self.statements)
        if not isinstance(node, ast.Return | ast.Raise) or self.module.contains(node, self.gather):
            return False
        return not any(map(self._asks_only_for_tasks, self.module.ancestors(node)))

    def _is_passed(self, around: ast.AST) -> bool:
        """Say whether whoever comes to a node comes to the gather in it, once."""
        match around:
            case ast.IfExp() | ast.BoolOp() | ast.Lambda():
                return False
            case ast.For(iter=iterable) | ast.comprehension(iter=iterable):
                return self.module.contains(iterable, self.gather)
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                return self.module.contains(around.generators[0], self.gather)
            case ast.Try(body=body):
                return any(self.module.contains(statement, self.gather) for statement in body)
            case _:
                return isinstance(around, _PASSING)

    def _asks_only_for_tasks(self, node: ast.AST) -> bool:
        """Say whether a branch depends on nothing but whether there are tasks at all."""
        match node:
            case ast.If(test=ast.Name(id=name)) | ast.If(test=ast.UnaryOp(op=ast.Not(), operand=ast.Name(id=name))):
                return name == self.holder
            case _:
                return False


def _mentions(function: Function, name: str) -> list[ast.Name]:
    """Return where a function, or one defined in it, names something."""
    return [node for node in walk(function) if isinstance(node, ast.Name) and node.id == name]


def _is_new(value: ast.expr | None, creation: ast.Call, module: Module) -> bool:
    """Say whether an expression makes a collection that nobody else has."""
    match value:
        case ast.List() | ast.ListComp():
            return True
        case ast.Call(func=ast.Name(id=name)):
            return name in _COPIES
        case _:
            return value is not None and module.contains(value, creation)  # put plainly, as was seen


def _exclude_each_other(module: Module, one: ast.AST, other: ast.AST) -> bool:
    """Say whether two statements stand in different branches of one `if`."""
    above = set(module.ancestors(other))
    node = one
    for around in module.ancestors(one):
        if around in above:
            return isinstance(around, ast.If) and (node in around.body) is not any(
                module.contains(statement, other) for statement in around.body
            )
        node = around
    return False


def _may_change_context(names: Reaching, call: ast.Call, seen: set[Function]) -> bool:
    """Say whether a call may set a context variable or start other work, by its name or by what it calls here."""
    name = last_name(call.func)
    if name in _STARTING or _sounds_changing(call.func, name):
        return True
    functions = [function for function in names.functions(call) if function not in seen]
    seen.update(functions)
    inner = [node for function in functions for node in own_nodes(function) if isinstance(node, ast.Call)]
    return any(_may_change_context(names, one, seen) for one in inner)


def _is_harmless(names: Reaching, call: ast.Call, seen: set[Function]) -> bool:
    """Say whether a call is known to change no context: built-in, of a plain value, of a class, or seen through."""
    functions = names.functions(call)
    if not functions:
        name = last_name(call.func)
        makes_set = isinstance(call.func, ast.Name) and name == "set"
        return name in _HARMLESS or name[:1].isupper() or makes_set
    inner = [node for one in functions if one not in seen for node in own_nodes(one) if isinstance(node, ast.Call)]
    seen.update(functions)
    return all(_is_harmless(names, one, seen) for one in inner)


def _sounds_changing(func: ast.expr, name: str) -> bool:
    """Say whether a call is called like one that sets a context variable, and is no `set(xs)` or `xs.clear()`."""
    if name == "clear" or (name == "set" and isinstance(func, ast.Name)):
        return False
    return bool(_CHANGING.intersection(words(name)[:1]))
