"""`Endings`: whether work ends by itself, or waits for others: bounded, those might never start."""

from __future__ import annotations

import ast
import enum
from collections.abc import Iterator

from penstock_migrations._code.module import Function
from penstock_migrations._code.reaching import Reaching, last_name, own_nodes
from penstock_migrations._code.tree import walk
from penstock_migrations._code.vocabulary import ENDLESS, TASK, mentions, says, vocabulary, words

__all__ = ["ENDLESS_WORK", "WAITING_WORK", "Ending", "Endings"]

ENDLESS_WORK = "the work may never end or waits for its peers: bounded, the rest might never start"
WAITING_WORK = "the work waits for what others bring, such as an event: if those are its peers, all of them must start"
_WRAPPERS = frozenset({"gather", "wait", "wait_for", "shield", "create_task", "ensure_future"})
_BARRIERS = frozenset({"Barrier"})
_PEERS = _BARRIERS | {"Condition"}
_LOCKS = frozenset({"Lock", "Semaphore", "BoundedSemaphore"})
_QUEUES = frozenset({"Queue", "PriorityQueue", "LifoQueue"})
_PROCESSES = frozenset({"Process", "Proc", "Popen", "create_subprocess_exec", "create_subprocess_shell"})
_FUTURES = frozenset({"create_future", "Future"})
_TAKING = frozenset({"recv", "receive", "accept", "get"})
_FOREVER = frozenset({"run_forever", "run_until_disconnected", "serve", "serve_forever", "wait_for_termination"})
_LISTENING = vocabulary(
    "channel consume consumer forever listen pubsub socket subscribe subscription watch watcher websocket ws"
)
_DEEP = 6


class Ending(enum.IntEnum):
    """How work ends: by itself, when others have brought what it waits for, or never, for all that can be seen."""

    ALONE = 0
    OTHERS = 1
    NEVER = 2


