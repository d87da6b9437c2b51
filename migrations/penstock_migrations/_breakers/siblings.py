"""`Siblings`: requests past a circuit breaker, of a client that it guards in other methods of the class."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator

from penstock_migrations._breakers.breakers import Breakers
from penstock_migrations._breakers.bypasses import Bypasses
from penstock_migrations._code.module import Module
from penstock_migrations._code.reaching import last_name

__all__ = ["Siblings"]

_CLIENTS = frozenset(["agent", "api", "client", "http", "llm", "provider", "session", "transport", "wrapped"])
_REQUESTS = frozenset(
    ["delete", "fetch", "get", "head", "invoke", "ainvoke", "patch", "post", "put", "request", "send", "stream"]
)


class Siblings:
    """The requests of one module that leave out a breaker which other requests of the same client have."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.breakers = module.analysis(Breakers)
        self.bypasses = module.analysis(Bypasses)

    def found(self) -> Iterator[tuple[ast.Attribute, str, str]]:
        """Yield each such request, what it is, and the request that is guarded."""
        for requests in self._by_client().values():
            guarded = [one for one in requests if self.breakers.is_under_breaker(one)]
            for one in requests if guarded else ():
                if one not in guarded and self._is_past(one, guarded):
                    yield one, ast.unparse(one), ast.unparse(guarded[0])

    def _by_client(self) -> dict[tuple[ast.ClassDef, str], list[ast.Attribute]]:
        """Return the requests of each client that an object holds: `self.client.post`, called or handed on."""
        found: dict[tuple[ast.ClassDef, str], list[ast.Attribute]] = defaultdict(list)
        for node in self.breakers.nodes(ast.Attribute):
            if isinstance(node, ast.Attribute) and node.attr in _REQUESTS and _is_client(node.value):
                around = self.module.class_around(node)
                if around is not None:
                    found[around, last_name(node.value)].append(node)
        return found

    def _is_past(self, request: ast.Attribute, guarded: list[ast.Attribute]) -> bool:
        call = self.module.parents[request]
        return isinstance(call, ast.Call) and call.func is request and self.bypasses.is_past(call, guarded)


def _is_client(node: ast.expr) -> bool:
    """Say whether an expression is a client that an object holds: `self._http_client`."""
    if not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Name):
        return False
    return node.value.id == "self" and node.attr.lower().rpartition("_")[2] in _CLIENTS