class Endings:
    """Answers how what one module does ends."""

    def __init__(self, names: Reaching) -> None:
        self.names = names
        self.module = names.module

    def of_call(self, call: ast.Call) -> Ending:
        """Say how what a call starts ends: by what it does where that is in this module, else by its name."""
        if functions := self._functions(call):
            return max(self.of(function) for function in functions)
        if mentions(last_name(call.func), ENDLESS):
            return Ending.NEVER
        return self._of_wait(self.module.function(call), call)

    def of(self, function: Function) -> Ending:
        """Say how a function ends, with those of this module that it waits for, a few calls deep."""
        found = Ending.ALONE
        layer = [(function, Ending.NEVER)]
        seen = set(layer)
        for _ in range(_DEEP):
            found = max([found, *(min(most, self.own(one)) for one, most in layer)])
            following = dict.fromkeys(inner for one in layer for inner in self._awaited_by(*one))
            layer = [one for one in following if one not in seen]
            seen.update(layer)
        return found

    def _awaited_by(self, function: Function, most: Ending) -> Iterator[tuple[Function, Ending]]:
        for waited_for, at_most in self._waited_for(function):
            for inner in self._functions(waited_for):
                yield inner, min(most, at_most)

    def own(self, function: Function) -> Ending:
        """Say how a function ends, by its own loops and waits alone."""
        waits = [min(most, self._of_wait(function, node)) for node, most in self._waited_for(function)]
        loops = [
            self._of_loop(function, node) for node in self.module.blocks_in(function) if isinstance(node, ast.While)
        ]
        return max([*waits, *loops], default=Ending.ALONE)

    # -- waits ------------------------------------------------------------------------------------------------------

    def _waited_for(self, function: Function) -> Iterator[tuple[ast.expr, Ending]]:
        """Yield what a function awaits, iterates or enters, and how bad that may be: a wait with a timeout ends."""
        for node in self.module.awaits_in(function):
            if isinstance(node, ast.Await):
                yield from self._unwrapped(node.value, Ending.NEVER)
            else:
                yield node.iter, Ending.NEVER  # its name tells something, too
                yield from self._unwrapped(node.iter, Ending.NEVER)
        for block in self.module.blocks_in(function):
            if isinstance(block, ast.AsyncWith):
                yield from ((item.context_expr, Ending.NEVER) for item in block.items)

    def _unwrapped(self, node: ast.expr, most: Ending) -> Iterator[tuple[ast.expr, Ending]]:
        """Yield what is waited for in the end: `work()` of `wait_for(work(), 5)`, of a task, of a list of them."""
        waiting = [(node, most)]
        seen: set[tuple[str, Ending]] = set()  # names: each is looked up once, however many lead to it
        while waiting:
            node, most = waiting.pop()
            if isinstance(node, ast.Name):
                if (node.id, most) in seen:
                    continue
                seen.add((node.id, most))
            if isinstance(node, ast.Call) and self._wraps(node) and last_name(node.func) == "wait_for":
                most = min(most, Ending.OTHERS)
            parts = self._parts(node)
            waiting += [(part, most) for part in parts]
            if not parts:
                yield node, most

    def _parts(self, node: ast.expr) -> list[ast.expr]:
        """Return what an expression that is waited for waits for itself; nothing if it is a wait of its own."""
        match node:
            case ast.Call(args=[first, *_] as arguments) if self._wraps(node):
                return arguments if last_name(node.func) == "gather" else [first]
            case ast.Starred(value=part) | ast.ListComp(elt=part) | ast.GeneratorExp(elt=part) | ast.SetComp(elt=part):
                return [part]
            case ast.List(elts=parts) | ast.Tuple(elts=parts) | ast.Set(elts=parts):
                return parts
            case ast.IfExp(body=body, orelse=orelse):
                return [body, orelse]
            case ast.Name(id=name):
                scope, found = self.module.bindings(name, node)
                values = [one.value for one in found if one.value is not None]
                return values if scope is self.module.function(node) else []
            case _:
                return []

    def _wraps(self, call: ast.Call) -> bool:
        """Say whether a call waits for what it is given: asyncio's, or one that makes a task of it."""
        name = last_name(call.func)
        module = (self.module.qualified(call.func) or "").partition(".")[0]
        return name in _WRAPPERS and (name == "create_task" or module in {"asyncio", "penstock_limits"})

    def _of_wait(self, function: Function | None, node: ast.expr) -> Ending:
        """Say how a wait ends."""
        called = last_name(node.func) if isinstance(node, ast.Call) else ""
        entered = isinstance(self.module.parents[node], ast.withitem)
        if self._waits_for_peers(node) or called in _FOREVER or (entered and self._is_called(node, _BARRIERS)):
            return Ending.NEVER
        if entered and not called:
            return Ending.ALONE
        if self._is_event(node) or self._is_future(function, node) or self._takes(function, node):
            return Ending.OTHERS
        name = called or (last_name(node) if isinstance(self.module.parents[node], ast.AsyncFor) else "")
        listens = not _LISTENING.isdisjoint((*words(name)[:1], *words(name)[-1:])) and not self._functions(node)
        return Ending.OTHERS if listens or self._takes_lock(node) else Ending.ALONE

    def _waits_for_peers(self, node: ast.expr) -> bool:
        match node:
            case ast.Call(func=ast.Attribute(attr="join"), args=[]):
                return True
            case ast.Call(func=ast.Attribute(value=owner, attr="wait" | "wait_for")):
                return self._is_called(owner, _PEERS)
            case _:
                return False

    def _is_event(self, node: ast.expr) -> bool:
        """Say whether an expression waits for an event, or for whatever else is no process."""
        match node:
            case ast.Call(func=ast.Attribute(value=owner, attr="wait"), args=[]):
                return self.module.qualified(node.func) is None and not self._is_called(owner, _PROCESSES)
            case _:
                return False

    def _is_future(self, function: Function | None, node: ast.expr) -> bool:
        """Say whether an object is waited for that others settle or feed: handed in, kept elsewhere, made here."""
        match node:
            case ast.Call(func=func):
                return last_name(func) in _FUTURES
            case ast.Name(id=name):
                starred = isinstance(self.module.parents[node], ast.Starred)
                given = self._is_given(function, node) and (starred or says(name, TASK))
                return given or self._is_outer(function, node)
            case _:
                return isinstance(node, ast.Attribute | ast.Subscript)

    def _takes(self, function: Function | None, node: ast.expr) -> bool:
        """Say whether an expression takes something that was put in elsewhere."""
        match node:
            case ast.Call(func=ast.Attribute(value=owner, attr=method), args=[], keywords=[]):
                return method in _TAKING and (not isinstance(owner, ast.Name) or self._is_given(function, owner))
            case ast.Call(func=ast.Attribute(value=owner, attr="put")):
                return self._is_called(owner, _QUEUES)
            case _:
                return False

    def _takes_lock(self, node: ast.expr) -> bool:
        """Say whether an expression takes a lock by hand, which may be another's to give back."""
        match node:
            case ast.Call(func=ast.Attribute(value=owner, attr="acquire")):
                return self._is_called(owner, _LOCKS)
            case _:
                return False

    # -- loops ------------------------------------------------------------------------------------------------------

    def _of_loop(self, function: Function, loop: ast.While) -> Ending:
        """Say how a loop ends: cancelled only, fed by a queue, told to stop, or when something else has happened."""
        nodes = list(own_nodes(loop))
        awaited = [node.value for node in nodes if isinstance(node, ast.Await)]
        waits = bool(awaited) or any(isinstance(node, ast.AsyncFor | ast.AsyncWith) for node in nodes)
        leaves = any(isinstance(node, ast.Return | ast.Break) for node in nodes)
        always = isinstance(loop.test, ast.Constant) and bool(loop.test.value)
        if (always and not leaves) or any(self._takes(function, one) for one in awaited):
            return Ending.NEVER
        asks = self._asks_others(function, loop.test) or any(map(self._leaves_when_told, nodes))
        polls = any(self._sleeps(loop, one) for one in awaited) and (always or len(loop.body) == 1)
        return Ending.OTHERS if polls or (asks and waits) else Ending.ALONE

    def _asks_others(self, function: Function, test: ast.expr) -> bool:
        """Say whether a test reads what others may change, and compares it with nothing of the function's own."""
        operands = [test.left, *test.comparators] if isinstance(test, ast.Compare) else []
        if any(isinstance(one, ast.Name) and not self._is_outer(function, one) for one in operands):
            return False
        return any(
            (isinstance(part, ast.Attribute | ast.Subscript) and self._is_shared(function, part))
            or (isinstance(part, ast.Name) and self._is_outer(function, part))
            for part in walk(test)
        )

    def _leaves_when_told(self, node: ast.AST) -> bool:
        """Say whether a branch leaves a loop when an event is set, or a flag of the object is."""
        match node:
            case ast.If(test=test, body=[*_, ast.Break() | ast.Return()]):
                test = test.operand if isinstance(test, ast.UnaryOp) else test
                told = isinstance(test, ast.Call) and last_name(test.func) == "is_set"
                return told or isinstance(test, ast.Attribute)
            case _:
                return False

    def _sleeps(self, loop: ast.While, node: ast.expr) -> bool:
        """Say whether a loop sleeps, and not before another try of what has failed."""
        if not (isinstance(node, ast.Call) and last_name(node.func) == "sleep"):
            return False
        around = [one for one in self.module.ancestors(node) if self.module.contains(loop, one)]
        return not any(isinstance(one, ast.ExceptHandler) for one in around) and not any(
            isinstance(one, ast.Try) for one in own_nodes(loop)
        )

    # -- names ------------------------------------------------------------------------------------------------------

    def _functions(self, node: ast.expr) -> list[Function]:
        """Return the functions of this module that a call means, also of an object that is made here, or its entry."""
        if not isinstance(node, ast.Call):
            return []
        if found := self.names.functions(node):
            return list(found)
        if (made := self._class_of(node)) is not None:
            return self.module.method_named("__aenter__", made.body[0])
        if isinstance(node.func, ast.Attribute):
            owners = [node.func.value, *self.names.values(node.func.value)]
            classes = [one for owner in owners if (one := self._class_of(owner)) is not None]
            found = [one for made in classes for one in self.module.method_named(node.func.attr, made.body[0])]
            return found or self._methods_named(node)
        return []

    def _methods_named(self, call: ast.Call) -> list[Function]:
        """Return what a method of an object may mean that is not seen to be of a class: any of that name here."""
        name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        if self.module.qualified(call.func) is not None:
            return []
        return [one for owner in self.module.classes for one in self.module.functions.get(f"{owner}.{name}", ())]

    def _class_of(self, node: ast.expr) -> ast.ClassDef | None:
        """Return the class of this module that a call makes an object of."""
        match node:
            case ast.Call(func=ast.Name(id=name)):
                return self.module.classes.get(name)
            case _:
                return None

    def _is_called(self, node: ast.expr, classes: frozenset[str]) -> bool:
        """Say whether an object is of some class, by what it is made by or called."""
        if isinstance(node, ast.Subscript):
            return self._is_called(node.value, classes) or self._holds(node.value, classes)
        called = frozenset(word for name in classes for word in words(name))
        values = [one.value if isinstance(one, ast.Await) else one for one in self.names.values(node)]
        made = {last_name(value.func) for value in values if isinstance(value, ast.Call)}
        return mentions(last_name(node), called) or not made.isdisjoint(classes)

    def _holds(self, node: ast.expr, classes: frozenset[str]) -> bool:
        """Say whether a collection is filled with objects of some class: `{name: Event() for name in names}`."""
        values = [one.value for one in self.names.all_bindings(node) if one.value is not None]
        made = [part for value in values for part in (value, *own_nodes(value)) if isinstance(part, ast.Call)]
        return any(last_name(call.func) in classes for call in made)

    def _is_shared(self, function: Function, node: ast.expr) -> bool:
        """Say whether an object is another's: of `self`, of an outer function, or handed in."""
        while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
            node = node.func if isinstance(node, ast.Call) else node.value
        return isinstance(node, ast.Name) and (self._is_outer(function, node) or self._is_given(function, node))

    def _is_outer(self, function: Function | None, node: ast.Name) -> bool:
        scope, _ = self.module.bindings(node.id, node)
        return scope is not None and (function is None or not self.module.contains(function, scope))

    def _is_given(self, function: Function | None, node: ast.Name) -> bool:
        scope, found = self.module.bindings(node.id, node)
        return scope is not function or any(isinstance(binding.node, ast.arg) for binding in found)
